"""What the commands make."""
