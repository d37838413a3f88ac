"""What the head of an image file claims, before a decoder takes memory for it.

A file of a kilobyte may say that it is an image of 30000 x 30000, and OpenCV asks for the memory and fills it, which
takes seconds and gigabytes, whether or not the file goes on. But each format packs only so many pixels into a byte.
So a file that is too short for its size is told from its head. Of the formats that OpenCV reads, those are looked at
which it fills up to the claimed size; others it refuses soon.

Sources: the PNG specification (deflate: RFC 1951); ITU-T T.81 (JPEG); GIF89a; the WebP container; the BMP format.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from pycaffe_lite.errors import CaffeError

_ALWAYS = 1 << 18
"""An image of no more pixels than this is decoded, whatever its file looks like."""

_MOST_SCANS = 256
_DEFLATE = 1032  # bytes out of one, at best
_JPEG = 512  # at least a bit for each block of 8 x 8 pixels
_GIF = 2731  # 4096 pixels for a code of 12 bits
_BMP = 128  # 255 pixels for two bytes, run-length encoded
_WEBP = 1 << 16  # no limit of the format, whose plain images take next to nothing
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


class Claim(NamedTuple):
    """What a file says of itself.

    Attributes:
        width, height: in pixels.
        most: how many pixels its format can pack into a byte.
        scans: how often it goes over the image.
    """

    width: int
    height: int
    most: float
    scans: int = 1


def check_head(data: bytes) -> None:
    """Raises a CaffeError for an image file that is far too short for the size its head claims.

    Files of formats that are not known here, or whose heads are damaged, pass.
    """
    claim = claim_of(data)
    if claim is None:
        return
    width, height, most, scans = claim
    if width * height > max(_ALWAYS, most * len(data)):
        raise CaffeError(
            f"expected an encoded image, got {len(data)} bytes that claim {height} rows of {width} pixels, far more "
            "than they can hold."
        )
    if scans > _MOST_SCANS:
        raise CaffeError(f"expected an encoded image, got one that is gone over {scans} times.")


def claim_of(data: bytes) -> Claim | None:
    """What the file claims; None if it is of another format, or ends before it says."""
    for start, read in _READERS.items():
        if data.startswith(start):
            try:
                return read(data)
            except (struct.error, IndexError):
                return None
    return None


def _png(data: bytes) -> Claim:
    width, height, bits, color = struct.unpack_from(">IIBB", data, 16)
    return Claim(width, height, _DEFLATE * 8 / max(1, bits * _PNG_CHANNELS.get(color, 1)))


def _jpeg(data: bytes) -> Claim | None:
    """Goes from one segment to the next up to that which has the size."""
    at = 2
    while True:
        at = data.find(b"\xff", at)
        if at < 0:
            return None
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        at += 1
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 3)
            progressive = marker in (0xC2, 0xC6, 0xCA, 0xCE)
            return Claim(width, height, _JPEG, data.count(b"\xff\xda", at) if progressive else 1)
        if marker not in (0x00, 0x01) and not 0xD0 <= marker <= 0xD8:
            at += struct.unpack_from(">H", data, at)[0]


def _gif(data: bytes) -> Claim:
    width, height = struct.unpack_from("<HH", data, 6)
    return Claim(width, height, _GIF)


def _bmp(data: bytes) -> Claim:
    old = struct.unpack_from("<I", data, 14)[0] == 12
    width, height = struct.unpack_from("<HH" if old else "<ii", data, 18)
    return Claim(abs(width), abs(height), _BMP)


def _webp(data: bytes) -> Claim | None:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return Claim(width, height, _WEBP)


_READERS: dict[bytes, Callable[[bytes], Claim | None]] = {
    b"\xff\xd8": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"GIF8": _gif,
    b"BM": _bmp,
    b"RIFF": _webp,
}
