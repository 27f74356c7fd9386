"""What any daemon needs, knowing nothing of audio or turns."""
