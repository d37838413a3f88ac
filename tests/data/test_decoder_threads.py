"""The threads that decode end when they are to, and start again: closing, restoring, errors, exit and fork."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from pycaffe_lite.data.prefetch import Prefetcher
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.parallel import set_num_threads
from rigs.decoding_rig import Slow, decoding, feed


@pytest.fixture(autouse=True)
def no_threads_of_other_tests() -> None:
    """Feeds that earlier tests have dropped end their threads a moment later."""
    gc.collect()
    for _ in range(200):
        if decoding():
            time.sleep(0.01)


def test_restoring_while_images_are_decoded() -> None:
    set_num_threads(4)
    before, prefetcher = decoding(), Prefetcher(feed(Slow()), 3)
    state = prefetcher.state()
    for consumed in (0, 1, 2, 6):
        labels = [prefetcher.next().labels.tolist() for _ in range(consumed)]
        assert labels == [list(range(i % 40, i % 40 + 8)) for i in range(0, 8 * consumed, 8)]
        prefetcher.restore(state)
    np.testing.assert_array_equal(prefetcher.next().data[:, 0, 0, 0], range(8))
    prefetcher.close()
    assert decoding() == before


@pytest.mark.parametrize("dropped", [False, True])
def test_closing_while_images_are_decoded_leaves_no_thread(dropped: bool) -> None:
    set_num_threads(4)
    before, source = decoding(), Slow()
    prefetcher = Prefetcher(feed(source), 3)
    prefetcher.next()
    if not dropped:
        prefetcher.close()
    del prefetcher
    gc.collect()
    for _ in range(200 * dropped):
        if decoding() > before:
            time.sleep(0.01)
    assert (decoding(), source.closed) == (before, True)


def test_an_error_leaves_threads_that_go_on() -> None:
    set_num_threads(4)
    before, source = decoding(), Slow(broken=(9, 12, 14))
    prefetcher = Prefetcher(feed(source), 3)
    prefetcher.next()
    for _ in range(5):
        with pytest.raises(CaffeError, match="slow, record 9: broken"):
            prefetcher.next()
    source.broken = ()
    for _ in range(4):
        with contextlib.suppress(CaffeError):  # which may have been on their way
            prefetcher.next()
    assert prefetcher.next().labels[0] in (8, 16, 24, 32, 0)
    prefetcher.close()
    assert decoding() == before


def run(code: str) -> None:
    """Runs code in a process of its own, which must end in time and in silence."""
    start = f"""
import sys
sys.path[:0] = {sys.path!r}
import os
import rigs.decoding_rig as t
from pycaffe_lite.data.prefetch import Prefetcher
from pycaffe_lite.parallel import set_num_threads
set_num_threads(4)
"""
    command = [sys.executable, "-W", "ignore", "-c", start + code]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_interpreter_ends_while_images_are_decoded() -> None:
    run("prefetcher = Prefetcher(t.feed(t.Slow(200), 100), 3)\nprefetcher.next()")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_forked_process_goes_on_with_threads_of_its_own() -> None:
    run("""
prefetcher = Prefetcher(t.feed(t.Slow()), 3)
prefetcher.next()
child = os.fork()
labels = [prefetcher.next().labels[0] for _ in range(6)]
good = labels == [8, 16, 24, 32, 0, 8]
prefetcher.close()
if child:
    good = good and os.waitpid(child, 0)[1] == 0
    sys.exit(not good)
os._exit(not good)
""")
