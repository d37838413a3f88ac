"""The command lr-plot."""

from pycaffe_lite_cli.lr_plot.command import lr_plot

__all__ = ["lr_plot"]
