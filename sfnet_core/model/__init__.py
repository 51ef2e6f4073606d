"""The network and what it needs: checkpoint, run, preprocessing, cutout loader, weights of others."""
