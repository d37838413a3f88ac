"""The module `coord_map` of `pycaffe_lite.pycaffe`, itself and not a copy."""

import sys

from pycaffe_lite.pycaffe import coord_map

sys.modules[__name__] = coord_map
