"""What survives a crash: the turns, the sound, and how far each sink has got."""
