"""Damaged sources: variants of good files, made by chance, each read in a process that may die of it.

A test module says in classes what a good source is, how chance damages it and how it is read; `check` reads many
variants of one in processes whose memory is limited and whose time is short. So a hang or a crash in a library is
told like any other fault, with the number of its variant.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from pycaffe_lite import log, rng
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.parallel import parallel_for
from rigs.net_rig import make_net

MANY = pytest.param(500, marks=pytest.mark.slow)
LONGEST_TEXT = 600
SECONDS = 10
MEMORY = 160 << 20
"""What reading any variant may take beyond what reading the good source takes, in bytes."""

_ADDRESSES = 3 << 30
_PIXELS = 1 << 23  # that an image may claim: the limit in use would allow more memory than that
_TIMES_OUT = 2 * SECONDS


class Kind:
    """A kind of source.

    Attributes:
        names: texts of which one is in every refusal: the names of files.
        least_refused: the share of variants that must be refused; they would be no damage otherwise.
    """

    names: tuple[str, ...] = ()
    least_refused = 0.3

    def make(self, folder: Path) -> None:
        """Writes the good source."""
        raise NotImplementedError

    def damage(self, dice: random.Random, folder: Path) -> None:
        """Changes a good source for the worse."""
        raise NotImplementedError

    def read(self, dice: random.Random) -> None:
        """Reads what is in the working folder, and looks at what comes out."""
        raise NotImplementedError


class Result(NamedTuple):
    """What came of a variant.

    Attributes:
        variant: its number; -1 for the good source.
        outcome: "loaded", "refused", or "failed".
        text: of the refusal, or what failed.
        seconds: of the processor that it took.
        peak: the most memory the process has had so far, in bytes.
        left: threads and open files that are still there after it.
    """

    variant: int
    outcome: str
    text: str
    seconds: float
    peak: int
    left: int


# -- damage --------------------------------------------------------------------------------------------------

EXTREMES = (0, 1, 2, 127, 128, 255, 256, 32767, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def damaged(dice: random.Random, data: bytes, head: int = 64) -> bytes:
    """The bytes, damaged in one of many ways.

    Args:
        dice: decides.
        data: one byte or more.
        head: how many of the first bytes are the likeliest to be changed.
    """
    at = dice.randrange(min(head, len(data)) if dice.random() < 0.5 else len(data))
    end = min(len(data), at + dice.choice((1, 4, 16, 300)))
    number = dice.choice(EXTREMES)
    garbage = dice.randbytes(dice.choice((1, 3, 8, 100)))
    return dice.choice(
        (
            lambda: data[:at],
            lambda: data[: len(data) - 1 - dice.randrange(min(40, len(data)))],
            lambda: data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :],
            lambda: data[:at] + dice.randbytes(end - at) + data[end:],
            lambda: data[:at] + bytes(end - at) + data[end:],
            lambda: data[:at] + b"\xff" * (end - at) + data[end:],
            lambda: data[:at] + number.to_bytes(4, dice.choice(("big", "little"))) + data[at + 4 :],
            lambda: data[:at] + data[end:],
            lambda: data[:at] + garbage + data[at:],
            lambda: data + garbage,
            lambda: data + data,
            lambda: _scattered(dice, data),
            lambda: garbage,
        )
    )()


def _scattered(dice: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.choice((2, 8, 50))):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


def damage_file(dice: random.Random, path: Path, head: int = 64, pipes: bool = True) -> None:
    """Damages a file's bytes, or now and then leaves something else in its place.

    Args:
        dice, head: see `damaged`.
        path: the file.
        pipes: whether a pipe into which nobody writes is among what may be left.
    """
    data = path.read_bytes()
    if data and dice.random() < 0.9:
        path.write_bytes(damaged(dice, data, head))
        return
    path.unlink()
    what = dice.choice(("nothing", "empty", "folder", "loop", "device", "pipe" if pipes else "nothing"))
    if what == "empty":
        path.touch()
    elif what == "folder":
        path.mkdir()
    elif what == "loop":
        path.symlink_to(path.name)
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "pipe" and hasattr(os, "mkfifo"):
        os.mkfifo(path)


# -- reading -------------------------------------------------------------------------------------------------


def run_net(text: str, batch: int, forwards: int = 3) -> None:
    """Builds a net of data layers, runs it, and checks that batches have the shapes that they should have."""
    net = make_net(text)
    with contextlib.closing(net):
        for _ in range(forwards):
            net.forward()
            for name, blob in net.blobs.items():
                assert blob.data.shape == blob.shape, name
                assert blob.data.dtype == np.float32
                assert len(blob.data) == batch
                with np.errstate(all="ignore"):
                    float(blob.data.sum())


def check(kind: Kind, count: int, folder: Path, attribute: str) -> None:
    """Reads variants; each gives batches or one sentence, soon, in little memory, and leaves nothing behind.

    Args:
        kind: what is read.
        count: how many variants.
        folder: an empty one.
        attribute: where the kind is, `module:name`.
    """
    results = results_of(attribute, count, folder)
    assert [result.variant for result in results] == list(range(count))
    check_results(results, kind)


def check_results(results: list[Result], kind: Kind) -> None:
    """Asserts that variants have been read as they should be."""
    for result in results:
        assert result.outcome in ("loaded", "refused"), f"variant {result.variant}: {result.text}"
        assert result.seconds < SECONDS, result
        assert result.left == 0, result
        if result.outcome == "refused":
            check_sentence(result.text, kind.names)
    grown = max(result.peak for result in results) - min(result.peak for result in results)
    assert grown < MEMORY, max(results, key=lambda result: result.peak)
    refused = sum(result.outcome == "refused" for result in results)
    assert refused >= kind.least_refused * len(results), f"only {refused} of {len(results)} were refused"


def check_sentence(text: str, names: tuple[str, ...]) -> None:
    """Asserts that a refusal is one sentence that names a file."""
    assert len(text) < LONGEST_TEXT, text
    assert "\n" not in text, text
    assert not any(ord(character) < 32 or ord(character) == 127 for character in text), repr(text)
    assert text.endswith((".", "?")), text
    assert any(name in text for name in names), text


def results_of(attribute: str, count: int, folder: Path) -> list[Result]:
    """Reads variants in one process, or as many as it takes: after one that dies, another goes on.

    A variant whose time was out is read once more: it may have been the machine that stood still.
    """
    results: list[Result] = []
    again = -1
    while len(results) < count:
        read, end = _run(attribute, len(results), count, folder)
        assert read, f"the good source: {end}"
        assert read[0].outcome == "loaded", read[0].text
        results += read[1:]
        if len(results) < count and (len(results) == again or "Timeout (" not in end):
            results.append(Result(len(results), "failed", f"died with {end}", 0, read[-1].peak, 0))
        again = len(results)
    return results


def _run(attribute: str, first: int, count: int, folder: Path) -> tuple[list[Result], str]:
    """What a process has read, the good source first, and how it ended."""
    lines = folder / "results.jsonl"
    lines.unlink(missing_ok=True)
    code = f"import sys; sys.path[:0] = {sys.path!r}; from rigs import data_variants; data_variants.main()"
    arguments = [attribute, str(first), str(count), str(folder)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        timeout=600 + count * SECONDS,
        check=False,
        env={**os.environ, "OPENCV_IO_MAX_IMAGE_PIXELS": str(_PIXELS)},
    )
    read = [Result(*json.loads(line)) for line in lines.read_text().splitlines()] if lines.exists() else []
    return read, f"{done.returncode}: {done.stderr.decode(errors='replace')[-4000:]}"


def main() -> None:
    """Reads the good source and then variants; writes a line for each."""
    attribute, first, end, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    module, name = attribute.split(":")
    kind = getattr(importlib.import_module(module), name)
    warnings.simplefilter("error")
    log.set_sink(lambda line: None)
    good = folder / "good"
    if not good.exists():
        good.mkdir()
        kind.make(good)
    with open(folder / "results.jsonl", "w") as out:
        limited = False
        for variant in (-1, *range(first, end)):
            place = folder / "variant"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(good, place, symlinks=True)
            dice = random.Random(f"{attribute} {variant}")
            if variant >= 0:
                kind.damage(dice, place)
            os.chdir(place)
            out.write(json.dumps(_result(kind, variant, dice)) + "\n")
            out.flush()
            if not limited:
                limited = True
                _limit_memory()
                gc.freeze()  # so that collecting what variants leave is quick


def _result(kind: Kind, variant: int, dice: random.Random) -> Result:
    rng.set_random_seed(1)
    parallel_for(2, lambda piece: None)  # so that the threads, which stay, are there before
    faulthandler.dump_traceback_later(_TIMES_OUT, exit=True)
    before, begin = _open(), time.process_time()
    try:
        kind.read(dice)
        outcome, text = "loaded", ""
    except CaffeError as problem:
        outcome, text = "refused", str(problem)
    except BaseException:
        outcome, text = "failed", traceback.format_exc()
    seconds = time.process_time() - begin
    faulthandler.cancel_dump_traceback_later()
    return Result(variant, outcome, text, seconds, _peak(), _left(before) if variant >= 0 else 0)


def _open() -> int:
    """How many threads and open files there are."""
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    return threading.active_count() + files


def _left(before: int) -> int:
    """How many more there are than before, once what was asked to end has ended."""
    end = time.monotonic() + 2
    while _open() > before and time.monotonic() < end:
        gc.collect()
        time.sleep(0.001)
    return max(0, _open() - before)


def _peak() -> int:
    """The most memory this process has had, in bytes; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        # getrusage would count what the process was forked from.
        return int(re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024
    with contextlib.suppress(ImportError):
        import resource

        used: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used if sys.platform == "darwin" else used * 1024
    return 0


def _limit_memory() -> None:
    """Lets the process have some more addresses than it has now, where the system tells how many that is."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (has + _ADDRESSES, has + _ADDRESSES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
