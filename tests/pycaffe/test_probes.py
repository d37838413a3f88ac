"""What the real pycaffe answered to 55 questions, ours does; and every name it has is there."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from ast import literal_eval
from pathlib import Path
from typing import Any

import pytest

from pycaffe_lite import door
from pycaffe_lite.proto.caffe_pb2 import LayerParameter
from rigs import GOLDEN

FOLDER = GOLDEN / "pycaffe"
REAL: dict[str, str] = json.loads((FOLDER / "answers.json").read_text())
API: dict[str, list[str]] = json.loads((FOLDER / "api.json").read_text())


# -- questions ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The answers of a script that knows no more than `import caffe`."""
    folder = tmp_path_factory.mktemp("probes")
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), *sys.path, door.FOLDER])
    answers = folder / "answers.json"
    subprocess.run(
        [sys.executable, str(FOLDER / "probes.py"), str(answers)],
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(folder)},
        check=True,
        timeout=300,
    )
    return dict(json.loads(answers.read_text()))


def classes(answer: str) -> list[str]:
    """The class of an exception and its bases, of an answer that is one."""
    assert answer.startswith("EXC "), answer
    return list(literal_eval(answer[len("EXC ") : answer.index("]") + 1]))


CONTAINERS = "types: blobs, params, layers, inputs, outputs"
MAY_DIFFER = ("c_contiguous", "assign data.shape")


@pytest.mark.parametrize("question", [name for name in REAL if not name.startswith(MAY_DIFFER)])
def test_the_answer_is_the_real_ones(question: str, ours: dict[str, str]) -> None:
    real, got = REAL[question], ours[question]
    if real.startswith("PROCESS DIES"):
        assert "RuntimeError" in classes(got)
    elif question == "ctor without phase":
        assert "TypeError" in classes(got)
    elif real.startswith("EXC "):
        assert classes(real)[0] in classes(got)
    elif question == "layer_type_list missing here":
        assert int(got) >= int(real)
    elif question == "snapshot files":
        assert set(literal_eval(got)) - {"hBs_iter_2.resume"} == set(literal_eval(real))
    elif question == CONTAINERS:
        assert [kind for kind in literal_eval(got) if kind != "tuple"] == [
            kind for kind in literal_eval(real) if kind != "IntVec"
        ]
    else:
        assert got == real


def test_what_is_handed_out_lies_in_c_order(ours: dict[str, str]) -> None:
    asked = {question: answer for question, answer in REAL.items() if question.startswith(MAY_DIFFER)}
    assert {question: ours[question] for question in asked} == asked


# -- names -------------------------------------------------------------------------------------------------

CLASSES = {
    "Net": "caffe:Net",
    "Blob": "caffe._caffe:Blob",
    "Layer": "caffe._caffe:Layer",
    "SolverParameter": "caffe._caffe:SolverParameter",
    "LayerParameter": "caffe._caffe:LayerParameter",
    "Solver": "caffe._caffe:Solver",
    "SGDSolver": "caffe:SGDSolver",
    "NCCL": "caffe:NCCL",
    "Timer": "caffe:Timer",
    "BlobVec": "caffe._caffe:BlobVec",
    "RawBlobVec": "caffe._caffe:RawBlobVec",
    "LayerVec": "caffe._caffe:LayerVec",
    "StringVec": "caffe._caffe:StringVec",
    "IntVec": "caffe._caffe:IntVec",
    "DtypeVec": "caffe._caffe:DtypeVec",
    "NetVec": "caffe._caffe:NetVec",
    "BoolVec": "caffe._caffe:BoolVec",
    "Classifier": "caffe:Classifier",
    "Detector": "caffe:Detector",
    "Transformer": "caffe.io:Transformer",
    "NetSpec": "caffe:NetSpec",
    "Top": "caffe.net_spec:Top",
    "Function": "caffe.net_spec:Function",
    "Layers": "caffe.net_spec:Layers",
    "Parameters": "caffe.net_spec:Parameters",
}


@pytest.fixture
def caffe(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in door.loaded():
        monkeypatch.delitem(sys.modules, name)
    yield door.install()
    for name in door.loaded():
        del sys.modules[name]


@pytest.mark.parametrize("home", API)
def test_every_name_is_there(home: str, caffe: Any) -> None:
    kind, _, name = home.partition(" ")
    if kind == "class":
        assert name in CLASSES, home
        module, attribute = CLASSES[name].split(":")
        found = getattr(importlib.import_module(module), attribute)
    else:
        found = importlib.import_module(home)
    if home == "class Layer":
        found = found(LayerParameter())  # blobs are an instance's
    missing = [name for name in API[home] if not _has(found, name)]
    assert not missing


def _has(owner: Any, name: str) -> bool:
    """Whether it has the name; of a message class, the field."""
    fields = getattr(getattr(owner, "DESCRIPTOR", None), "fields_by_name", ())
    return hasattr(owner, name) or name in fields


def test_every_name_of_the_front_page_is_that_of_caffe(caffe: Any) -> None:
    page = importlib.import_module("pycaffe_lite")
    for name in API["caffe"]:
        assert hasattr(page, name), name
        if name not in ("layers", "log", "proto"):
            assert getattr(page, name) is getattr(caffe, name), name


def test_probes_are_all_asked() -> None:
    text = Path(FOLDER / "probes.py").read_text()
    assert text.count("@probe(") == len(REAL) == 55
