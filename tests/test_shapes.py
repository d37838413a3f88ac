"""configs/ssd_shapes and configs/seg_shapes: their pictures, short runs of both nets, and with -m slow whole ones."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from pycaffe_lite.tools.check import check
from pycaffe_lite.tools.deploy import deploy
from rigs import ROOT
from rigs.cli_rig import Command
from rigs.config_runs import losses
from rigs.net_rig import net_param

h5py, cv2 = pytest.importorskip("h5py"), pytest.importorskip("cv2")

SCRIPT = ROOT / "configs" / "ssd_shapes" / "make_shapes.py"
FEW = ("--train", "64", "--test", "32")
FOLDERS = ("ssd_shapes", "seg_shapes")


def make_shapes(folder: Path, *options: str) -> str:
    done = subprocess.run([sys.executable, SCRIPT, folder, *options], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with few pictures."""
    clone = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "configs", clone / "configs")
    make_shapes(clone / "data" / "shapes", *FEW)
    return clone


@pytest.fixture
def pictures(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(clone)
    return clone / "data" / "shapes" / "pictures"


# -- the pictures --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["train", "test"])
def test_boxes_and_masks_are_of_the_same_shapes(clone: Path, name: str) -> None:
    with h5py.File(clone / "data" / "shapes" / f"{name}.h5") as file:
        data, label, mask = (file[key][:] for key in ("data", "label", "mask"))
    assert data.shape[1:] == (3, 96, 96)
    assert mask.shape == (len(data), 1, 96, 96)
    assert label.shape == (len(data), 4, 8)
    for i, rows in enumerate(label):
        there = rows[rows[:, 1] > 0]
        assert 1 <= len(there) <= 4
        assert (there[:, 0] == i % 16).all()
        assert (rows[len(there) :] == -1).all()
        inside = np.zeros((96, 96), bool)
        for _, kind, _, *corners, difficult in there:
            xmin, ymin, xmax, ymax = np.rint(np.multiply(corners, 96)).astype(int)
            part = mask[i, 0, ymin:ymax, xmin:xmax] == kind
            assert part.any(axis=0).all()
            assert part.any(axis=1).all()
            assert difficult == 0
            inside[ymin:ymax, xmin:xmax] = True
        assert not mask[i, 0][~inside].any()
    assert set(np.unique(mask)) == {0, 1, 2, 3}


def test_pictures_are_the_held_out_ones(pictures: Path) -> None:
    shapes = json.loads((pictures / "boxes.json").read_text())
    with h5py.File(pictures.parent / "test.h5") as file:
        for i, (name, there) in enumerate(shapes.items()):
            assert (cv2.imread(str(pictures / name))[::4, ::4].transpose(2, 0, 1) == file["data"][i]).all()
            assert len(there) == (file["label"][i, :, 1] > 0).sum()


def test_the_seed_decides(tmp_path: Path) -> None:
    contents = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert "16 pictures to train on and 16 held-out ones" in make_shapes(
            tmp_path / name, "--train=16", "--test=16", f"--seed={seed}"
        )
        with h5py.File(tmp_path / name / "train.h5") as file:
            contents.append(file["data"][:])
    assert (contents[0] == contents[1]).all()
    assert (contents[0] != contents[2]).any()


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--train=20", "--train and --test must be multiples of --batch"),
        ("--seed=-1", "--seed must be 0 or more"),
    ],
)
def test_options_that_cannot_be(option: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as problem:
        make_shapes(tmp_path, option)
    assert problem.value.stderr.endswith(f"error: {sentence}\n")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(subprocess.CalledProcessError) as problem:
        make_shapes(tmp_path / "file" / "shapes")
    assert "file/shapes: expected a folder, or that one can be made: Not a directory" in problem.value.stderr
    assert "Traceback" not in problem.value.stderr


# -- short runs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", ["solver", "train_test", "deploy"])
def test_the_texts_are_without_fault(pictures: Path, folder: str, name: str) -> None:
    findings = check(f"configs/{folder}/{name}.prototxt")
    # The tests take 512 pictures, and here are 32.
    assert [each.text for each in findings if "some count more than once" not in each.text] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_deploy_has_the_layers_of_train_test(pictures: Path, folder: str) -> None:
    texts = [Path(f"configs/{folder}/{name}.prototxt").read_text() for name in ("train_test", "deploy")]
    begin, end = "# Pixels of 0 to 255", {"ssd_shapes": "\n# TRAIN", "seg_shapes": 'layer { name: "loss"'}[folder]
    shared = begin + texts[0].partition(begin)[2].partition(end)[0]
    assert texts[1].partition(begin)[2] != ""
    assert shared.strip() in texts[1]


@pytest.mark.parametrize(("folder", "last"), [("ssd_shapes", "detection_out"), ("seg_shapes", "prob")])
def test_the_command_deploy_makes_such_a_net(pictures: Path, folder: str, last: str) -> None:
    given = Net(net_param(deploy(f"configs/{folder}/train_test.prototxt", batch=1)), TEST)
    own = Net(f"configs/{folder}/deploy.prototxt", TEST)
    assert given.inputs == ["data"]
    assert given.outputs == [last]
    shapes = [{name: [each.shape for each in blobs] for name, blobs in net.params.items()} for net in (given, own)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("folder", "output", "before", "after"), [("ssd_shapes", "mbox_loss", 9, 7.5), ("seg_shapes", "loss", 1, 0.9)]
)
def test_a_short_run_learns(pictures: Path, folder: str, output: str, before: float, after: float) -> None:
    found = losses(Path(f"configs/{folder}/solver.prototxt"), 20, output)
    assert found[0] > before
    assert found[-1] < after


@pytest.fixture
def ssd(pictures: Path) -> list[str]:
    """What `detect` is told of a net that has learned nothing."""
    return fresh("ssd_shapes", "--label-map", "configs/ssd_shapes/labelmap.prototxt")


def fresh(folder: str, *more: str) -> list[str]:
    model = f"configs/{folder}/deploy.prototxt"
    Net(model, TEST).save(f"{folder}.caffemodel")
    return ["--model_def", model, "--pretrained_model", f"{folder}.caffemodel", "--mean_file", "", *more]


def test_detect_takes_the_net(pictures: Path, ssd: list[str], tmp_path: Path) -> None:
    command = Command(
        "detect", str(pictures / "00.png"), *ssd, "--format=json", "--threshold=0.02", "-o", f"{tmp_path}/o.png"
    )
    rows = json.loads(command.output)
    assert {row["name"] for row in rows} <= {"circle", "square", "triangle"}
    assert rows
    assert cv2.imread(f"{tmp_path}/o.png").shape == (384, 384, 3)


def test_segment_takes_the_net(pictures: Path, tmp_path: Path) -> None:
    options = fresh("seg_shapes", "--label-map", "configs/seg_shapes/names.txt")
    command = Command("segment", str(pictures / "00.png"), f"{tmp_path}/o.png", *options, "--format=json")
    assert sum(row["pixels"] for row in json.loads(command.output)) == 384 * 384
    assert cv2.imread(f"{tmp_path}/o.png").shape == (384, 384, 3)


# -- whole runs, by what the READMEs say one has to type -----------------------------------------------------


def typed(folder: str) -> list[str]:
    """The commands of a README, but for the installation."""
    text = (ROOT / "configs" / folder / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    plain = [line for language, block in found if not language for line in block.splitlines()]
    return [line for line in plain if not line.startswith("pip ")]


def run(line: str) -> list[str]:
    """Runs a command as typed; returns what it logs."""
    program, *arguments = shlex.split(line)
    if program == "python":
        subprocess.run([sys.executable, *arguments], check=True)
        return []
    assert program == "pycaffe-lite"
    command = Command(*arguments)
    assert command.status == 0, (line, command.output)
    return command.said


def output(said: list[str], name: str) -> list[float]:
    """The last test's values of an output."""
    found = [line.split(" = ")[1] for line in said if re.match(rf"( *Test net output #\d: )?{name} = ", line)]
    return [float(value) for value in found]


@pytest.fixture
def whole(here: Path) -> Path:
    """A clone without data, as the working folder."""
    shutil.copytree(ROOT / "configs", here / "configs")
    return here


def overlap(a: list[float], b: list[float]) -> float:
    sides = [max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in range(2)]
    shared = sides[0] * sides[1]
    return shared / (sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - shared)


def is_found(picture: str, shape: dict[str, Any], rows: list[dict[str, Any]]) -> bool:
    same = [row for row in rows if row["image"].endswith(picture) and row["name"] == shape["name"]]
    return any(overlap([row[key] for key in ("xmin", "ymin", "xmax", "ymax")], shape["box"]) > 0.5 for row in same)


@pytest.mark.slow
def test_the_ssd_finds_nine_of_ten(whole: Path) -> None:
    make, train, test, detect = typed("ssd_shapes")
    run(make)
    said = run(train)
    assert output(said, "detection_eval")[-1] > 0.9
    assert output(run(test), "detection_eval")[-1] > 0.9
    run(detect)
    assert cv2.imread("found.png").shape == (384, 384, 3)
    all_of_them = [word.replace("/07.png", "") for word in shlex.split(detect)[1:-2]]
    found = json.loads(Command(*all_of_them, "--format=json").output)
    there = json.loads(Path("data/shapes/pictures/boxes.json").read_text())
    shapes = [(name, shape) for name, each in there.items() for shape in each]
    right = [shape for name, shape in shapes if is_found(name, shape, found)]
    assert len(right) > 0.7 * len(shapes)


@pytest.mark.slow
def test_the_segmentation_covers_nine_tenths(whole: Path) -> None:
    make, train, segment = typed("seg_shapes")
    run(make)
    assert output(run(train), "accuracy")[-1] > 0.9
    run(segment)
    with h5py.File("data/shapes/test.h5") as file:
        data, mask = file["data"][:].astype(np.float32), file["mask"][:, 0]
    net = Net("configs/seg_shapes/deploy.prototxt", TEST, weights="seg_shapes_iter_640.caffemodel")
    given = np.stack([net.forward(data=each[None])["score"][0].argmax(axis=0) for each in data])
    for label in range(4):
        both, either = (given == label) & (mask == label), (given == label) | (mask == label)
        assert both.sum() / either.sum() > 0.9
