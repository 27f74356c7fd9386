"""Capture: sound in, numbered frames of 50 ms out."""
