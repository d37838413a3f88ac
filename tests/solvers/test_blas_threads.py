"""A program that imports us keeps the threads of its BLAS: they are limited while we compute, and given back after."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.parallel import one_blas_thread
from rigs.net_rig import fill, inner_product, inputs, make_net, make_solver, softmax_loss

NET = inputs(x=[2, 3], label=[2]) + inner_product("fc", "x", 3) + softmax_loss("fc")


def blas_threads() -> list[int]:
    """How many threads NumPy's BLAS takes; other packages in the process may bring BLAS libraries of their own."""
    return [
        library["num_threads"]
        for library in threadpool_info()
        if library["user_api"] == "blas" and "numpy" in library["filepath"]
    ]


@pytest.fixture(autouse=True)
def three_threads():
    with threadpool_limits(3, user_api="blas"):
        yield


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """What BLAS would use inside a layer's forward and backward."""
    from pycaffe_lite.layers.inner_product import InnerProduct

    found: list[list[int]] = []
    for name in ("forward", "backward"):
        method = getattr(InnerProduct, name)

        def looking(self: Layer, *args: object, method=method) -> None:
            found.append(blas_threads())
            method(self, *args)

        monkeypatch.setattr(InnerProduct, name, looking)
    return found


def test_a_net_computes_with_one_and_gives_them_back(seen: list[list[int]]) -> None:
    before = threadpool_info()
    net = make_net(NET)
    fill(net, np.random.default_rng(1), label=3)
    for call in (net.forward, net.forward_loss, net.backward, net.forward_backward):
        call()
        assert threadpool_info() == before
    assert len(seen) == 5
    assert all(set(threads) == {1} for threads in seen)


def test_a_solver_gives_them_back_between_its_iterations(tmp_path: Path, seen: list[list[int]]) -> None:
    before = threadpool_info()
    solver = make_solver(tmp_path, NET, "base_lr: 0.1 lr_policy: 'fixed' max_iter: 3 clip_gradients: 1")
    for _ in solver.run():
        assert threadpool_info() == before
    solver.step(2)
    assert threadpool_info() == before
    assert all(set(threads) == {1} for threads in seen)


def test_an_exception_gives_them_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threadpool_info()
    net = make_net(NET)

    def fail(*args: object) -> None:
        raise CaffeError("no")

    monkeypatch.setattr(net.layers[1], "forward", fail)
    with pytest.raises(CaffeError, match="no"):
        net.forward()
    assert threadpool_info() == before


def test_the_last_of_several_threads_gives_them_back() -> None:
    before = blas_threads()
    inside, go_on = threading.Barrier(2), threading.Event()

    def compute() -> None:
        with one_blas_thread:
            inside.wait(10)
            go_on.wait(10)

    other = threading.Thread(target=compute)
    with one_blas_thread:
        other.start()
        inside.wait(10)
    assert set(blas_threads()) == {1}
    go_on.set()
    other.join()
    assert blas_threads() == before
