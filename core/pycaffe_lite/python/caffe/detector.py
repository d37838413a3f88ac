"""The module `detector` of `pycaffe_lite.pycaffe`, itself and not a copy."""

import sys

from pycaffe_lite.pycaffe import detector

sys.modules[__name__] = detector
