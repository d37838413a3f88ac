"""The module `io` of `pycaffe_lite.pycaffe`, itself and not a copy."""

import sys

from pycaffe_lite.pycaffe import io

sys.modules[__name__] = io
