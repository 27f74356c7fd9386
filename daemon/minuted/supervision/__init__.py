"""Starts, restarts and stops the stages, sees that they live, and takes in a new configuration."""
