"""What every room uses and no astronomer asks for: errors for users, atomic files, signals, the version."""
