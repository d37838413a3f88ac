"""`python -m pycaffe_lite` is `pycaffe-lite`."""

from __future__ import annotations

from pycaffe_lite.cli import main

main(prog_name="pycaffe-lite")
