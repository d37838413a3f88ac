"""Im2col: a Convolution of its windows is the Convolution of the image; what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import CHANNELS_LAST, Rig


def text(fields: str) -> str:
    return f'type: "Im2col" bottom: "x" top: "y" convolution_param {{ {fields} }}'


@pytest.mark.parametrize("order", [None, CHANNELS_LAST])
def test_filters_times_windows_are_a_convolution(generator: np.random.Generator, order: tuple[int, ...] | None) -> None:
    x, weight = generator.normal(size=(2, 3, 7, 6)), generator.normal(size=(4, 3, 3, 2))
    fields = "kernel_size: 3 kernel_size: 2 stride: 2 pad: 1 pad: 2"
    (columns,) = Rig(text(fields), [x], dtype=np.float64, order=order).forward()
    where = f'type: "Convolution" bottom: "x" top: "y" convolution_param {{ num_output: 4 bias_term: false {fields} }}'
    convolution = Rig(where, [x], dtype=np.float64)
    convolution.set_params([weight])
    product = np.einsum("ok,nkhw->nohw", weight.reshape(4, -1), columns)
    np.testing.assert_allclose(product, convolution.forward()[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("", "expected kernel_size once"),
        ("kernel_size: 2 kernel_h: 2 kernel_w: 2", "got both"),
        ("kernel_size: 6", "larger than the padded image"),
        ("kernel_size: 2 axis: -5", "expected an axis"),
        ("kernel_size: 2 stride: 0", "stride of 1 or more"),
    ],
)
def test_windows_that_do_not_fit_are_refused(fields: str, message: str) -> None:
    with pytest.raises(CaffeError, match=message):
        Rig(text(fields), [np.zeros((2, 3, 4, 5))])
