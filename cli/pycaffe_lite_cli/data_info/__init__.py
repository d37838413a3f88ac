"""The command data-info."""

from pycaffe_lite_cli.data_info.command import data_info

__all__ = ["data_info"]
