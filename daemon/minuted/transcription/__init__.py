"""PROCESS: frames in, turns out; it holds the streaming session."""
