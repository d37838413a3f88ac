"""The command train."""

from pycaffe_lite_cli.train.command import train

__all__ = ["train"]
