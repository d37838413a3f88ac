"""caffe.net_spec: a net written in Python, as layers that take the tops of others.

n = NetSpec()
n.data, n.label = layers.Data(source="mnist_train_lmdb", backend=params.Data.LMDB, batch_size=64, ntop=2)
n.ip = layers.InnerProduct(n.data, num_output=10, weight_filler=dict(type="xavier"))
n.loss = layers.SoftmaxWithLoss(n.ip, n.label)
text = str(n.to_proto())
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.pycaffe.faults import BadName, BadType, BadValue
from pycaffe_lite.words import did_you_mean, nearest, short

__all__ = [
    "Counter",
    "Function",
    "Layers",
    "NetSpec",
    "OrderedDict",
    "Parameters",
    "Top",
    "assign_proto",
    "layers",
    "param_name_dict",
    "params",
    "to_proto",
]


def param_name_dict() -> dict[str, str]:
    """For each type of layer with parameters of its own, what their field is called: `InnerProduct` -> `inner_product`.

    Messages that several types share, such as `TransformationParameter`, are among them.
    """
    own = [field for field in caffe_pb2.LayerParameter.DESCRIPTOR.fields if field.name.endswith("_param")]
    types = [(field.name.removesuffix("_param"), field.message_type) for field in own]
    return {message.name.removesuffix("Parameter"): name for name, message in types if message is not None}


_param_names = param_name_dict()


def to_proto(*tops: Top | Function) -> caffe_pb2.NetParameter:
    """The net of all layers that these tops need; blobs and layers get the names of their types, numbered from 1."""
    return _net([top.fn if isinstance(top, Top) else top for top in tops], {})


def _net(functions: list[Function], names: dict[Any, str]) -> caffe_pb2.NetParameter:
    made: OrderedDict[Function, caffe_pb2.LayerParameter] = OrderedDict()
    autonames: Counter[str] = Counter()
    for function in functions:
        function._to_proto(made, names, autonames)
    return caffe_pb2.NetParameter(layer=list(made.values()))


def assign_proto(proto: Any, name: str, val: Any) -> None:
    """Sets a field of a message from what Python has for it.

    Args:
        proto: the message.
        name: the field.
        val: a dict for a message inside, a list for a repeated field, or one value for such; anything else as it is.

    Raises:
        BadName: the message has no such field.
        BadType, BadValue: the field does not take such a value.
    """
    field = proto.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        raise BadName(_no_field(name, [proto.DESCRIPTOR]))
    inside = getattr(proto, name)
    if hasattr(inside, "extend"):
        items = list(val) if isinstance(val, (list, tuple, np.ndarray)) else [val]
        for item in items:
            if isinstance(item, Mapping) and hasattr(inside, "add"):
                _assign_all(inside.add(), item)
            else:
                _told(proto, name, item, partial(inside.extend, [item]))
    elif isinstance(val, Mapping) and field.message_type is not None:
        _assign_all(inside, val)
    elif field.message_type is not None:
        _told(proto, name, val, lambda: inside.CopyFrom(val))
    else:
        _told(proto, name, val, lambda: setattr(proto, name, val))


def _assign_all(proto: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        assign_proto(proto, name, value)


def _told(proto: Any, name: str, value: Any, assign: Callable[[], object]) -> None:
    """Makes a sentence of what protobuf says of a value."""
    try:
        assign()
    except (TypeError, ValueError, AttributeError) as problem:
        kind = BadValue if isinstance(problem, ValueError) else BadType
        raise kind(f'"{name}" of {proto.DESCRIPTOR.name} does not take {short(repr(value))}: {problem}.') from None


def _no_field(name: str, messages: list[Any]) -> str:
    owners = " and ".join(message.name for message in messages)
    fields = [field.name for message in messages for field in message.fields]
    return f'There is no "{short(name)}" in {owners}' + did_you_mean(name, fields)


class Top:
    """A blob that a layer makes.

    Attributes:
        fn: the layer.
        n: which of its tops, from 0.
    """

    def __init__(self, fn: Function, n: int) -> None:
        self.fn = fn
        self.n = n

    def to_proto(self) -> caffe_pb2.NetParameter:
        """The net of all layers that this top needs."""
        return to_proto(self)

    def _to_proto(self, layers: Any, names: Any, autonames: Any) -> None:
        self.fn._to_proto(layers, names, autonames)


class Function:
    """A layer: its type, its bottoms and its parameters.

    Args:
        type_name: the layer's type.
        inputs: its bottoms, each a Top.
        params: what is written into the layer: fields of its own parameters, such as num_output, or of
            LayerParameter, such as param. Besides them `ntop`, the number of tops (1), and `in_place`, whether the
            tops are the bottoms.

    Attributes:
        type_name, inputs, params: as given, params without ntop and in_place.
        ntop, in_place: from params.
        tops: a Top for each.

    Raises:
        BadType: an input that is no Top.
    """

    def __init__(self, type_name: str, inputs: tuple[Top, ...], params: dict[str, Any]) -> None:
        for index, top in enumerate(inputs):
            if not isinstance(top, Top):
                raise BadType(
                    f"Bottom {index} of {type_name} is no Top but a {type(top).__name__}: {short(repr(top))}."
                )
        self.type_name = type_name
        self.inputs = inputs
        self.params = params
        self.ntop: int = params.pop("ntop", 1)
        self.in_place: bool = params.pop("in_place", False)
        self.tops = tuple(Top(self, n) for n in range(self.ntop))

    def _get_name(self, names: dict[Any, str], autonames: Counter[str]) -> str:
        """The layer's name: its first top's, or its type with a number."""
        if self not in names:
            names[self] = (
                self._get_top_name(self.tops[0], names, autonames) if self.ntop else _numbered(self, autonames)
            )
        return names[self]

    def _get_top_name(self, top: Top, names: dict[Any, str], autonames: Counter[str]) -> str:
        if top not in names:
            names[top] = _numbered(top.fn, autonames)
        return names[top]

    def _to_proto(
        self,
        layers: OrderedDict[Function, caffe_pb2.LayerParameter],
        names: dict[Any, str],
        autonames: Counter[str],
    ) -> None:
        """Adds the messages of this layer and of all it needs, those before it."""
        for function in _needed(self, layers):
            layers[function] = function._message(layers, names, autonames)

    def _message(
        self, layers: Mapping[Function, caffe_pb2.LayerParameter], names: dict[Any, str], autonames: Counter[str]
    ) -> caffe_pb2.LayerParameter:
        layer = caffe_pb2.LayerParameter(type=self.type_name)
        layer.bottom.extend(layers[top.fn].top[top.n] for top in self.inputs)
        named = layer.bottom if self.in_place else [self._get_top_name(top, names, autonames) for top in self.tops]
        layer.top.extend(list(named))
        layer.name = self._get_name(names, autonames)
        for name, value in self.params.items():
            self._assign(layer, name, value)
        return layer

    def _assign(self, layer: caffe_pb2.LayerParameter, name: str, value: Any) -> None:
        """Sets a field of the type's own parameters, or else of the layer."""
        own = _param_names.get(self.type_name)
        messages = [layer] if own is None else [getattr(layer, f"{own}_param"), layer]
        if name.endswith("param"):
            messages = [layer]
        where = f'layer "{layer.name}" ({self.type_name}): '
        for message in messages:
            if name in message.DESCRIPTOR.fields_by_name:
                try:
                    assign_proto(message, name, value)
                except (BadName, BadType, BadValue) as problem:
                    raise type(problem)(where + str(problem)) from None
                return
        raise BadName(where + _no_field(name, [message.DESCRIPTOR for message in messages]))


def _numbered(function: Function, autonames: Counter[str]) -> str:
    autonames[function.type_name] += 1
    return f"{function.type_name}{autonames[function.type_name]}"


def _needed(function: Function, done: Mapping[Function, Any]) -> Iterator[Function]:
    """A layer and those it needs, each behind its bottoms; a net may be deeper than Python's calls may."""
    seen = {function}
    stack = [] if function in done else [(function, iter(function.inputs))]
    while stack:
        current, inputs = stack[-1]
        following = next((top.fn for top in inputs if top.fn not in seen and top.fn not in done), None)
        if following is None:
            stack.pop()
            yield current
        else:
            seen.add(following)
            stack.append((following, iter(following.inputs)))


class NetSpec:
    """A net whose blobs and layers have the names they are assigned to: `n.conv1 = layers.Convolution(n.data, …)`."""

    tops: OrderedDict[str, Any]

    def __init__(self) -> None:
        super().__setattr__("tops", OrderedDict())

    def __setattr__(self, name: str, value: Any) -> None:
        self.tops[name] = value

    def __getattr__(self, name: str) -> Any:
        if name == "tops" or name.startswith("__"):  # what copying and the like look for before there is anything
            raise AttributeError(name)
        if name not in self.tops:
            raise BadName(f'This NetSpec has no "{name}"' + did_you_mean(name, self.tops))
        return self.tops[name]

    def __setitem__(self, key: str, value: Any) -> None:
        self.tops[key] = value

    def __getitem__(self, item: str) -> Any:
        return self.__getattr__(item)

    def __delitem__(self, name: str) -> None:
        self.__getattr__(name)
        del self.tops[name]

    def to_proto(self) -> caffe_pb2.NetParameter:
        """The net of all layers that the tops assigned so far need, in the order of assignment.

        Raises:
            BadType: something else than a layer's top was assigned.
            BadName: a layer's parameter that there is not.
            BadType, BadValue: one that does not take its value.
        """
        for name, top in self.tops.items():
            if not isinstance(top, (Top, Function)):
                hint = "; it has several tops: assign each of them" if isinstance(top, tuple) else ""
                raise BadType(f'"{name}" of this NetSpec is no layer\'s top but a {type(top).__name__}{hint}.')
        functions = [top.fn if isinstance(top, Top) else top for top in self.tops.values()]
        return _net(functions, {top: name for name, top in self.tops.items()})


class Layers:
    """`layers.TYPE(bottoms…, parameters…)` is a layer's top, its tops if ntop is 2 or more, the layer if it is 0."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def layer_fn(*args: Top, **kwargs: Any) -> Top | Function | tuple[Top, ...]:
            function = Function(name, args, kwargs)
            if function.ntop == 0:
                return function
            return function.tops[0] if function.ntop == 1 else function.tops

        return layer_fn


class Parameters:
    """`params.TYPE.NAME` is a constant of a layer's parameters: params.Pooling.MAX."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Constants(name)


class _Constants:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        message = getattr(caffe_pb2, f"{self._name}Parameter", None)
        if message is None or not hasattr(message, name):
            types = [kind for kind in dir(caffe_pb2) if kind.endswith("Parameter")]
            close = nearest(f"{self._name}Parameter", types) if message is None else nearest(name, dir(message))
            hint = f'; did you mean "{close.removesuffix("Parameter")}"?' if close else "."
            raise BadName(f"There is no params.{self._name}.{name}{hint}")
        return getattr(message, name)


layers = Layers()
params = Parameters()
