"""`detect`: a table of windows in, a table of what they show out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.pycaffe.detector import Detector
from rigs.cli_rig import Command
from rigs.pycaffe_images import CLASSES, photo, write_image, write_image_net

TABLE = """filename,xmin,ymin,xmax,ymax
b.png,3,2,17,20
a.png,0,0,40,30
b.png,30,10,44.0,31
"""


@pytest.fixture
def net(here: Path) -> list[str]:
    """The options for a small net, and two images with a table of windows."""
    model, weights = write_image_net(here, height=12, width=12)
    for n, name in enumerate("ab"):
        write_image(here / f"{name}.png", photo(30, 40, seed=n))
    (here / "windows.csv").write_text(TABLE)
    return ["--model_def", model, "--pretrained_model", weights, "--mean_file", "", "--context_pad", "2"]


def expected(net: list[str], folder: Path = Path()) -> np.ndarray:
    detector = Detector(net[1], net[3], raw_scale=255, channel_swap=(2, 1, 0), context_pad=2)
    b, a = str(folder / "b.png"), str(folder / "a.png")
    found = detector.detect_windows([(b, [[2, 3, 20, 17], [10, 30, 31, 44]]), (a, [[0, 0, 30, 40]])])
    return np.array([one["prediction"] for one in found])


def test_windows_go_into_a_csv(net: list[str]) -> None:
    done = Command("detect", "windows.csv", "out.csv", *net)
    assert (done.status, done.output) == (0, "")
    assert done.said[-1] == "Saved to out.csv"
    assert any(line.startswith("Processed 3 windows in ") for line in done.said)
    rows = list(csv.reader(Path("out.csv").read_text().splitlines()))
    assert rows[0] == ["filename", "ymin", "xmin", "ymax", "xmax", *(f"class{i}" for i in range(CLASSES))]
    assert [row[:5] for row in rows[1:]] == [
        ["b.png", "2", "3", "20", "17"],
        ["b.png", "10", "30", "31", "44"],
        ["a.png", "0", "0", "30", "40"],
    ]
    np.testing.assert_allclose(np.array([row[5:] for row in rows[1:]], float), expected(net), atol=1e-6)


@pytest.mark.parametrize("batch", [[], ["--batch", "1"], ["--batch=8"]])
def test_windows_go_into_an_npy(batch: list[str], net: list[str]) -> None:
    assert Command("detect", "windows.csv", "out.npy", *net, *batch, "--crop_mode", "list").status == 0
    found = np.load("out.npy")
    assert list(found["filename"]) == ["b.png", "b.png", "a.png"]
    assert found[["ymin", "xmin", "ymax", "xmax"]][1].tolist() == (10, 30, 31, 44)
    np.testing.assert_allclose(found["prediction"], expected(net), atol=1e-6)


def test_images_are_found_beside_the_table(net: list[str], monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    assert Command("detect", "../windows.csv", "out.npy", *net).status == 0
    np.testing.assert_allclose(np.load("out.npy")["prediction"], expected(net, here), atol=1e-6)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("", "windows.csv is empty"),
        ("filename,ymin,xmin,ymax\na.png,1,2,3\n", "windows.csv:1: expected a header with filename and ymin, xmin"),
        ("filename,ymin,xmin,ymax,xmax\n", "expected a line for each window under the header, got none"),
        ("filename,ymin,xmin,ymax,xmax\na.png,0,0,9,9\na.png,1,2,x,4\n", "windows.csv:3: expected a file name and"),
        ("filename,ymin,xmin,ymax,xmax\na.png,1,2\n", "windows.csv:2: expected a file name and four numbers"),
        ("filename,ymin,xmin,ymax,xmax\na.png,1,2,1e99,4\n", "windows.csv:2: expected a file name and four numbers"),
        ("filename,ymin,xmin,ymax,xmax\na.png,nan,2,3,4\n", "windows.csv:2: expected a file name and four numbers"),
        ("filename,ymin,xmin,ymax,xmax\nnone.png,1,2,3,4\n", 'no image "none.png"'),
        (
            "filename,ymin,xmin,ymax,xmax\na.png,50,2,60,4\n",
            "window [50, 2, 60, 4] has no pixels in an image of 30 x 40",
        ),
    ],
)
def test_what_is_wrong_with_a_table_is_said(table: str, sentence: str, net: list[str], here: Path) -> None:
    (here / "windows.csv").write_text(table)
    done = Command("detect", "windows.csv", "out.csv", *net)
    assert done.status == 1, done.output
    assert sentence in done.sentence()
    assert not (here / "out.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["windows.csv", "out.h5"], 2, "OUTPUT is a .csv or an .npy file, got out.h5."),
        (["a.png", "out.csv"], 2, "INPUT is a .csv file of windows or a .txt file of images, got a.png; without"),
        (["images.txt", "out.csv"], 1, "Selective Search needs the package selective_search_ijcv_with_python"),
        (["images.txt", "out.csv", "--crop_mode", "list"], 2, "images.txt names images alone"),
        (["none.txt", "out.csv"], 1, 'no list of images "none.txt"'),
        (["windows.csv", "none/out.csv"], 1, 'Cannot write "none/out.csv"'),
        (["windows.csv", "out.csv", "--context_pad", "6"], 1, "below half of the input's 12 x 12, got 6"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], status: int, sentence: str, net: list[str], here: Path) -> None:
    (here / "images.txt").write_text("a.png\nb.png\n")
    done = Command("detect", *net, *arguments)
    assert done.status == status, done.output
    assert sentence in done.sentence()
