"""Every command's options and help."""

from .command_line import parser, wants_texts

__all__ = ["parser", "wants_texts"]
