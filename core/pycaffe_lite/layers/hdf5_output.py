"""HDF5Output: a batch, written to an HDF5 file."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite import log
from pycaffe_lite.blob import Blob
from pycaffe_lite.formats.hdf5 import h5py_module, reason
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("HDF5Output")
class HDF5Output(Layer):
    """Writes its bottoms as the datasets "data" and "label" of a file.

    The file is begun anew when the net is built, and it takes one forward: as in Caffe, a second one is refused,
    since it would need the datasets' names again. Both datasets have four axes, N x C x H x W, with ones behind
    the axes that a bottom does not have.

    Bottoms: data and label, N x … each, up to four axes; their derivative is 0.
    Tops: none.
    Parameters: hdf5_output_param { file_name }, from the working folder.

    Errors: a file that cannot be written; bottoms of more axes, or of another N each.
    """

    num_bottoms = (2, 2)
    num_tops = (0, 0)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.path = str(self.layer_param.hdf5_output_param.file_name)
        if not self.path:
            raise self.error("expected hdf5_output_param { file_name: … }, got none.")
        self.written = False
        self._write({})

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shapes = [blob.shape for blob in bottom]
        if any(len(shape) > 4 for shape in shapes) or bottom[0].num != bottom[1].num:
            raise self.error(
                "expected two bottoms of as many items, of up to four axes, "
                f"got shapes {list(shapes[0])} and {list(shapes[1])}."
            )

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.written:
            raise self.error(
                f"{self.path} has its batch already, and takes no second one; run the net forward once, or take the "
                "layer out of it."
            )
        log.info(f"Saving HDF5 file {self.path}", "hdf5_output_layer.cpp:33")
        self._write(dict(zip(("data", "label"), bottom, strict=True)))
        self.written = True
        log.info(f"Successfully saved {bottom[0].num} rows", "hdf5_output_layer.cpp:38")

    def _write(self, datasets: dict[str, Blob]) -> None:
        h5py = h5py_module("HDF5Output layers")
        try:
            with h5py.File(self.path, "w") as file:
                for name, blob in datasets.items():
                    shape = (blob.num, blob.channels, blob.height, blob.width)
                    file.create_dataset(name, data=blob.data.reshape(shape), dtype="float32")
        except (OSError, ValueError, RuntimeError) as problem:
            raise self.error(f"cannot write {self.path}: {reason(problem)}.") from None

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        for blob, wanted in zip(bottom, propagate_down, strict=True):
            if wanted:
                blob.diff.fill(0)
