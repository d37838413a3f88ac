"""`python -m pycaffe_lite_cli`"""

from pycaffe_lite_cli import main

main(prog_name="pycaffe-lite")
