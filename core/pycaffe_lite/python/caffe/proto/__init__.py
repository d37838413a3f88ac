"""Caffe's schema."""

from pycaffe_lite.proto import caffe_pb2  # noqa: F401
