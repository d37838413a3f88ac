"""The golden LeNet with MNIST's IDX files of the repository, or others, as its data."""

from __future__ import annotations

import re

from rigs import MNIST


def idx_sources(net: str, images: dict[str, str]) -> str:
    """The text of a net with other files instead of its databases.

    Args:
        net: the text.
        images: for the name of each database the IDX file of images that takes its place.
    """
    for database, path in images.items():
        net = net.replace(f'source: "{database}"', f'source: "{path}"')
    return re.sub(r"backend: LMDB", "backend: IDX", net)


def mnist_sources(net: str) -> str:
    """The text of a net that reads MNIST."""
    return idx_sources(
        net,
        {
            "mnist_train_lmdb": str(MNIST / "train-images-idx3-ubyte.gz"),
            "mnist_test_lmdb": str(MNIST / "t10k-images-idx3-ubyte.gz"),
        },
    )
