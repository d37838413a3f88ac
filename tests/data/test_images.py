"""The pixels of image files, resized as Caffe does it; files that are none, or that claim what no one can hold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.images import decode, pixels, read_bytes, resize
from pycaffe_lite.data.sources.image_list import read_image_list
from pycaffe_lite.errors import CaffeError, FileError, MissingExtra
from rigs.golden_formats import FORMATS
from rigs.image_variants import encoded


def golden(name: str, **options: int) -> np.ndarray:
    return pixels(read_bytes(str(FORMATS / "images" / name)), **options)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=rf"no.png: no such file \({tmp_path}/no.png\)"):
        read_bytes(str(tmp_path / "no.png"))
    with pytest.raises(FileError, match="not a plain file"):
        read_bytes(str(tmp_path))
    with pytest.raises(FileError, match="not a plain file"):
        read_bytes("/dev/zero")
    with pytest.raises(FileError, match="no such file"):
        read_bytes("nul\0byte")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(FileError, match="expected an image file, got 0 bytes"):
        read_bytes(str(tmp_path / "empty.png"))
    with open(tmp_path / "large.png", "wb") as file:
        file.truncate(2**31)
    with pytest.raises(FileError, match="expected an image file, got 2147483648 bytes"):
        read_bytes(str(tmp_path / "large.png"))


def test_resizes_as_caffe_does() -> None:
    pytest.importorskip("cv2")
    expected = np.load(FORMATS / "db" / "resized_lmdb.npz")["data"]
    for line, values in zip(read_image_list(str(FORMATS / "big.txt")), expected, strict=True):
        np.testing.assert_allclose(
            golden(line.name, height=14, width=9).astype(int), values, rtol=0, atol=2 if ".jpg" in line.name else 0
        )


def test_one_size_alone_is_none() -> None:
    pytest.importorskip("cv2")
    assert golden("img00.png", height=5).shape == golden("img00.png", width=5).shape == (3, 10, 12)
    assert golden("img00.png", color=False, height=5, width=4).shape == (1, 5, 4)


def test_sizes_beyond_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    with pytest.raises(CaffeError, match="cannot resize an image to height 2147483647 and width 2147483647"):
        resize(np.zeros((3, 2, 2), np.uint8), 2**31 - 1, 2**31 - 1)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtra, match=r"pycaffe-lite\[images\]"):
        resize(np.zeros((3, 2, 2), np.uint8), 1, 1)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"no image", b"\xff\xd8" + b"\xff" * 1000])
def test_other_files(data: bytes) -> None:
    pytest.importorskip("cv2")
    with pytest.raises(CaffeError, match=f"expected an encoded image, got {len(data)} bytes that are none"):
        decode(data)


def test_an_image_with_sixteen_bits() -> None:
    pytest.importorskip("cv2")
    with pytest.raises(CaffeError, match="expected an image with 8 bits a channel, got uint16"):
        decode(encoded("png", bits=16))


CLAIMS = """
import os, resource, sys
import pycaffe_lite.data.images as images
from pycaffe_lite.errors import CaffeError
from rigs.image_variants import claiming
images.opencv("")
side = int(sys.argv[1])
for extension in ("png", "jpg", "bmp", "gif", "webp"):
    longest = min(side, 16383 if extension == "webp" else side)
    data = claiming(extension, longest, longest)
    try:
        print(extension, images.decode(data).shape)
    except CaffeError as problem:
        print(extension, problem)
try:  # a process's ru_maxrss begins with that of its parent
    peak = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
except (OSError, IndexError):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak >> 10, os.environ.get("OPENCV_IO_MAX_IMAGE_PIXELS"))
"""


@pytest.mark.parametrize(("side", "limit"), [(30000, None), (10000, None), (3000, "1000000")])
def test_a_small_file_that_claims_to_be_a_large_image_takes_no_memory(side: int, limit: str | None) -> None:
    """In a process of its own, as OpenCV looks for its limit when it is loaded."""
    pytest.importorskip("cv2"), pytest.importorskip("resource")
    environment = {**os.environ, **({"OPENCV_IO_MAX_IMAGE_PIXELS": limit} if limit else {})}
    code = f"import sys; sys.path[:0] = {sys.path!r}\n{CLAIMS}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(side)], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    *lines, last = done.stdout.splitlines()
    assert len(lines) == 5
    for line in lines:
        assert "bytes that claim more rows, columns or pixels than OpenCV is to read" in line
    peak, variable = last.split()
    assert int(peak) < 300
    assert variable == str(limit)
