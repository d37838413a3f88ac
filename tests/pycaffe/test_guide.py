"""What docs/pycaffe.md tells one to type works."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pycaffe_lite import door
from rigs import ROOT

TEXT = (ROOT / "docs" / "pycaffe.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def folder(here: Path) -> Path:
    """A working folder with the configs, the data beside them, and the guide's layer."""
    shutil.copytree(ROOT / "configs", here / "configs")
    (here / "data").symlink_to(ROOT / "data")
    (here / "double.py").write_text(next(block for block in BLOCKS if "class Double" in block))
    return here


LAYER = """
import numpy as np
from pycaffe_lite.proto.text import parse
text = '''layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 2 } } }
layer { name: "m" type: "Python" bottom: "d" top: "m" python_param { module: "double" layer: "Double" } }'''
net = caffe.Net(parse(text, caffe.proto.caffe_pb2.NetParameter), caffe.TEST)
assert net.forward(d=np.array([1, 2]))["m"].tolist() == [2, 4]
"""


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_each_block_runs(block: int, folder: Path) -> None:
    code = BLOCKS[block]
    code += LAYER if "import caffe" in code or " as caffe" in code else "import caffe\n" + LAYER
    path = [str(ROOT / "core"), *([door.FOLDER] if code.startswith("import caffe") else [])]
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path}\n{code}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_the_guide_names_what_there_is() -> None:
    import pycaffe_lite

    names = set(re.findall(r"`@?caffe\.(\w+)", TEXT)) - {"io", "__version__"}
    assert {"Net", "register_layer"} <= names
    assert not names - set(pycaffe_lite.__all__)
