"""Features: the values of blobs of a net, for each image, as Caffe's extract_features writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pycaffe_lite import log
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.proto.caffe_pb2 import Datum
from pycaffe_lite.tools.databases import Writer
from pycaffe_lite.words import did_you_mean

_LOGGED = 1000


def check_blobs(net: Net, names: Sequence[str]) -> None:
    """Raises a CaffeError unless features can be taken from all these blobs of a net."""
    for name in names:
        if name not in net.blobs:
            hint = did_you_mean(name, net.blobs, f"; its blobs are {', '.join(net.blobs)}.")
            raise CaffeError(f'Unknown feature blob name "{name}" in the network {net.path}{hint}')
        if net.blobs[name].num_axes > 4:
            raise CaffeError(
                f'Blob "{name}" of the network {net.path}: expected at most 4 axes, as records have them, '
                f"got shape {list(net.blobs[name].shape)}."
            )


def extract_features(net: Net, names: Sequence[str], writers: Sequence[Writer], batches: Iterable[int]) -> None:
    """Runs a net forward, once for each of `batches`, and writes the values of its blobs.

    Args:
        net: it brings its own data.
        names: of blobs, the first axis of which goes over the images.
        writers: a database for each of them; its records have keys `%010d` and Datums with float_data.
        batches: as many items as passes.

    Raises:
        CaffeError: a blob is not there or has more than 4 axes, or a database cannot be written.
    """
    check_blobs(net, names)
    counts = [0] * len(names)
    for _ in batches:
        net.forward_loss()
        for i, (name, writer) in enumerate(zip(names, writers, strict=True)):
            for value in _datums(net.blobs[name]):
                writer.put(b"%010d" % counts[i], value)
                counts[i] += 1
                if counts[i] % _LOGGED == 0:
                    _log(counts[i], name)
    for count, name in zip(counts, names, strict=True):
        _log(count, name)


def _log(count: int, name: str) -> None:
    log.info(f"Extracted features of {count} query images for feature blob {name}")


def _datums(blob: Blob) -> list[bytes]:
    """A Datum for each image of a blob; missing axes are 1, as in Caffe."""
    num, *shape = blob.shape + (1,) * (4 - blob.num_axes)
    sizes = dict(zip(("channels", "height", "width"), shape, strict=True))
    rows = blob.data.reshape(num, -1)
    return [bytes(Datum(**sizes, float_data=row.tolist()).SerializeToString()) for row in rows]
