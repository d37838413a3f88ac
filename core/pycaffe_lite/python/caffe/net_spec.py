"""The module `net_spec` of `pycaffe_lite.pycaffe`, itself and not a copy."""

import sys

from pycaffe_lite.pycaffe import net_spec

sys.modules[__name__] = net_spec
