"""The engine: AssemblyAI's v3 streaming protocol, spoken by a recogniser on this machine."""
