"""What astronomers know without us: BPT classes, emission lines, photometry, positions, scaling relations."""
