"""What the reading of damaged sources takes for a fault: each of them is told."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
import warnings
from pathlib import Path

import pytest

from pycaffe_lite.errors import CaffeError
from rigs.data_variants import LONGEST_TEXT, MEMORY, Kind, check_results, results_of

FAULTS = {
    "none": "",
    "loaded": "only 1 of 2 were refused",
    "other error": "variant 2: Traceback .*ValueError: a bug",
    "warning": "variant 3: Traceback .*UserWarning: a warning",
    "crash": "variant 4: died with -11",
    "exit": "variant 5: died with 3",
    "thread": "left=1",
    "file": "left=1",
    "two lines": "two\nlines",
    "long text": "aaaa",
    "no name": "who knows",
    "control": r"\\x1b",
    "memory": "peak=",
}
"""Each fault, and what is said of it."""


class Faulty(Kind):
    """Its variants have the faults, one after the other."""

    names = ("a file",)
    least_refused = 1

    def __init__(self, *faults: str) -> None:
        self.faults = faults

    def make(self, folder: Path) -> None:
        (folder / "fault").write_text("loaded")

    def damage(self, dice: random.Random, folder: Path) -> None:
        past = folder.parent / "past"
        variant = len(past.read_bytes()) if past.exists() else 0
        past.write_bytes(bytes(variant + 1))
        (folder / "fault").write_text(self.faults[variant])

    def read(self, dice: random.Random) -> None:
        fail(Path("fault").read_text())


def fail(fault: str) -> None:
    if fault == "loaded":
        return
    if fault == "other error":
        raise ValueError("a bug")
    if fault == "warning":
        warnings.warn("a warning", stacklevel=1)
    elif fault == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif fault == "exit":
        os._exit(3)
    elif fault == "hang":
        time.sleep(1000)
    elif fault == "memory":
        bytearray(b"x") * (2 * MEMORY)
    elif fault == "thread":
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    elif fault == "file":
        os.open("fault", os.O_RDONLY)
    texts = {
        "two lines": "a file: two\nlines.",
        "long text": f"a file: {'a' * LONGEST_TEXT}.",
        "no name": "who knows.",
        "control": "a file: \x1b.",
    }
    raise CaffeError(texts.get(fault, "a file: refused."))


ALL = Faulty(*FAULTS)
HANGS_ONCE, HANGS = Faulty("none", "hang", "none"), Faulty("hang", "hang", "none")


def test_faults_are_told(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    first, *others = results_of("test_fuzz_harness:ALL", len(FAULTS), tmp_path)
    check_results([first], ALL)
    for (fault, text), result in zip(list(FAULTS.items())[1:], others, strict=True):
        with pytest.raises(AssertionError) as raised:
            check_results([first, result], ALL)
        assert re.search(text, str(raised.value), re.DOTALL), fault


@pytest.mark.slow
def test_hangs_end_but_for_those_of_the_machine(tmp_path: Path) -> None:
    for name, outcomes in (("HANGS_ONCE", ["refused", "refused"]), ("HANGS", ["failed", "refused"])):
        (tmp_path / name).mkdir()
        results = results_of(f"test_fuzz_harness:{name}", 2, tmp_path / name)
        assert [result.outcome for result in results] == outcomes
