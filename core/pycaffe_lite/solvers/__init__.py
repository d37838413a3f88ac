"""Training: the loop, and one update rule a file."""
