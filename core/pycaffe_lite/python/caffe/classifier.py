"""The module `classifier` of `pycaffe_lite.pycaffe`, itself and not a copy."""

import sys

from pycaffe_lite.pycaffe import classifier

sys.modules[__name__] = classifier
