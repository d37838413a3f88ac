"""The three products of convolutions: over a matrix of windows with BLAS, and from the images themselves by tiles.

    python benchmarks/convolutions.py [--threads 1] [--repeat 15]

For convolutions of well-known nets, with the compiled loops of the extra `fast`, in turns in one process: the least
milliseconds of forward pass, bottom gradient and weight gradient, products over windows → tiles, and what of them the
layer takes. One thread is measured by the processor's time of that thread, several by the clock.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pycaffe_lite.kernels.choice import compiled, use
from pycaffe_lite.kernels.convolution import WindowProduct
from pycaffe_lite.kernels.direct import DirectProduct
from pycaffe_lite.kernels.windows import Window
from pycaffe_lite.parallel import one_blas_thread, set_num_threads


class Case(NamedTuple):
    """A convolution of square images."""

    name: str
    batch: int
    size: int
    channels: int
    kernel: int
    stride: int
    pad: int
    outputs: int
    group: int = 1


CASES = [
    Case("LeNet conv1", 64, 28, 1, 5, 1, 0, 20),
    Case("LeNet conv2", 64, 12, 20, 5, 1, 0, 50),
    Case("CIFAR-10 conv1", 100, 32, 3, 5, 1, 2, 32),
    Case("CIFAR-10 conv2", 100, 16, 32, 5, 1, 2, 32),
    Case("CIFAR-10 conv3", 100, 8, 32, 5, 1, 2, 64),
    Case("CaffeNet conv1", 8, 227, 3, 11, 4, 0, 96),
    Case("CaffeNet conv2", 8, 27, 96, 5, 1, 2, 256, 2),
    Case("CaffeNet conv3", 8, 13, 256, 3, 1, 1, 384),
    Case("ResNet-50 conv1", 4, 224, 3, 7, 2, 3, 64),
    Case("ResNet-50 res2, 3x3", 4, 56, 64, 3, 1, 1, 64),
    Case("ResNet-50 res3, 3x3", 4, 28, 128, 3, 1, 1, 128),
    Case("ResNet-50 res4, 3x3", 4, 14, 256, 3, 1, 1, 256),
    Case("ResNet-50 res5, 3x3", 4, 7, 512, 3, 1, 1, 512),
    Case("ResNet-50 res2, 1x1", 4, 56, 64, 1, 1, 0, 256),
    Case("MobileNet conv2, 1x1", 4, 112, 32, 1, 1, 0, 64),
]


def passes(product: WindowProduct, images: np.ndarray, maps: np.ndarray) -> list[Callable[[], None]]:
    """The three products."""
    weight, bias = (np.ones(shape, np.float32) for shape in (product.weight_shape, maps.shape[-2] * maps.shape[-1]))
    top, bottom, diff = np.empty_like(maps), np.empty_like(images), np.zeros_like(weight)
    bias_diff = np.zeros(maps.shape[-1], np.float32)
    return [
        lambda: product.gather(images, weight, top, bias),
        lambda: product.scatter(maps, weight, bottom),
        lambda: product.add_gradients(images, maps, maps, diff, bias_diff),
    ]


def measure(case: Case, threads: int, repeat: int) -> str:
    """A row of the table."""
    pair = tuple((n, n) for n in (case.kernel, case.stride, case.pad, 1))
    window = Window(*pair)
    count = window.output((case.size, case.size))
    shapes = (case.batch, case.size, case.size, case.channels), (case.batch, *count, case.outputs)
    images, maps = (np.random.default_rng(0).normal(size=shape).astype(np.float32) for shape in shapes)
    if case.channels < 4:  # as the data layer has them
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    make = (window, *shapes, np.dtype(np.float32), case.group)
    windows, tiles = WindowProduct(*make), DirectProduct(*make)
    used = {"forward": tiles.gathers, "bottom": tiles.scatters, "weights": tiles.adds}
    tiles.gathers = tiles.scatters = tiles.adds = True
    both = [passes(product, images, maps) for product in (windows, tiles)]
    clock = time.thread_time if threads == 1 else time.perf_counter
    least = np.full((2, 3), np.inf)
    for _ in range(repeat + 1):
        for k, kind in enumerate(both):
            for i, run in enumerate(kind):
                begin = clock()
                run()
                least[k, i] = min(least[k, i], (clock() - begin) * 1e3)
    takes = [name for name, by_tiles in used.items() if by_tiles]
    cells = [f"{before:.2f} → {after:.2f}" for before, after in least.T]
    return f"| {case.name} | {' | '.join(cells)} | {', '.join(takes)} |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=15)
    args = parser.parse_args()
    use("numba")
    if compiled(np.dtype(np.float32)) is None:
        raise SystemExit("The compiled loops cannot be used here.")
    set_num_threads(args.threads)
    print(f"| convolution, threads: {args.threads}, ms | forward | bottom gradient | weight gradient | by tiles |")
    print("| --- | --- | --- | --- | --- |")
    with one_blas_thread:
        for case in CASES:
            print(measure(case, args.threads, args.repeat), flush=True)


if __name__ == "__main__":
    main()
