"""The module `pycaffe_lite.proto.caffe_pb2`, itself and not a copy."""

import sys

from pycaffe_lite.proto import caffe_pb2

sys.modules[__name__] = caffe_pb2
