"""Temporary tokens: minted with a key, given to rooms that hold none, fetched by those."""
