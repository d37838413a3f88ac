"""`classify`: images, folders and arrays in; npy, csv and lines for people out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.pycaffe import io
from pycaffe_lite.pycaffe.classifier import Classifier
from rigs.cli_rig import Command
from rigs.pycaffe_images import CLASSES, photo, write_image, write_image_net

MEAN = np.array([104.0, 117.0, 123.0])


@pytest.fixture
def net(here: Path) -> list[str]:
    """The options for a small net."""
    model, weights = write_image_net(here)
    np.save(here / "mean.npy", np.broadcast_to(MEAN[:, np.newaxis, np.newaxis], (3, 5, 5)))
    return ["--model_def", model, "--pretrained_model", weights, "--mean_file", "mean.npy", "--images_dim", "16,16"]


@pytest.fixture
def images(here: Path) -> list[str]:
    (here / "images").mkdir()
    return [write_image(here / "images" / f"{name}.png", photo(20, 24, seed=n)) for n, name in enumerate("cabed")]


def expected(net: list[str], paths: list[str], oversample: bool = True) -> np.ndarray:
    classifier = Classifier(net[1], net[3], (16, 16), MEAN, raw_scale=255, channel_swap=(2, 1, 0))
    return classifier.predict([io.load_image(path) for path in paths], oversample)


def test_an_image_goes_into_an_npy(net: list[str], images: list[str]) -> None:
    done = Command("classify", images[0], "out.npy", *net)
    assert (done.status, done.output) == (0, "")
    assert done.said[-1] == "Saving results into out.npy"
    np.testing.assert_allclose(np.load("out.npy"), expected(net, images[:1]), atol=1e-6)


def test_a_folder_goes_in_the_order_of_its_names(net: list[str], images: list[str]) -> None:
    assert Command("classify", "images", "out.csv", *net, "--ext", "png", "--center_only").status == 0
    rows = list(csv.reader(Path("out.csv").read_text().splitlines()))
    assert rows[0] == ["filename", *(f"class{i}" for i in range(CLASSES))]
    assert [row[0] for row in rows[1:]] == [f"images/{name}.png" for name in "abcde"]
    want = expected(net, sorted(images), oversample=False)
    np.testing.assert_allclose(np.array([row[1:] for row in rows[1:]], float), want, atol=1e-6)


@pytest.mark.parametrize("batch", ["1", "4", "50"])
def test_any_batch_gives_the_same(batch: str, net: list[str], images: list[str]) -> None:
    assert Command("classify", "images", "out", *net, "--ext=.png", "--batch", batch).status == 0
    np.testing.assert_allclose(np.load("out.npy"), expected(net, sorted(images)), atol=1e-6)


def test_an_array_of_images(net: list[str], images: list[str]) -> None:
    np.save("in.npy", np.array([io.load_image(path) for path in images]))
    assert Command("classify", "in.npy", "out.csv", *net).status == 0
    rows = list(csv.reader(Path("out.csv").read_text().splitlines()))[1:]
    assert [row[0] for row in rows] == [f"in.npy:{i}" for i in range(5)]
    np.testing.assert_allclose(np.array([row[1:] for row in rows], float), expected(net, images), atol=1e-6)


def test_the_best_classes_are_printed(net: list[str], images: list[str]) -> None:
    values = expected(net, images[:1])[0]
    order = np.argsort(-values)
    printed = Command("classify", images[0], *net, "--top", "2").output.splitlines()
    assert printed == [images[0], *(f"  {values[i]:.5f}  class {i}" for i in order[:2])]
    Path("words.txt").write_text("".join(f"n0144076{i} thing {i}, other name\n" for i in range(CLASSES)))
    done = Command("classify", images[0], "out", *net, "--labels_file", "words.txt", "--print_results")
    assert done.output.splitlines()[1:] == [f"  {values[i]:.5f}  thing {i}" for i in order]
    assert Path("out.npy").exists()


def test_plain_labels_keep_their_commas(net: list[str], images: list[str]) -> None:
    Path("labels.txt").write_text("a cat, sitting\nb\nc\nd\n\n")
    assert "  a cat, sitting\n" in Command("classify", images[0], *net, "--labels_file", "labels.txt").output


def test_caffes_labels_are_taken_where_they_are(net: list[str], images: list[str]) -> None:
    Path("data/ilsvrc12").mkdir(parents=True)
    Path("data/ilsvrc12/synset_words.txt").write_text("\n".join("wxyz"))
    assert sorted(line[-1] for line in Command("classify", images[0], *net).output.splitlines()[1:]) == list("wxyz")


def test_a_gray_net_takes_gray_images(here: Path, images: list[str]) -> None:
    model, weights = write_image_net(here, channels=1)
    done = Command(
        "classify", images[0], "out", "--model_def", model, "--pretrained_model", weights, "--mean_file", "",
        "--images_dim", "12,10", "--raw_scale", "1", "--input_scale", "0.5", "--center_only",
    )  # fmt: skip
    assert done.status == 0, done.output
    want = Classifier(model, weights, input_scale=0.5).predict([io.load_image(images[0], color=False)], False)
    np.testing.assert_allclose(np.load("out.npy"), want, atol=1e-6)


def test_a_mean_of_compute_image_mean(net: list[str], images: list[str]) -> None:
    mean = np.random.default_rng(4).random((1, 3, 6, 5)) * 200
    blob = io.array_to_blobproto(mean)
    Path("mean.binaryproto").write_bytes(blob.SerializeToString())
    assert Command("classify", images[0], "out", *net, "--mean_file", "mean.binaryproto").status == 0
    classifier = Classifier(net[1], net[3], (16, 16), mean[0].mean((1, 2)), raw_scale=255, channel_swap=(2, 1, 0))
    np.testing.assert_allclose(np.load("out.npy"), classifier.predict([io.load_image(images[0])]), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["none.png"], 1, 'no image, folder of images or .npy file "none.png"'),
        (["images"], 1, "images: there is no file *.jpg in this folder; --ext names another extension."),
        (["images/a.png", "none/out.npy"], 1, 'Cannot write "none/out.npy"'),
        (["text.png"], 1, "text.png"),
        (["bad.npy"], 1, "bad.npy: expected images of N x H x W x K, got shape [3, 3]."),
        (["text.npy"], 1, "text.npy: expected an array of numbers in an .npy file, got none."),
        (["objects.npy"], 1, "objects.npy: expected an array of numbers"),
        (["images/a.png", "--mean_file", "none.npy"], 1, 'no mean file "none.npy"'),
        (["images/a.png", "--mean_file", "bad.npy"], 1, "bad.npy: expected a mean of C x H x W, got shape [3, 3]"),
        (["images/a.png", "--mean_file", "images/a.png"], 1, "images/a.png is not a file of a mean image"),
        (["images/a.png", "--model_def", "none.prototxt"], 1, "none.prototxt"),
        (["images/a.png", "--channel_swap", "1,0"], 1, "order of the 3 channels"),
        (["images/a.png", "--channel_swap", "a,b"], 2, "expected whole numbers of 0 or more"),
        (["images/a.png", "--images_dim", "16"], 2, "expected 2 whole numbers of 1 or more"),
        (["images/a.png", "--images_dim", "5,5"], 1, "at least those of the input, [12, 10]"),
        (["images/a.png", "--labels_file", "short.txt"], 1, "a line for each of the net's 4 classes, got 1"),
        (["images/a.png", "--labels_file", "none.txt"], 1, 'no labels file "none.txt"'),
        (["images/a.png", "--batch", "0"], 2, "--batch"),
    ],
)
def test_what_is_wrong_is_said(
    arguments: list[str], status: int, sentence: str, net: list[str], images: list[str], here: Path
) -> None:
    (here / "text.png").write_text("no image")
    (here / "text.npy").write_text("no array")
    (here / "short.txt").write_text("one\n")
    np.save(here / "bad.npy", np.zeros((3, 3)))
    np.save(here / "objects.npy", np.array([{}], object))
    done = Command("classify", *net, *arguments)
    assert done.status == status, done.output
    assert sentence in done.sentence()


def test_labels_that_do_not_fit_are_told_before_the_work(net: list[str], images: list[str]) -> None:
    Path("short.txt").write_text("one\n")
    done = Command("classify", "images", "out", *net, "--ext", "png", "--labels_file", "short.txt", "--print_results")
    assert done.status == 1
    assert not any(line.startswith("Classifying") for line in done.said)


def test_without_caffes_mean_one_is_asked_for(net: list[str], images: list[str]) -> None:
    options = [option for option in net if option not in ("--mean_file", "mean.npy")]
    done = Command("classify", images[0], *options)
    assert done.status == 2
    assert "give the net's own, or '' for none" in done.output
