"""What to do next about a name that the schema does not know."""

from __future__ import annotations

from typing import Any

from pycaffe_lite.proto.caffe_pb2 import LayerParameter
from pycaffe_lite.proto.forks import addition, fork_of, fork_of_v1_type
from pycaffe_lite.proto.schema import Field, fields_of
from pycaffe_lite.words import did_you_mean

# The two kinds of file that are taken for one another.
_OTHER = {
    "NetParameter": ("SolverParameter", "a solver, not a net"),
    "SolverParameter": ("NetParameter", "a net, not a solver"),
}

# Fields of V1 layers, one value for each parameter, and what they are called now.
_RATES = {"blobs_lr": "lr_mult", "weight_decay": "decay_mult"}


def field_hint(name: str, owner: Any) -> str:
    """The rest of the sentence `X has no field "name"`, with its full stop.

    Args:
        name: the unknown name.
        owner: the descriptor of the message that it stands in.
    """
    fields = fields_of(owner)
    if owner.name == "LayerParameter" and name in _RATES:
        return (
            f"; V1 layers have: in a layer {{ }}, write param {{ {_RATES[name]}: … }}, one for each blob of parameters."
        )
    fork = fork_of(owner.name, name)
    if fork:
        return addition(fork, name)
    other = _OTHER.get(owner.name)
    if other and name in fields_of(owner.file.message_types_by_name[other[0]]):
        return f"; {other[0]} has: is this {other[1]}?"
    inside = [f.name for f in fields.values() if f.kind == "message" and name in fields_of(f.message)]
    if inside and len(inside) <= 8:
        return f"; it belongs inside {' or '.join(inside)}."
    owners = [m.name for m in owner.file.message_types_by_name.values() if name in fields_of(m)]
    have = f"; {' and '.join(owners)} {'has' if len(owners) == 1 else 'have'} one." if 1 <= len(owners) <= 4 else "."
    return did_you_mean(name, fields, have)


def enum_hint(name: str, field: Field) -> str:
    """The rest of the sentence that refuses an enum's value, with its full stop."""
    fork = fork_of_v1_type(name) if field.name == "type" else None
    if fork:
        return addition(fork, name)
    word = name.strip("\"'")
    if field.name == "type" and _is_newer_type(word, field):
        return '; V1 layers have no such type: write layer { type: "Name" … } in the place of layers, for all layers.'
    return "; write it without quotes." if word in field.values else did_you_mean(word, field.values, quote="")


def _is_newer_type(name: str, field: Field) -> bool:
    """Whether a V1 layer's type, such as PRELU, is one that came after V1: with parameters in LayerParameter alone."""
    letters = {param.replace("_", "").lower() for param in fields_of(LayerParameter.DESCRIPTOR)}
    old = {value.replace("_", "") for value in field.values}
    plain = name.replace("_", "")
    return plain.upper() not in old and f"{plain.lower()}param" in letters
