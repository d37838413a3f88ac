"""Compares a layer's backward with central differences of its forward, in double precision.

    check_gradients(rig, top_diffs, differentiable)

The number differentiated is the sum over all tops of top_diff * top, so that every top takes part with
weights of its own. At a kink (max(0, x) at 0) no derivative is right: where the slopes to both sides disagree
the element is skipped, but most elements of each array must be smooth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rigs.layer_rig import Rig

STEP = 1e-6
KINK = 1e-4  # slopes to both sides that differ by more than this, of 1 or of themselves, are no curvature
MOST_SKIPPED = 0.25


def numeric_gradient(
    objective: Callable[[], float], array: np.ndarray, step: float = STEP
) -> tuple[np.ndarray, np.ndarray]:
    """The derivative of objective() by each element of an array that it reads, and where there is one."""
    gradient, smooth = np.zeros(array.shape), np.ones(array.shape, np.bool_)
    middle = objective()
    for index in np.ndindex(array.shape):
        value = array[index]
        array[index] = value + step
        above = (objective() - middle) / step
        array[index] = value - step
        below = (middle - objective()) / step
        array[index] = value
        gradient[index] = (above + below) / 2
        smooth[index] = abs(above - below) <= KINK * max(1.0, abs(gradient[index]))
    return gradient, smooth


def compare(ours: np.ndarray, numeric: np.ndarray, smooth: np.ndarray, what: str, *, rtol: float, atol: float) -> None:
    """Fails unless both agree wherever there is a derivative, and there is one nearly everywhere."""
    skipped = np.count_nonzero(~smooth)
    assert skipped <= MOST_SKIPPED * smooth.size, f"{what}: {skipped} of {smooth.size} elements lie on a kink"
    np.testing.assert_allclose(ours[smooth], numeric[smooth], rtol=rtol, atol=atol, err_msg=what)


def check_gradients(
    rig: Rig,
    top_diffs: Sequence[np.ndarray],
    differentiable: Sequence[int],
    params: Sequence[int] | None = None,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    step: float = STEP,
) -> None:
    """Checks the diffs of the named bottoms and of the parameters (None: all) of a float64 rig."""

    def objective() -> float:
        tops = rig.forward()
        return float(sum(np.vdot(diff, top) for diff, top in zip(top_diffs, tops, strict=True)))

    def check(diff: np.ndarray, array: np.ndarray, what: str) -> None:
        numeric, smooth = numeric_gradient(objective, array, step)
        compare(diff, numeric, smooth, what, rtol=rtol, atol=atol)

    rig.clear_param_diffs()
    rig.forward()
    bottom_diffs = rig.backward(top_diffs, [i in differentiable for i in range(len(rig.bottom))])
    param_diffs = rig.param_diffs()
    for i in differentiable:
        check(bottom_diffs[i], rig.arrays[i], f"bottom {i}")
    for i in range(len(param_diffs)) if params is None else params:
        check(param_diffs[i], rig.layer.blobs[i].data, f"parameter {i}")
