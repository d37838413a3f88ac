"""`python -m pycaffe_lite` is `pycaffe-lite`."""

from __future__ import annotations

from pycaffe_lite_cli import main

main(prog_name="pycaffe-lite")
