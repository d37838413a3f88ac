"""The module `_caffe` of `pycaffe_lite.pycaffe`, itself and not a copy."""

import sys

from pycaffe_lite.pycaffe import _caffe

sys.modules[__name__] = _caffe
