"""PROCESS per sink: every record of the turn journal to one sink, in order, none left out."""
