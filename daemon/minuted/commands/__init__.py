"""What the commands do beyond asking a running daemon."""
