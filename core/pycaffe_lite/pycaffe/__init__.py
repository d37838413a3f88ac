"""Caffe's Python API over the engine; `pycaffe_lite` is its front page, and `caffe` the name that scripts know.

As `caffe.pycaffe` it has the names that pycaffe keeps there.
"""

from __future__ import annotations

import importlib
from typing import Any

from pycaffe_lite import log

_HOME = {
    "NCCL": ("common", "NCCL"),
    "Net": ("net", "Net"),
    "OrderedDict": ("net", "OrderedDict"),
    "Timer": ("common", "Timer"),
    "izip_longest": ("net", "zip_longest"),
    **{
        name: ("solvers", name)
        for name in (
            "AdaDeltaSolver",
            "AdaGradSolver",
            "AdamSolver",
            "NesterovSolver",
            "RMSPropSolver",
            "SGDSolver",
        )
    },
}
_OF_NET = {
    "_Net_backward": "backward",
    "_Net_batch": "_batch",
    "_Net_blob_loss_weights": "blob_loss_weights",
    "_Net_blobs": "blobs",
    "_Net_forward": "forward",
    "_Net_forward_all": "forward_all",
    "_Net_forward_backward_all": "forward_backward_all",
    "_Net_inputs": "inputs",
    "_Net_layer_dict": "layer_dict",
    "_Net_outputs": "outputs",
    "_Net_params": "params",
    "_Net_set_input_arrays": "set_input_arrays",
}
"""What pycaffe attaches to Net: the name there, and what it is called as an attribute."""


def __getattr__(name: str) -> Any:
    if name in _OF_NET:
        net = importlib.import_module(f"{__name__}.net").Net
        return vars(net)[_OF_NET[name]]
    if name in _HOME:
        module, attribute = _HOME[name]
        return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME, *_OF_NET, "_Net_get_id_name"])


def _Net_get_id_name(ids: Any, field: str) -> property:
    """A property of Net: for each layer the names of the blobs whose numbers `ids(net, layer)` gives.

    Args:
        ids: such as `Net._top_ids`.
        field: not used; pycaffe keeps the result under that name.
    """
    return property(lambda net: net._names_by_layer(lambda layer: ids(net, layer)))


log.as_environment_says()
