"""Pooling of volumes against a loop over all windows."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from rigs.layer_rig import Rig


def windows(size: int, kernel: int, stride: int, pad: int) -> list[range]:
    """The places of each window along an axis, those outside included."""
    count = -(-(size + 2 * pad - kernel) // stride) + 1
    if pad and (count - 1) * stride >= size + pad:
        count -= 1
    return [range(i * stride - pad, min(i * stride - pad + kernel, size + pad)) for i in range(count)]


def naive(
    x: np.ndarray, kind: str, kernel: tuple[int, ...], stride: tuple[int, ...], pad: tuple[int, ...]
) -> np.ndarray:
    axes = [windows(*each) for each in zip(x.shape[2:], kernel, stride, pad, strict=True)]
    out = np.zeros((*x.shape[:2], *map(len, axes)))
    for place in product(*(range(len(axis)) for axis in axes)):
        whole = [axes[i][at] for i, at in enumerate(place)]
        inside = [
            slice(max(0, part.start), min(size, part.stop)) for part, size in zip(whole, x.shape[2:], strict=True)
        ]
        values = x[(slice(None), slice(None), *inside)].reshape(*x.shape[:2], -1)
        size = np.prod([len(part) for part in whole])
        out[(slice(None), slice(None), *place)] = values.max(axis=2) if kind == "MAX" else values.sum(axis=2) / size
    return out


@pytest.mark.parametrize("kind", ["MAX", "AVE"])
@pytest.mark.parametrize(
    ("kernel", "stride", "pad"),
    [
        ((2, 2, 2), (2, 2, 2), (0, 0, 0)),
        ((1, 2, 2), (1, 2, 2), (0, 0, 0)),
        ((3, 3, 3), (2, 1, 2), (1, 1, 1)),
        ((3, 2, 4), (2, 3, 1), (0, 1, 2)),
    ],
)
def test_pools_what_a_loop_pools(
    kind: str, kernel: tuple[int, ...], stride: tuple[int, ...], pad: tuple[int, ...]
) -> None:
    x = np.random.default_rng(1).normal(size=(2, 3, 5, 6, 7))
    shapes = zip(("kernel", "stride", "pad"), (kernel, stride, pad), strict=True)
    fields = " ".join(f"{name}_shape {{ dim: {list(lengths)} }}" for name, lengths in shapes)
    rig = Rig(f'type: "Pooling" bottom: "x" top: "y" pooling_param {{ pool: {kind} {fields} }}', [x], dtype=np.float64)
    np.testing.assert_allclose(rig.forward()[0], naive(x, kind, kernel, stride, pad), rtol=1e-12)


def test_one_length_stands_for_all_axes_and_four_axes_work() -> None:
    x = np.random.default_rng(1).normal(size=(1, 2, 3, 4, 5, 6))
    rig = Rig('type: "Pooling" bottom: "x" top: "y" pooling_param { kernel_size: 2 stride: 2 }', [x], dtype=np.float64)
    np.testing.assert_array_equal(rig.forward()[0], naive(x, "MAX", (2,) * 4, (2,) * 4, (0,) * 4))


def test_indices_count_through_the_volume() -> None:
    x = np.random.default_rng(1).permutation(60).reshape(1, 1, 3, 4, 5)
    text = 'type: "Pooling" bottom: "x" top: "y" top: "where" pooling_param { kernel_size: 2 stride: 2 }'
    y, where = Rig(text, [x]).forward()
    np.testing.assert_array_equal(x.reshape(-1)[where.astype(int)], y)


def test_the_first_of_equal_values_gets_the_diff() -> None:
    rig = Rig(
        'type: "Pooling" bottom: "x" top: "y" pooling_param { kernel_size: 2 stride: 2 }', [np.ones((1, 1, 2, 2, 2))]
    )
    rig.forward()
    (dx,) = rig.backward([np.full((1, 1, 1, 1, 1), 3.0)])
    assert dx.reshape(-1).tolist() == [3, 0, 0, 0, 0, 0, 0, 0]
