"""Image files for tests: good ones of each format, heads that claim any size, and damaged ones."""

from __future__ import annotations

import random
import struct
import zlib
from functools import lru_cache

import numpy as np

from rigs.data_variants import damaged

FORMATS = ("png", "jpg", "bmp", "gif", "webp", "tiff", "jp2", "ppm", "ras", "hdr", "avif")
SIZES = (0, 1, 7, 8, 255, 4000, 16383, 30000, 65500, 65535)


@lru_cache
def encoded(extension: str, height: int = 40, width: int = 36, channels: int = 3, bits: int = 8) -> bytes:
    """A file as OpenCV writes it; empty if it cannot write that format."""
    import cv2

    values = np.random.default_rng(4).integers(0, 2**bits, (height, width, channels))
    pixels = values.astype(np.float32 if extension == "hdr" else np.uint16 if bits > 8 else np.uint8)
    try:
        done, data = cv2.imencode(f".{extension}", pixels)
    except cv2.error:
        return b""
    return bytes(data.tobytes()) if done else b""


def png(width: int, height: int, data: bytes, bits: int = 8, color: int = 2, interlaced: int = 0) -> bytes:
    """A PNG of any head, whose data need not fit it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def bmp(width: int, height: int, data: bytes, compression: int = 1) -> bytes:
    """A BMP with a palette, run-length encoded unless said otherwise."""
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, compression, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + 40 + 1024) + head + bytes(1024) + data


def claiming(extension: str, width: int, height: int) -> bytes:
    """A small file whose head claims that size, for the formats whose heads are simple."""
    if extension == "png":
        return png(width, height, bytes(1000))
    if extension == "bmp":
        return bmp(width, height, b"\xff\x01" * 20 + b"\0\1")
    good = bytearray(encoded(extension))
    if extension == "jpg":
        struct.pack_into(">HH", good, good.index(b"\xff\xc0") + 5, height % 65536, width % 65536)
    elif extension == "gif":
        struct.pack_into("<HH", good, 6, width % 65536, height % 65536)
    elif extension == "webp":
        size = (width - 1) % 16384 | (height - 1) % 16384 << 14
        struct.pack_into("<I", good, good.index(b"VP8L") + 9, size)
    return bytes(good)


def hostile_image(dice: random.Random) -> bytes:
    """An image file that is damaged, lies about its size, or is of a kind that will not do."""
    extension = dice.choice(FORMATS[:2] if dice.random() < 0.5 else FORMATS)
    what = dice.random()
    if what < 0.25:
        return claiming(dice.choice(("png", "jpg", "bmp", "gif", "webp")), dice.choice(SIZES), dice.choice(SIZES))
    if what < 0.3:
        return encoded("png", bits=16)
    if what < 0.35:
        interlaced, color, bits = dice.choice((0, 1)), dice.choice((0, 2, 3, 4, 6)), dice.choice((1, 8, 16, 3))
        return png(dice.choice(SIZES), dice.choice(SIZES), bytes(10**5), bits, color, interlaced)
    if what < 0.4:
        return b"".join(encoded(extension, height) for height in (20, 40))[dice.randrange(10) :]
    return damaged(dice, encoded(extension) or b"no image", dice.choice((30, 600)))
