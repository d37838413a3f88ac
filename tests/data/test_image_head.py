"""What image files claim: honest files pass, whatever they hold; those that lie are refused at once."""

from __future__ import annotations

import time

import numpy as np
import pytest

from pycaffe_lite.data.decode import decode
from pycaffe_lite.data.image_head import check_head, claim_of
from pycaffe_lite.errors import CaffeError
from rigs.image_variants import bmp, claiming, encoded, many_scans, png

cv2 = pytest.importorskip("cv2")

KNOWN = ("png", "jpg", "bmp", "gif", "webp")
PLAIN = [
    (".png", 1, [cv2.IMWRITE_PNG_BILEVEL, 1]),
    (".png", 1, [cv2.IMWRITE_PNG_COMPRESSION, 9]),
    (".png", 3, [cv2.IMWRITE_PNG_COMPRESSION, 9]),
    (".jpg", 1, [cv2.IMWRITE_JPEG_QUALITY, 0, cv2.IMWRITE_JPEG_OPTIMIZE, 1]),
    (".jpg", 3, [cv2.IMWRITE_JPEG_QUALITY, 0, cv2.IMWRITE_JPEG_OPTIMIZE, 1]),
    (".jpg", 1, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_OPTIMIZE, 1]),
    (".jpg", 3, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_OPTIMIZE, 1]),
    (".bmp", 3, []),
    (".webp", 3, [cv2.IMWRITE_WEBP_QUALITY, 101]),
    (".webp", 3, [cv2.IMWRITE_WEBP_QUALITY, 1]),
]


@pytest.mark.parametrize("extension", [extension for extension in KNOWN if encoded(extension)])
def test_sizes_are_found(extension: str) -> None:
    for height, width in ((40, 36), (17, 301)):
        claim = claim_of(encoded(extension, height, width))
        assert claim is not None
        assert (claim.height, claim.width) == (height, width)


@pytest.mark.parametrize(("extension", "channels", "options"), PLAIN)
def test_the_plainest_images_pass(extension: str, channels: int, options: list[int]) -> None:
    """Nothing packs tighter than an image of one colour."""
    done, data = cv2.imencode(extension, np.zeros((2000, 2000, channels), np.uint8), options)
    assert done
    check_head(data.tobytes())
    assert decode(data.tobytes(), None).shape[1:] == (2000, 2000)


@pytest.mark.parametrize("extension", [extension for extension in KNOWN if encoded(extension)])
def test_files_too_short_for_their_size_are_refused(extension: str) -> None:
    for height, width in ((16383, 16383), (12001, 7000)):
        begin = time.monotonic()
        with pytest.raises(CaffeError, match=rf"bytes that claim {height} rows of {width} pixels, far more than"):
            decode(claiming(extension, width, height)[:800])
        assert time.monotonic() - begin < 0.1


def test_beginnings_are_left_to_the_decoder() -> None:
    """A file that ends in its head, or that is none behind its first bytes."""
    for extension in KNOWN:
        data = encoded(extension)
        for length in (*range(40), len(data) // 2):
            check_head(data[:length])
    for data in (b"\xff\xd8" + b"\xff" * 1000, b"\xff\xd8" + b"\xff\xe0\0\0" * 1000, b"RIFFsizeWEBPVP9 " + bytes(99)):
        check_head(data)


def test_other_forms_of_the_heads() -> None:
    assert claim_of(png(70000, 80000, b"", bits=1, color=0))[:3] == (70000, 80000, 1032 * 8)
    assert claim_of(bmp(5, -7, b""))[:2] == (5, 7)
    old = b"BM" + bytes(12) + b"\x0c\0\0\0" + b"\x05\0\x07\0" + bytes(99)
    assert claim_of(old)[:2] == (5, 7)
    extended = b"RIFFsizeWEBPVP8X" + bytes(8) + b"\xff\xff\0" + b"\xfe\xff\xff" + bytes(99)
    assert claim_of(extended)[:2] == (65536, 2**24 - 1)
    lossy = cv2.imencode(".webp", np.zeros((21, 34, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 50])[1].tobytes()
    assert claim_of(lossy)[:2] == (34, 21)


def test_a_jpeg_may_not_go_over_its_image_for_ever() -> None:
    honest = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert 1 < claim_of(honest).scans < 20
    with pytest.raises(CaffeError, match="got one that is gone over 3000 times"):
        decode(many_scans(3000, 500, 500))
