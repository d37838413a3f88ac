"""Caffe's Python API over the engine."""
