"""The package `pycaffe_lite.pycaffe`, itself and not a copy."""

import sys

from pycaffe_lite import pycaffe

sys.modules[__name__] = pycaffe
