"""upgrade-net and upgrade-solver: the files that Caffe's own tools wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pycaffe_lite.proto.caffe_pb2 import NetParameter, SolverParameter
from pycaffe_lite.proto.text import parse
from rigs.data_tools import files_in, messages, run
from rigs.golden_formats import FORMATS, table

TEXTS = table("legacy.json")
WEIGHTS = {name: case["upgraded"] for name, case in table("weights.json").items() if "upgraded" in case}
COMMANDS = {"upgrade_net_proto_text": "upgrade-net", "upgrade_solver_proto_text": "upgrade-solver"}


@pytest.fixture(autouse=True)
def in_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FORMATS)


@pytest.mark.parametrize("own_name", [True, False])
@pytest.mark.parametrize("name", [name for name, case in TEXTS.items() if case["output"]])
def test_texts_are_those_of_caffe(name: str, own_name: bool, tmp_path: Path) -> None:
    case = TEXTS[name]
    command = COMMANDS[case["tool"]] if own_name else case["tool"]
    result = run(command, case["input"], tmp_path / "out", status=case["status"])
    written, expected = (tmp_path / "out").read_text(), Path(case["output"]).read_text()
    kind: Any = SolverParameter if "solver" in name else NetParameter
    assert parse(written, kind) == parse(expected, kind)
    assert written == expected
    last = [line for line in messages(result) if line.startswith("I")][-1]
    assert last == f"I {case['log'][-1][1].replace(case['output'], str(tmp_path / 'out'))}"
    current = [f"W {text}" for level, text in case["log"] if text.startswith("File already in latest")]
    assert [line for line in messages(result) if "latest" in line] == current


@pytest.mark.parametrize("name", [name for name, case in TEXTS.items() if not case["output"]])
def test_refuses_what_caffe_refuses(name: str, tmp_path: Path) -> None:
    case = TEXTS[name]
    result = run(case["tool"], case["input"], tmp_path / "out", status=1)
    assert f"Error: legacy/{name}.prototxt:" in result.output
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize("command", [["upgrade-net"], ["upgrade-net", "--binary"], ["upgrade_net_proto_binary"]])
@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_those_of_caffe(name: str, command: list[str], tmp_path: Path) -> None:
    source = f"weights/{name}.caffemodel"
    result = run(*command, source, tmp_path / "out")
    written, expected = (tmp_path / "out").read_bytes(), Path(WEIGHTS[name]["file"]).read_bytes()
    assert NetParameter.FromString(written) == NetParameter.FromString(expected)
    assert written == expected
    assert messages(result)[-1] == f"I Wrote upgraded NetParameter binary proto to {tmp_path}/out"


def test_present_weights_stay_as_they_are(tmp_path: Path) -> None:
    result = run("upgrade-net", "weights/shape.caffemodel", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == Path("weights/shape.caffemodel").read_bytes()
    assert "W File already in latest proto format: weights/shape.caffemodel" in messages(result)


def test_a_file_may_be_upgraded_in_its_place(tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    net.write_bytes(Path("legacy/v1_train.prototxt").read_bytes())
    link = tmp_path / "link"
    link.symlink_to(net)
    run("upgrade-net", link, link, "--quiet")
    assert net.read_text() == Path("legacy/v1_train.upgraded.prototxt").read_text()
    assert link.is_symlink()
    assert files_in(tmp_path) == {"net.prototxt", "link"}


def test_devices_are_written_to() -> None:
    run("upgrade-net", "legacy/v1_train.prototxt", "/dev/null")
    assert Path("/dev/null").is_char_device()


def test_lost_fields_are_told_after_writing(tmp_path: Path) -> None:
    result = run("upgrade-net", "legacy/v0_wrong_parameter.prototxt", tmp_path / "out", status=1)
    assert 'type "pool" has no group; ignored, as in Caffe.' in result.output
    assert messages(result)[-1] == "E Some fields had no place in the present form and were left out; see above."


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("upgrade-net", "no"), 'There is no net "no": looked for {cwd}/no from the working folder {cwd}'),
        (("upgrade-solver", "no"), 'There is no solver "no": looked for {cwd}/no from the working folder {cwd}'),
        (("upgrade-net", "weights"), "Cannot read weights: it is a folder"),
        (("upgrade-net", "mean/raw.npz"), "is not a file of weights (.caffemodel): it holds a ZIP archive"),
        (("upgrade-net", "mean/raw.binaryproto"), "it looks like a solver's state (.solverstate) or a mean"),
        (("upgrade-net", "images.txt"), 'images.txt:1:1: NetParameter has no field "img00"'),
        (
            ("upgrade-net", "--binary", "legacy/current.prototxt"),
            "is not a file of weights (.caffemodel): it holds text",
        ),
        (("upgrade_net_proto_binary", "legacy/current.prototxt"), "is not a file of weights"),
        (
            ("upgrade_net_proto_text", "weights/v0.caffemodel"),
            "is a binary file; expected the text (prototxt) of a net",
        ),
        (("upgrade-solver", "legacy/v1_train.prototxt"), "legacy/v1_train.prototxt:1:1: SolverParameter has no field"),
        (("upgrade-solver", "weights/v0.caffemodel"), "expected the text (prototxt) of a solver"),
    ],
)
def test_bad_files_are_named(args: tuple[str, ...], problem: str, tmp_path: Path) -> None:
    result = run(*args, tmp_path / "out", status=1)
    assert problem.format(cwd=FORMATS) in result.output
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (bytes(5000), "nothing but zeros"),
        ("layer { }".encode("utf-16"), "UTF-16 text"),
        (b"<!DOCTYPE html>", "web page"),
        (Path(FORMATS / "weights" / "v1.caffemodel").read_bytes()[:1000], "truncated"),
    ],
)
def test_garbage_is_named(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(content)
    result = run("upgrade-net", tmp_path / "in", tmp_path / "out", status=1)
    assert problem in result.output
    assert files_in(tmp_path) == {"in"}


def weights_with(name: bytes, layer: bytes = b"") -> bytes:
    """A V1 layer with a name, as bytes, and whatever else."""
    inner = b"\x22" + bytes([len(name)]) + name + layer
    return b"\x12" + bytes([len(inner)]) + inner


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (weights_with(b"caf\xe9", b"\x28\x04"), "in: expected names in UTF-8, got b'caf\\xe9'; mend it by hand."),
        (weights_with(b"a", b"\x52\x02\x08\xff"), "got one that a fork of Caffe wrote; its weights load without"),
    ],
)
def test_weights_of_another_schema(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(content)
    result = run("upgrade-net", tmp_path / "in", tmp_path / "out", status=1)
    assert problem in result.output
    assert files_in(tmp_path) == {"in"}


def test_nowhere_to_write(tmp_path: Path) -> None:
    result = run("upgrade-net", "legacy/v1_train.prototxt", tmp_path / "no" / "out", status=1)
    assert f"Cannot write {tmp_path}/no/out: No such file or directory." in result.output
