"""A text becomes nodes, nodes run."""

from pycaffe_lite.net.net import Net

__all__ = ["Net"]
