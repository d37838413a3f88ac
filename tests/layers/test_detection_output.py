"""DetectionOutput: what keep_top_k leaves, and the files of results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.detection_files import original_boxes
from pycaffe_lite.phase import TEST
from pycaffe_lite.proto.caffe_pb2 import ResizeParameter
from pycaffe_lite.proto.text import parse
from rigs.kernel_choice import PLAIN, using
from rigs.layer_rig import Rig
from rigs.net_rig import logged, messages

TEXT = (
    'name: "det" type: "DetectionOutput" bottom: "a" bottom: "b" bottom: "c" top: "y" detection_output_param {{ {} }}'
)
LABELS = """item { name: "none" label: 0 display_name: "background" }
item { name: "cat" label: 1 }
item { name: "17" label: 2 }
"""


def bottoms(images: int, seed: int, priors: int = 300, classes: int = 3) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    begin = generator.uniform(0, 0.7, (priors, 2))
    boxes = np.concatenate([begin, begin + generator.uniform(0.05, 0.3, (priors, 2))], axis=1)
    prior = np.stack([boxes.reshape(-1), np.tile([0.1, 0.1, 0.2, 0.2], priors)])[None]
    codes = generator.normal(size=(images, priors * 4)) * 0.3
    return [codes, generator.uniform(0, 1, (images, priors * classes)), prior]


@pytest.mark.parametrize("most", [0, 1, 60, 200, 5000])
@pytest.mark.parametrize("more", ["", "share_location: false"])
def test_keep_top_k_leaves_the_best_of_all(most: int, more: str) -> None:
    """Not looking at all candidates gives what looking at all of them and cutting then gives."""
    fields = f"num_classes: 3 code_type: CENTER_SIZE nms_param {{ nms_threshold: 0.4 }} {more} keep_top_k: "
    arrays = bottoms(2, 1)
    if more:
        arrays[0] = np.tile(arrays[0].reshape(2, 300, 1, 4), (1, 1, 3, 1)).reshape(2, -1)
    every = Rig(TEXT.format(f"{fields} -1"), arrays).forward()[0][0, 0]
    some = Rig(TEXT.format(f"{fields} {most}"), arrays).forward()[0][0, 0]
    expected = []
    for image in range(2):
        rows = every[every[:, 0] == image]
        best = np.sort(np.argsort(-rows[:, 2], kind="stable")[:most])
        expected.append(rows[best])
    if most == 0:
        np.testing.assert_array_equal(some, [[0, *[-1] * 6], [1, *[-1] * 6]])
    else:
        np.testing.assert_array_equal(some, np.concatenate(expected))


def test_boxes_may_be_cut_to_the_image_before_they_are_compared() -> None:
    """OpenCV's field: two boxes of which only parts outside of the image differ are one."""
    prior = np.array([[[0.5, 0.5, 0.9, 0.9] * 2, [1.0] * 8]])
    codes = np.array([[0, 0, 0.2, 0.1, 0, 0, 0.1, 0.9]])
    scores = np.array([[0, 0.9, 0, 0.8]])
    fields = "num_classes: 2 confidence_threshold: 0.1 nms_param { nms_threshold: 0.6 }"
    whole = Rig(TEXT.format(fields), [codes, scores, prior]).forward()[0][0, 0]
    np.testing.assert_allclose(whole[:, 3:], [[0.5, 0.5, 1.1, 1], [0.5, 0.5, 1, 1.8]], rtol=1e-6)
    cut = Rig(TEXT.format(fields + " clip: true"), [codes, scores, prior]).forward()[0][0, 0]
    np.testing.assert_allclose(cut[:, 2:], [[0.9, 0.5, 0.5, 1, 1]], rtol=1e-6)


def plain_detections(arrays: list[np.ndarray], threshold: float, overlap: float, top_k: int, keep: int) -> list[tuple]:
    """What the layer is to find, box by box, where codes are 0: rows of image, class, score and prior."""
    _, scores, prior = arrays
    boxes, rows = prior[0, 0].reshape(-1, 4), []
    for image, values in enumerate(scores.reshape(len(scores), len(boxes), -1)):
        found = []
        for label in range(1, values.shape[1]):
            candidates = [i for i in range(len(boxes)) if values[i, label] > threshold]
            candidates.sort(key=lambda i: -values[i, label])
            kept: list[int] = []
            for i in candidates[: top_k if top_k >= 0 else None]:
                if all(share(boxes[i], boxes[k]) <= overlap for k in kept):
                    kept.append(i)
            found += [(image, label, float(values[i, label]), i) for i in kept]
        best = sorted(range(len(found)), key=lambda n: -found[n][2])[: keep if keep >= 0 else None]
        rows += [found[n] for n in sorted(best)]
    return rows


def share(a: np.ndarray, b: np.ndarray) -> float:
    shared = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 99),
    st.sampled_from([0, 1, 30, 80]),
    st.sampled_from([-1, 0.25, 0.9, 2]),
    st.sampled_from([-1, 5, 40]),
    st.sampled_from([-1, 3, 30]),
)
def test_finds_what_a_loop_finds(seed: int, specials: int, threshold: float, top_k: int, keep: int) -> None:
    """With many equal scores, scores that are not numbers, and few boxes or none above the threshold."""
    rng = np.random.default_rng(seed)
    codes, _, prior = bottoms(2, seed, priors=60)
    scores = rng.integers(0, 9, (2, 180)) / 8
    scores.reshape(-1)[rng.integers(0, 360, specials)] = rng.choice([np.nan, np.inf, -np.inf], specials)
    arrays = [np.zeros_like(codes), scores, prior.astype(np.float32).astype(np.float64)]
    fields = f"num_classes: 3 nms_param {{ nms_threshold: 0.4 {f'top_k: {top_k}' if top_k >= 0 else ''} }}"
    fields += f" keep_top_k: {keep} confidence_threshold: {threshold}"
    expected = plain_detections(arrays, threshold, 0.4, top_k, keep)
    for kernels in (None, PLAIN):
        with using(kernels):
            found = Rig(TEXT.format(fields), arrays, phase=TEST).forward()[0][0, 0]
        if not expected:
            np.testing.assert_array_equal(found, [[0, *[-1] * 6], [1, *[-1] * 6]])
            continue
        np.testing.assert_array_equal(found[:, :3], [row[:3] for row in expected])
        boxes = prior[0, 0].reshape(-1, 4)[[row[3] for row in expected]]
        np.testing.assert_allclose(found[:, 3:], boxes, rtol=1e-5)


# -- files ---------------------------------------------------------------------------------------------------


def detect(folder: Path, kind: str, more: str = "", sizes: str = "a 100 200\nb 50 80\n") -> Rig:
    """A layer that writes what it finds in two images into `folder`/out, and goes forward once."""
    (folder / "labels").write_text(LABELS)
    (folder / "sizes").write_text(sizes)
    save = (
        f'save_output_param {{ output_directory: "{folder}/out" output_name_prefix: "p_" output_format: "{kind}" '
        f'label_map_file: "labels" name_size_file: "sizes" {more} }}'
    )
    prior = np.stack([np.array([0.1, 0.2, 0.5, 0.6, 0.25, 0.5, 1.2, 0.9]), np.full(8, 0.1)])[None]
    scores = np.array([[0, 0.9, 0.1, 0, 0.2, 0.123456789], [0, 0.1, 0.1, 0, 0.1, 0.95]])
    rig = Rig(
        TEXT.format(f"num_classes: 3 confidence_threshold: 0.11 {save}"),
        [np.zeros((2, 8)), scores, prior],
        phase=TEST,
        folder=str(folder),
    )
    rig.forward()
    return rig


def test_writes_voc(tmp_path: Path) -> None:
    detect(tmp_path, "VOC")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["p_17.txt", "p_cat.txt"]
    assert (tmp_path / "out" / "p_cat.txt").read_text() == "a 0.9 20 20 100 60\na 0.2 50 50 200 90\n"
    assert (tmp_path / "out" / "p_17.txt").read_text() == "a 0.123457 50 50 200 90\nb 0.95 20 25 80 45\n"


def test_writes_ilsvrc(tmp_path: Path) -> None:
    detect(tmp_path, "ILSVRC")
    lines = (tmp_path / "out" / "p_.txt").read_text().splitlines()
    assert lines[0] == "a 1 0.9 20 20 100 60"
    assert lines[-1] == "b 2 0.95 20 25 80 45"
    assert len(lines) == 4


def test_writes_coco(tmp_path: Path) -> None:
    detect(tmp_path, "COCO", sizes="00012 100 200\n7 50 80\n")
    first, *_, last = json.loads((tmp_path / "out" / "p_.json").read_text())
    assert first["image_id"] == "00012" and last["image_id"] == 7
    assert first["category_id"] == "cat" and last["category_id"] == 17
    assert first["bbox"] == [20, 20, 80, 40]
    assert last["score"] == pytest.approx(0.95)


def test_begins_anew_after_so_many_images(tmp_path: Path) -> None:
    rig = detect(tmp_path, "VOC", "num_test_image: 1")
    assert (tmp_path / "out" / "p_17.txt").read_text() == "a 0.95 50 50 200 90\n"
    (tmp_path / "out" / "p_17.txt").unlink()
    rig.forward()
    assert (tmp_path / "out" / "p_17.txt").exists()


def test_without_the_files_of_those_who_trained_it_a_net_runs(tmp_path: Path) -> None:
    lines = logged()
    save = (
        'save_output_param { output_directory: "out" output_format: "VOC" label_map_file: "no" name_size_file: "no" }'
    )
    Rig(TEXT.format(f"num_classes: 3 {save}"), bottoms(1, 2), folder=str(tmp_path)).forward()
    assert not (tmp_path / "out").exists()
    (line,) = [line for line in messages(lines) if "results" in line]
    assert line.startswith('layer "det" (DetectionOutput): no results are written. There is no label map "no"')


@pytest.mark.parametrize(
    ("kind", "more", "sizes", "sentence"),
    [
        ("XML", "", "a 1 1\n", 'output_format "VOC", "COCO" or "ILSVRC", got "XML"'),
        ("VOC", "num_test_image: 3", "a 1 1\n", "for each of num_test_image 3 images .* got 1"),
        ("VOC", "num_test_image: 0", "a 1 1\n", "num_test_image 0"),
        ("VOC", "", "a 1\n", 'sizes:1: expected a name, a height and a width, got "a 1"'),
        ("VOC", "", "a x 1\n", "sizes:1: expected a name"),
    ],
)
def test_files_that_do_not_fit_are_refused(kind: str, more: str, sizes: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=sentence):
        detect(tmp_path, kind, more, sizes)


def test_classes_without_a_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels").write_text(LABELS.replace("label: 2", "label: 5"))
    (tmp_path / "sizes").write_text("a 1 1\n")
    save = 'output_directory: "o" output_format: "VOC" label_map_file: "labels" name_size_file: "sizes"'
    with pytest.raises(CaffeError, match=r"a name for each of 3 classes in .*labels, got none for 2"):
        Rig(TEXT.format(f"num_classes: 3 save_output_param {{ {save} }}"), bottoms(1, 2), folder=str(tmp_path))


@pytest.mark.parametrize(
    ("resize", "box", "expected"),
    [
        ("", (-0.5, 0.1, 0.5, 1.5), (0, 10, 100, 100)),
        ("resize_mode: WARP height: 300 width: 300", (0.1, 0.1, 0.5, 0.5), (20, 10, 100, 50)),
        # A wide image in a square has a quarter of it above and below.
        ("resize_mode: FIT_LARGE_SIZE_AND_PAD height: 300 width: 300", (0, 0.25, 0.5, 0.5), (0, 0, 100, 50)),
        ("resize_mode: FIT_LARGE_SIZE_AND_PAD height: 100 width: 400", (0.25, 0, 0.5, 1), (0, 0, 100, 100)),
        ("resize_mode: FIT_LARGE_SIZE_AND_PAD height: 300 width: 300", (0, 0.8, 1, 0.9), (0, 80, 200, 90)),
        ("resize_mode: FIT_SMALL_SIZE height_scale: 50 width_scale: 50", (0.5, 0.5, 9, 1), (25, 25, 200, 50)),
        ("resize_mode: FIT_SMALL_SIZE height: 300 width: 300", (0.5, 0.5, 1, 1), (100, 50, 200, 100)),
    ],
)
def test_boxes_go_back_to_the_image_before_it_was_resized(
    resize: str, box: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    param = parse(resize, ResizeParameter) if resize else None
    np.testing.assert_allclose(original_boxes(np.array([box]), 100, 200, param), [expected], atol=1e-9)
