"""What makes the network quick on one processor or another; each gives what the plain network gives."""
