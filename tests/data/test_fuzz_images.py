"""Damaged image files, lists of images and window files, through ImageData and WindowData layers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from rigs.data_variants import MANY, Kind, check, damage_file, damaged, run_net
from rigs.image_variants import encoded, hostile_image
from rigs.net_rig import layer

BATCH = 3
LABELS = ("0", "3", "-1", "+2", "2147483647", "2147483648", "1e3", "1.5", "nan", "", "9" * 400, "\u0663", "x")
NAMES = (
    "a.png",
    "b.jpg",
    "c.png",
    "no.png",
    ".",
    "..",
    "../variant",
    "/dev/zero",
    "a.png/b",
    "n" * 300,
    "a b.png",
    "%s%n",
)


class Images(Kind):
    """Three files and a list of them; chance damages files, lines, or the list's bytes."""

    names = ("list.txt", "a.png", "b.jpg", "c.png")

    def make(self, folder: Path) -> None:
        for name in ("a.png", "b.jpg", "c.png"):
            (folder / name).write_bytes(encoded(name[-3:]))
        (folder / "list.txt").write_text("a.png 0\nb.jpg 1\nc.png 2\n")

    def damage(self, dice: random.Random, folder: Path) -> None:
        if dice.random() < 0.6:
            (folder / dice.choice(("a.png", "b.jpg"))).write_bytes(hostile_image(dice))
        elif dice.random() < 0.3:
            damage_file(dice, folder / dice.choice(("a.png", "b.jpg")))
        elif dice.random() < 0.3:
            damage_file(dice, folder / "list.txt", pipes=False)
        else:
            (folder / "list.txt").write_bytes(_lines(dice))

    def read(self, dice: random.Random) -> None:
        size = dice.choice(("", "new_height: 9 new_width: 8", "new_height: 9 new_width: 8"))
        more = dice.choice(("", "is_color: false", "shuffle: true"))
        transform = dice.choice(("", "transform_param { crop_size: 5 mirror: true }"))
        param = f'image_data_param {{ source: "list.txt" batch_size: {BATCH} {size} {more} }} {transform}'
        run_net(layer("d", "ImageData", top=["data", "label"], more=param), BATCH)


def _lines(dice: random.Random) -> bytes:
    lines = [b"a.png 0", b"b.jpg 1"]
    for _ in range(dice.choice((1, 1, 5))):
        line = f"{dice.choice(NAMES)} {dice.choice(LABELS)}".encode()
        bad = (line, line, dice.randbytes(40), b"a.png\0 1", b"x" * dice.choice((5000, 70000)) + b" 1", b"\xff\xfea 1")
        lines.insert(dice.randrange(3), dice.choice(bad))
    return dice.choice((b"\n", b"\r\n", b"\n\n", b"\r")).join(lines)


NUMBERS = ("0", "1", "3", "-1", "0.5", "nan", "inf", "1e30", "2147483648", "99999999999999999999", "x", "5", "20")


class Windows(Kind):
    """Two images with two objects and two windows of background each; chance changes words, bytes, or an image."""

    names = ("windows.txt", "a.png", "b.jpg", "no such file (")

    def make(self, folder: Path) -> None:
        lines = []
        for number, name in enumerate(("a.png", "b.jpg")):
            (folder / name).write_bytes(encoded(name[-3:]))
            lines += [f"# {number}", name, "3", "40", "36", "4"]
            lines += ["1 0.9 2 3 12 14", "2 0.7 0 0 35 39", "0 0.1 5 5 20 9", "0 0 30 30 35 39"]
        (folder / "windows.txt").write_text("\n".join(lines) + "\n")

    def damage(self, dice: random.Random, folder: Path) -> None:
        what, path = dice.random(), folder / "windows.txt"
        if what < 0.3:
            (folder / dice.choice(("a.png", "b.jpg"))).write_bytes(hostile_image(dice))
        elif what < 0.4:
            damage_file(dice, folder / dice.choice(("a.png", "b.jpg")))
        elif what < 0.5:
            damage_file(dice, path, pipes=False)
        elif what < 0.6:
            path.write_bytes(damaged(dice, path.read_bytes() * 3, 200))
        else:
            words = path.read_text().split()
            for _ in range(dice.choice((1, 1, 2, 6))):
                words[dice.randrange(len(words))] = dice.choice((*NUMBERS, "#", "no.png", "9" * 70000, "\0", "\u0663"))
            path.write_text(" ".join(words))

    def read(self, dice: random.Random) -> None:
        more = dice.choice(("", "context_pad: 2", 'crop_mode: "square"', "fg_fraction: 0.5 fg_threshold: 0.6"))
        transform = dice.choice(("", "mirror: true", "mean_value: 9 scale: 0.1"))
        param = f'window_data_param {{ source: "windows.txt" batch_size: {BATCH * 2} {more} }}'
        param += f" transform_param {{ crop_size: 8 {transform} }}"
        run_net(layer("d", "WindowData", top=["data", "label"], more=param), BATCH * 2)


IMAGES, WINDOWS = Images(), Windows()


@pytest.mark.parametrize("count", [40, MANY])
def test_images(tmp_path: Path, count: int) -> None:
    pytest.importorskip("cv2")
    check(IMAGES, count, tmp_path, "test_fuzz_images:IMAGES")


@pytest.mark.parametrize("count", [40, MANY])
def test_windows(tmp_path: Path, count: int) -> None:
    pytest.importorskip("cv2")
    check(WINDOWS, count, tmp_path, "test_fuzz_images:WINDOWS")
