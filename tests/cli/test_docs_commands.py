"""The commands of README and of pages in docs/ run as they stand there, and give what is said."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pycaffe_lite.net import Net
from pycaffe_lite.phase import TRAIN
from rigs import ROOT
from rigs.cli_rig import Command

README, TUTORIAL, ONNX = ROOT / "README.md", ROOT / "docs" / "tutorial.md", ROOT / "docs" / "onnx.md"
LONG = ("train --solver configs/lenet/lenet_solver.prototxt", "train --solver solver.prototxt", "test --model")
"""What takes minutes, or shows an error."""


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def commands(page: Path) -> list[str]:
    return [
        line
        for text in blocks(page, "")
        for line in text.splitlines()
        if line.startswith(("pycaffe-lite ", "sed ")) and not any(long in line for long in LONG)
    ]


@pytest.fixture
def clone(here: Path) -> Path:
    """A folder with configs/, data/ and LeNet's weights."""
    shutil.copytree(ROOT / "configs", here / "configs")
    (here / "data").symlink_to(ROOT / "data")
    net = Net(str(ROOT / "configs" / "lenet" / "train_test.prototxt"), TRAIN)
    net.save("lenet_iter_10000.caffemodel")
    net.close()
    return here


@pytest.mark.parametrize(("page", "least"), [(README, 3), (TUTORIAL, 7), (ONNX, 3)], ids=["README", "tutorial", "onnx"])
def test_the_commands_run(page: Path, least: int, clone: Path) -> None:
    if page == ONNX:
        pytest.importorskip("onnx")
    found = commands(page)
    assert len(found) >= least
    for line in found:
        if line.startswith("sed "):
            subprocess.run(line, shell=True, check=True)
            continue
        command = Command(*shlex.split(line)[1:])
        assert command.status == 0, (line, command.output)


def same(ours: str, theirs: str) -> bool:
    """Two words are alike, or numbers that are the same but for the last digits."""
    try:
        return float(ours) == pytest.approx(float(theirs), rel=1e-3)
    except ValueError:
        return ours == theirs or set(ours) | set(theirs) == {"-"}


def test_the_tutorial_shows_what_explain_says(clone: Path) -> None:
    line = next(line for line in commands(TUTORIAL) if line.startswith("pycaffe-lite explain"))
    said = Command(*shlex.split(line)[1:]).output.split()
    (shown,) = blocks(TUTORIAL, "text")
    assert len(said) == len(shown.split()) > 200
    assert [pair for pair in zip(said, shown.split(), strict=True) if not same(*pair)] == []


def test_the_update_by_hand() -> None:
    (code,) = blocks(TUTORIAL, "python")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == re.findall(r"# (\[.*\])$", code, re.MULTILINE)[0]


@pytest.mark.parametrize("page", [README, TUTORIAL, ONNX], ids=["README", "tutorial", "onnx"])
def test_what_the_links_lead_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []
