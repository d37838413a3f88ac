"""Fields of forks that say only what Caffe says in another way, or does anyway: taken, with a line in the log.

A field is here if the net computes the same without it: it says where or how fast something is computed, or has
the one value for which the fork does what Caffe does, or Caffe has another name for it. All others are refused.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pycaffe_lite.proto.forks import fork_of
from pycaffe_lite.proto.schema import Field
from pycaffe_lite.proto.tokens import NAME, STRING, Tokens
from pycaffe_lite.proto.values import READERS, read_string


class Spelling(NamedTuple):
    """What may be done with a fork's field.

    Attributes:
        kind: of its value: int, number, bool, string, or word for an enum's name.
        neutral: the values that change nothing; empty: all.
        target: the field of Caffe's that it becomes, or nothing.
        values: pairs of one of its values and the target's, an enum's name.
    """

    kind: str
    neutral: tuple[Any, ...] = ()
    target: str = ""
    values: tuple[tuple[Any, str], ...] = ()


_INT, _BOOL, _STRING, _WORD = Spelling("int"), Spelling("bool"), Spelling("string"), Spelling("word")
_OFF, _ON = Spelling("bool", (False,)), Spelling("bool", (True,))
_ZERO, _FLOAT, _FIXED = Spelling("int", (0,)), Spelling("word", ("FLOAT",)), Spelling("string", ("fixed",))
_CUDNN_MATH = Spelling("int", (-1, 0))

_SPELLINGS: dict[str, dict[str, Spelling]] = {
    "NetParameter": {
        **dict.fromkeys(("default_forward_type", "default_backward_type"), _FLOAT),
        **dict.fromkeys(("default_forward_math", "default_backward_math"), _FLOAT),
        "global_grad_scale": Spelling("number", (1,)),
        "global_grad_scale_adaptive": _OFF,
        "reduce_buckets": _INT,
        "default_conv_algos_override": _STRING,
        "default_cudnn_math_override": _CUDNN_MATH,
        "quantize": _OFF,
    },
    "SolverParameter": {
        "eval_type": Spelling("string", ("classification",)),
        "ap_version": _STRING,  # read for eval_type: "detection" alone
        "show_per_class_result": _OFF,
        "per_parameter_reduce": _BOOL,
        "store_blobs_in_old_format": _OFF,
        "solver_data_type": _FLOAT,
        "larc": _OFF,
        "larc_turbo": _OFF,
        "local_lr_auto": _OFF,
        "local_gw_ratio": Spelling("number"),  # read with larc or local_lr_auto alone
        "rampup_interval": _ZERO,
        "momentum_policy": _FIXED,
        "weight_decay_policy": _FIXED,
        "disabled_update": _OFF,
    },
    "LayerParameter": {
        **dict.fromkeys(("forward_type", "backward_type", "forward_math", "backward_math"), _FLOAT),
        "cudnn_math_override": _CUDNN_MATH,
        "debug": _BOOL,
    },
    "TransformationParameter": {
        "use_gpu_transform": _BOOL,
        **dict.fromkeys(("img_rand_resize_lower", "img_rand_resize_upper", "crop_h", "crop_w"), _ZERO),
        "flow": _OFF,
    },
    "LossParameter": {"label_smoothing": Spelling("number", (0,)), "weight_by_label_freqs": _OFF},
    "BatchNormParameter": {"scale_bias": _OFF, "disable_mean": _OFF, "disable_variance": _OFF},
    "ConvolutionParameter": {
        "cudnn_convolution_algo_seeker": _WORD,
        "conv_algos_override": _STRING,
        "cudnn_math_override": _CUDNN_MATH,
    },
    "DataParameter": {"cache": _BOOL, "threads": _INT, "parser_threads": _INT},
    "ImageDataParameter": {"cache": _BOOL, "threads": _INT, "prefetch": _INT},
    "DetectionOutputParameter": {  # drawing on a screen or into a video, which changes no number
        "visualize": _BOOL,
        "visualize_threshold": Spelling("number"),
        "save_file": _STRING,
    },
    "DropoutParameter": {"scale_train": _ON, "sample_weights_test": _OFF},
    "PoolingParameter": {"ceil_mode": Spelling("bool", (), "round_mode", ((True, "CEIL"), (False, "FLOOR")))},
}

_ENGINES = re.compile(r"MKL(2017|DNN)?|CUDNN_\w+|LIBDNN|(INTEL_)?SPATIAL|NNPACK")
_ENGINE_STRINGS = re.compile(rf"((DEFAULT|CAFFE|CUDNN|CPU|{_ENGINES.pattern})([:;,] *|$))*")
_ENGINE = Spelling("word")


def spelling_of(message: str, field: str) -> Spelling | None:
    """What may be done with a field that is not in Caffe's message; None: nothing."""
    known = _SPELLINGS.get(message, {}).get(field)
    return known or (_ENGINE if field == "engine" and message.endswith("Parameter") else None)


def is_fork_engine(tokens: Tokens, field: Field) -> bool:
    """Whether the present token names an engine of a fork, where Caffe has DEFAULT, CAFFE and CUDNN."""
    return field.name == "engine" and tokens.kind == NAME and bool(_ENGINES.fullmatch(tokens.value))


def read_value(tokens: Tokens, name: str, spelling: Spelling) -> Any:
    """Reads a value of the spelling's kind."""
    kind = spelling.kind
    field = Field(name, kind, False, False, False, -(2**63), 2**63 - 1, {}, None)
    if kind != "word":
        return READERS[kind](tokens, field)
    if tokens.kind == STRING:
        return read_string(tokens, field)
    word = tokens.value
    if tokens.kind != NAME:
        raise tokens.source.error(tokens.start, f'"{name}" takes a name, got {tokens.described()}.')
    tokens.advance()
    return word


def changes_nothing(name: str, value: Any, spelling: Spelling) -> bool:
    """Whether the net computes the same with the field at this value."""
    if name == "engine":
        return bool(_ENGINE_STRINGS.fullmatch(value))
    return not spelling.neutral or value in spelling.neutral


def meaning(message: str, name: str, value: Any, spelling: Spelling) -> str:
    """The line of the log: what the field was taken as."""
    said = f"{name}: {shown(value, spelling.kind)} in {message}"
    source = fork_of(message, name)
    source = f"an addition of {source}" if source else "an addition of forks of Caffe"
    if spelling.target:
        return f"{said}, {source}, is taken as {spelling.target}: {dict(spelling.values)[value]}."
    if spelling.neutral:
        return f"{said}, {source}, is ignored: it is what Caffe does anyway."
    return f"{said}, {source}, is ignored: the results are the same without it."


def shown(value: Any, kind: str) -> str:
    """A value as a text has it."""
    if kind == "bool":
        return "true" if value else "false"
    return f'"{value}"' if kind == "string" else f"{value:g}" if kind == "number" else str(value)


def only_neutral(spelling: Spelling) -> str:
    """The end of the sentence that refuses a value: which values are taken."""
    values = " or ".join(shown(value, spelling.kind) for value in spelling.neutral)
    return f"; only {values}, which is what Caffe does, is taken." if values else "."
