"""What BatchReindex and Embed have in common: a bottom that holds numbers of rows."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.rows import Rows
from pycaffe_lite.layers.contract import Layer


class RowsLayer(Layer):
    """A layer that takes the items of a batch, or of a table, that a bottom numbers."""

    def read_rows(self, blob: Blob, count: int) -> Rows:
        """The row numbers in a blob, flat, in logical order; fractions are cut off, so that -0.97 is 0, as in Caffe.

        Args:
            count: how many rows there are.

        Raises:
            CaffeError: for a number that is then not from 0 to count - 1; Caffe's Embed reads beyond its table there.
        """
        values = blob.data.reshape(-1)
        outside = ~((values > -1) & (values < count))
        if outside.any():
            raise self.error(f"expected row numbers from 0 to {count - 1}, got {values[outside][0]:g}.")
        return values.astype(np.intp)
