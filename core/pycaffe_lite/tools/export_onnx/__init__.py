"""Nets to run as ONNX models."""

from pycaffe_lite.tools.export_onnx.compare import compare, has_runtime, read_inputs
from pycaffe_lite.tools.export_onnx.model import Exported, export

__all__ = ["Exported", "compare", "export", "has_runtime", "read_inputs"]
