"""The command lr-plot."""
