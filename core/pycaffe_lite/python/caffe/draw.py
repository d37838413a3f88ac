"""The module `draw` of `pycaffe_lite.pycaffe`, itself and not a copy."""

import sys

from pycaffe_lite.pycaffe import draw

sys.modules[__name__] = draw
