"""caffe.io against scikit-image, against Caffe's own messages, and with what people get wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError, FileError, MissingExtra
from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.pycaffe import io, resizing
from rigs.pycaffe_images import photo, without, write_image

NAMES = (
    "Transformer array_to_blobproto array_to_datum arraylist_to_blobprotovector_str blobproto_to_array "
    "blobprotovector_str_to_arraylist datum_to_array load_image oversample resize resize_image zoom"
)
READERS = [("skimage",), ()]
"""With OpenCV alone, and with what is installed."""


def test_every_name_of_pycaffes_module_is_there() -> None:
    assert [name for name in NAMES.split() if not callable(getattr(io, name, None))] == []
    methods = "deprocess preprocess set_channel_swap set_input_scale set_mean set_raw_scale set_transpose"
    assert [name for name in methods.split() if not hasattr(io.Transformer, name)] == []


# -- resizing ------------------------------------------------------------------------------------------------

SIZES = [
    ((37, 53, 3), (20, 20)),
    ((20, 20, 1), (37, 53)),
    ((90, 61, 3), (32, 64)),
    ((5, 5, 3), (1, 1)),
    ((1, 1, 3), (4, 5)),
]


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize(("shape", "new"), SIZES)
def test_resize_is_scikit_images(
    shape: tuple[int, ...], new: tuple[int, int], order: int, generator: np.random.Generator
) -> None:
    transform = pytest.importorskip("skimage.transform")
    image = generator.random(shape, np.float32)
    want = transform.resize(image, new, order=order, mode="constant")
    np.testing.assert_allclose(resizing._resized(image, *new, order), want, atol=2e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16"])
@pytest.mark.parametrize("order", [0, 1])
def test_zoom_is_scipys(dtype: str, order: int, generator: np.random.Generator) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    image = (generator.random((21, 17, 4)) * 200 - (0 if dtype == "uint8" else 100)).astype(dtype)
    for factors in ((2.3, 0.4, 1), (0.5, 0.5, 1), (1, 1, 1)):
        want, got = ndimage.zoom(image, factors, order=order), resizing._zoomed(image, factors, order)
        assert (got.dtype, got.shape) == (want.dtype, want.shape)
        np.testing.assert_allclose(got.astype(float), want.astype(float), atol=2e-5)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("scale", [1, 255])
def test_resize_image_is_the_same_without_scikit_image(
    channels: int, scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skimage")
    image = photo(60, 47, channels).astype(np.float32) / 255 * scale
    want = io.resize_image(image, (32, 90))
    without(monkeypatch, "skimage", "scipy")
    got = io.resize_image(image, (32, 90))
    assert got.dtype == want.dtype == np.float32
    assert got.shape == want.shape == (32, 90, channels)
    np.testing.assert_allclose(got, want, atol=1e-5 * scale)


def test_resize_image_keeps_a_constant_and_a_size() -> None:
    np.testing.assert_array_equal(io.resize_image(np.full((4, 5, 3), 7, np.uint8), (2, 9)), np.full((2, 9, 3), 7.0))
    image = photo(11, 13).astype(np.float32)
    np.testing.assert_allclose(io.resize_image(image, (11, 13)), image, atol=1e-4)


def test_resize_image_of_many_channels_keeps_its_last_column() -> None:
    image = np.ones((60, 47, 2), np.float32)
    image[0, 0] = 0
    assert io.resize_image(image, (32, 90))[:, -1].min() == 1


def test_resize_image_halves_by_smoothing_first() -> None:
    stripes = np.zeros((8, 64, 1), np.float32)
    stripes[:, ::2] = 1
    inner = io.resize_image(stripes, (8, 16))[2:-2, 2:-2]
    assert 0.4 < inner.min() <= inner.max() < 0.6


def test_resize_image_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    for image, size in [(np.zeros((4, 4)), (2, 2)), (np.zeros((0, 4, 3)), (2, 2)), (np.zeros((4, 4, 3)), (0, 2))]:
        with pytest.raises(ValueError, match="Expected"):
            io.resize_image(image, size)
    without(monkeypatch, "skimage", "scipy")
    with pytest.raises(CaffeError, match="pip install scikit-image"):
        io.resize_image(photo(5, 5), (3, 3), interp_order=3)
    with pytest.raises(CaffeError, match="pip install scipy"):
        io.resize_image(photo(5, 5, 2), (3, 3), interp_order=3)


# -- image files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", READERS)
def test_load_image_reads_colours_as_rgb_from_0_to_1(
    missing: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, *missing)
    pixels = photo(6, 9)
    image = io.load_image(write_image(tmp_path / "a.png", pixels))
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, (pixels / 255.0).astype(np.float32))
    with open(tmp_path / "a.png", "rb") as file:
        np.testing.assert_array_equal(io.load_image(file), image)
    clear = np.dstack([pixels, np.full((6, 9), 128, np.uint8)])
    np.testing.assert_array_equal(io.load_image(write_image(tmp_path / "b.png", clear)), image)


@pytest.mark.parametrize("missing", READERS)
def test_load_image_reads_gray(missing: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, *missing)
    pixels = photo(6, 9)
    gray = io.load_image(write_image(tmp_path / "a.png", pixels[:, :, 0]), color=False)
    np.testing.assert_array_equal(gray, (pixels[:, :, :1] / 255.0).astype(np.float32))
    tripled = io.load_image(tmp_path / "a.png")
    np.testing.assert_array_equal(tripled, np.tile(gray, (1, 1, 3)))
    weighed = io.load_image(write_image(tmp_path / "b.png", pixels), color=False)
    np.testing.assert_allclose(weighed[:, :, 0], pixels @ [0.2125, 0.7154, 0.0721] / 255, atol=1e-6)
    deep = io.load_image(write_image(tmp_path / "c.png", pixels[:, :, 0].astype(np.uint16) * 257))
    np.testing.assert_allclose(deep, tripled, atol=1e-6)


def test_load_image_agrees_with_scikit_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skimage = pytest.importorskip("skimage")
    skimage_io = pytest.importorskip("skimage.io")
    clear = np.dstack([photo(20, 30), photo(20, 30, 1, seed=9)])
    paths = [write_image(tmp_path / "a.jpg", photo(20, 30)), write_image(tmp_path / "b.png", clear)]
    want = [skimage.img_as_float(skimage_io.imread(path)).astype(np.float32)[:, :, :3] for path in paths]
    want_gray = [skimage.img_as_float(skimage_io.imread(path, as_gray=True)).astype(np.float32) for path in paths[:1]]
    for missing, tolerance in (((), 1e-6), (("skimage",), 1e-2)):
        without(monkeypatch, *missing)
        for path, image in zip(paths, want, strict=True):
            np.testing.assert_allclose(io.load_image(path), image, atol=tolerance)
        for path, image in zip(paths, want_gray, strict=False):
            np.testing.assert_allclose(io.load_image(path, False)[:, :, 0], image, atol=tolerance)


@pytest.mark.parametrize("missing", READERS)
def test_load_image_names_a_file_that_is_none(
    missing: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, *missing)
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no image " * 50)
    (tmp_path / "cut.png").write_bytes(Path(write_image(tmp_path / "whole.png", photo(40, 40))).read_bytes()[:30])
    for name in ("none.jpg", "empty.jpg", "text.jpg", "cut.png", "."):
        with pytest.raises(OSError, match=f"{name}.*: ") as problem:
            io.load_image(tmp_path / name)
        assert isinstance(problem.value, FileError)
        assert str(tmp_path) in str(problem.value)


def test_load_image_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_image(tmp_path / "a.png", photo(4, 4))
    without(monkeypatch, "skimage", "cv2")
    with pytest.raises(MissingExtra, match=r"pycaffe-lite\[images\]"):
        io.load_image(path)


# -- crops ---------------------------------------------------------------------------------------------------


def test_oversample_crops_corners_centre_and_mirrors() -> None:
    images = np.arange(2 * 5 * 8 * 3).reshape(2, 5, 8, 3)
    crops = io.oversample(images, (2, 3))
    assert (crops.shape, crops.dtype) == ((20, 2, 3, 3), np.float32)
    for n, image in enumerate(images):
        want = [image[top : top + 2, left : left + 3] for top, left in ((0, 0), (0, 5), (3, 0), (3, 5), (1, 2))]
        np.testing.assert_array_equal(crops[10 * n : 10 * n + 5], want)
        np.testing.assert_array_equal(crops[10 * n + 5 : 10 * n + 10], [crop[:, ::-1] for crop in want])


def test_oversample_says_what_is_wrong() -> None:
    for images, size in [
        ([], (2, 2)),
        ([np.zeros((4, 4, 3)), np.zeros((5, 4, 3))], (2, 2)),
        ([np.zeros((4, 4))], (2, 2)),
    ]:
        with pytest.raises(ValueError, match="Expected one or more images of one shape"):
            io.oversample(images, size)
    with pytest.raises(ValueError, match="no crop of 5 x 4 in an image of 4 x 4"):
        io.oversample([np.zeros((4, 4, 3))], (5, 4))


# -- messages ------------------------------------------------------------------------------------------------


def test_blobproto_there_and_back() -> None:
    array, diff = np.arange(24.0).reshape(2, 3, 4), -np.arange(24.0).reshape(2, 3, 4)
    blob = io.array_to_blobproto(array, diff)
    assert list(blob.shape.dim) == [2, 3, 4]
    np.testing.assert_array_equal(io.blobproto_to_array(blob), array)
    np.testing.assert_array_equal(io.blobproto_to_array(blob, return_diff=True), diff)
    old = caffe_pb2.BlobProto(num=1, channels=2, height=1, width=2, data=[1, 2, 3, 4])
    np.testing.assert_array_equal(io.blobproto_to_array(old), [[[[1, 2]], [[3, 4]]]])
    with pytest.raises(ValueError, match=r"shape \[2, 3\] has 4 values"):
        io.blobproto_to_array(caffe_pb2.BlobProto(shape=caffe_pb2.BlobShape(dim=[2, 3]), data=[1, 2, 3, 4]))


def test_blobprotovector_there_and_back() -> None:
    arrays = [np.arange(6.0).reshape(1, 2, 3), np.ones((2, 2, 1, 1))]
    back = io.blobprotovector_str_to_arraylist(io.arraylist_to_blobprotovector_str(arrays))
    for array, other in zip(arrays, back, strict=True):
        np.testing.assert_array_equal(other, array)
    with pytest.raises(ValueError, match="Expected a BlobProtoVector"):
        io.blobprotovector_str_to_arraylist(b"\xff\xff no message")


def test_datum_there_and_back() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    datum = io.array_to_datum(pixels, 7)
    assert (datum.data, datum.label, datum.channels) == (pixels.tobytes(), 7, 3)
    np.testing.assert_array_equal(io.datum_to_array(caffe_pb2.Datum.FromString(datum.SerializeToString())), pixels)
    floats = io.array_to_datum(pixels.astype(np.float32) / 4)
    assert not floats.HasField("label")
    assert not floats.data
    np.testing.assert_array_equal(io.datum_to_array(floats), pixels / 4)
    assert io.datum_to_array(datum).flags.writeable


def test_datum_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"got one of shape \[2, 2\]"):
        io.array_to_datum(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="has 2 values"):
        io.datum_to_array(caffe_pb2.Datum(channels=3, height=1, width=1, data=b"ab"))
    with pytest.raises(ValueError, match="encoded image"):
        io.datum_to_array(caffe_pb2.Datum(encoded=True, data=b"ab"))


# -- Transformer ---------------------------------------------------------------------------------------------


def imagenet(mean: np.ndarray) -> io.Transformer:
    """The settings of CaffeNet's examples."""
    transformer = io.Transformer({"data": (10, 3, 6, 8)})
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_mean("data", mean)
    transformer.set_raw_scale("data", 255)
    transformer.set_channel_swap("data", (2, 1, 0))
    transformer.set_input_scale("data", 0.5)
    return transformer


def test_preprocess_does_all_in_caffes_order() -> None:
    image = photo(6, 8).astype(np.float32) / 255
    before = image.copy()
    mean = np.array([104.0, 117.0, 123.0])
    got = imagenet(mean).preprocess("data", image)
    want = (image[:, :, ::-1] * 255 - mean) * 0.5
    np.testing.assert_allclose(got, want.transpose(2, 0, 1), atol=1e-4)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(image, before)


def test_preprocess_resizes_to_the_input() -> None:
    image = photo(30, 20).astype(np.float32) / 255
    transformer = io.Transformer({"data": [1, 3, 6, 8]})
    np.testing.assert_array_equal(transformer.preprocess("data", image), io.resize_image(image, (6, 8)))


def test_deprocess_is_the_way_back() -> None:
    image = photo(6, 8).astype(np.float32) / 255
    transformer = imagenet(np.linspace(90, 130, 3 * 6 * 8).reshape(3, 6, 8))
    data = transformer.preprocess("data", image)[np.newaxis]
    np.testing.assert_allclose(transformer.deprocess("data", data), image, atol=1e-5)
    gray = io.Transformer({"data": (1, 1, 6, 8)})
    assert gray.deprocess("data", np.zeros((1, 1, 6, 8))).shape == (6, 8)
    gray.set_transpose("data", (2, 0, 1))
    gray.set_mean("data", np.array([3.0]))
    np.testing.assert_array_equal(gray.deprocess("data", np.zeros((1, 1, 6, 8), int)), np.full((6, 8, 1), 3.0))


def test_deprocess_undoes_an_order_that_is_not_its_own_inverse() -> None:
    transformer = io.Transformer({"data": (1, 3, 4, 5)})
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_channel_swap("data", (1, 2, 0))
    image = photo(4, 5).astype(np.float32)
    np.testing.assert_array_equal(transformer.deprocess("data", transformer.preprocess("data", image)), image)


def test_a_mean_of_another_size_is_resized() -> None:
    mean = photo(12, 10).astype(np.float64).transpose(2, 0, 1)
    transformer = imagenet(mean)
    want = io.resize_image(mean.transpose(1, 2, 0), (6, 8)).transpose(2, 0, 1)
    np.testing.assert_allclose(transformer.mean["data"], want, atol=1e-4)
    flat = imagenet(np.full((12, 10), 5.0))
    np.testing.assert_array_equal(flat.mean["data"], np.full((1, 6, 8), 5.0))


def test_a_transformer_says_what_is_wrong() -> None:
    transformer = io.Transformer({"data": (1, 3, 6, 8)})
    with pytest.raises(CaffeError, match='"dat" is not one of the inputs data; did you mean "data"'):
        transformer.preprocess("dat", np.zeros((6, 8, 3)))
    for mean in (np.zeros(2), np.zeros((4, 6, 8)), np.zeros((1, 3, 6, 8)), np.zeros(())):
        with pytest.raises(ValueError, match="Expected a mean"):
            transformer.set_mean("data", mean)
    for order in ((2, 0), (0, 0, 1), (3, 0, 1)):
        with pytest.raises(CaffeError, match="order of the 3 axes"):
            transformer.set_transpose("data", order)
    for order in ((1, 0), (0, 1, 3)):
        with pytest.raises(CaffeError, match="order of the 3 channels"):
            transformer.set_channel_swap("data", order)
    transformer.set_mean("data", np.zeros(3))
    with pytest.raises(ValueError, match="is set_transpose missing"):
        transformer.preprocess("data", np.zeros((6, 8, 3)))
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_channel_swap("data", (2, 1, 0))
    with pytest.raises(ValueError, match="an image with 1 channels"):
        transformer.preprocess("data", np.zeros((6, 8, 1)))
