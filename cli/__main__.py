"""`python -m pycaffe_lite.cli`"""

from pycaffe_lite.cli import main

main(prog_name="pycaffe-lite")
