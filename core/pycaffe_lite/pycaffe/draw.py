"""caffe.draw: a net as a graph of its layers and blobs, for Graphviz.

pydot makes the graph where it is installed. Where not, it is a `DotGraph`, which has Graphviz's text and those of
pydot's methods that Caffe calls.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any, NamedTuple

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.pycaffe.faults import BadValue
from pycaffe_lite.writing import write_output

LAYER_STYLE_DEFAULT = {"shape": "record", "fillcolor": "#6495ED", "style": "filled"}
NEURON_LAYER_STYLE = {"shape": "record", "fillcolor": "#90EE90", "style": "filled"}
BLOB_STYLE = {"shape": "octagon", "fillcolor": "#E0E0E0", "style": "filled"}

_LEARNING = ("Convolution", "Deconvolution", "InnerProduct")
_KEYWORDS = ("node", "edge", "graph", "digraph", "subgraph", "strict")
TEXTS = ("raw", "dot", "gv")  # what needs no layout


class DotGraph:
    """A directed graph as Graphviz's text.

    Args:
        name: the graph's name.
        rankdir: the direction of its layout.
        more: further statements in Graphviz's language.
    """

    def __init__(self, name: str, rankdir: str, more: str = "") -> None:
        self._lines = [f"digraph {quoted(name)} {{", f"rankdir={quoted(rankdir)};", *([more] if more else [])]

    def add_node(self, label: str, style: dict[str, str]) -> None:
        self._lines.append(f"{quoted(label)} [{', '.join(f'{k}={quoted(v)}' for k, v in style.items())}];")

    def add_edge(self, source: str, target: str, label: str) -> None:
        self._lines.append(f"{quoted(source)} -> {quoted(target)} [label={quoted(label)}];")

    def to_string(self) -> str:
        """The graph in Graphviz's language."""
        return "\n".join([*self._lines, "}", ""])

    def create(self, prog: str = "dot", format: str = "ps") -> bytes:
        """The graph as an image, drawn by Graphviz.

        Raises:
            CaffeError: Graphviz is not installed, or does not know the format.
        """
        try:
            done = subprocess.run(
                [prog, f"-T{format}"], input=self.to_string().encode(), capture_output=True, check=True
            )
        except OSError:
            raise _no_graphviz(format) from None
        except subprocess.CalledProcessError as problem:
            said = problem.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
            raise CaffeError(f"Graphviz cannot draw a graph as {format}; it says: {said[0]}") from None
        return done.stdout

    def write(self, path: str, prog: str = "dot", format: str = "raw") -> None:
        """Writes the graph's text, or with another format its image."""
        write_output(path, self.to_string().encode() if format in TEXTS else self.create(prog, format))


def quoted(text: str) -> str:
    """A text as Graphviz takes it; one that is a plain word, or in quotes already, stays."""
    if re.fullmatch(r'[A-Za-z_]\w*|".*"', text, re.ASCII | re.DOTALL) and text.lower() not in _KEYWORDS:
        return text
    return '"' + text.replace('"', '\\"') + '"'


def get_pooling_types_dict() -> dict[int, str]:
    """For each number of a pooling method, its name."""
    return {value.number: value.name for value in caffe_pb2.PoolingParameter.PoolMethod.DESCRIPTOR.values}


def get_edge_label(layer: caffe_pb2.LayerParameter) -> str:
    """What stands at the edges from a layer to its tops: the batch size of a Data layer, the outputs of one with
    weights, else `""`, two quotes.
    """
    if layer.type == "Data":
        return f"Batch {layer.data_param.batch_size}"
    if layer.type in ("Convolution", "Deconvolution"):
        return str(layer.convolution_param.num_output)
    return str(layer.inner_product_param.num_output) if layer.type == "InnerProduct" else '""'


def get_layer_lr_mult(layer: caffe_pb2.LayerParameter) -> tuple[float, float]:
    """The factors of the learning rate for the weights and the bias of a layer, 1 where none is given.

    Raises:
        BadValue: the layer is not of a type that has both, or gives more than two.
    """
    if layer.type not in _LEARNING:
        raise BadValue(f'layer "{layer.name}" ({layer.type}): only {", ".join(_LEARNING)} have such factors.')
    factors = [param.lr_mult for param in layer.param]
    if len(factors) > 2:
        raise BadValue(f'layer "{layer.name}" ({layer.type}): expected at most 2 of "param", got {len(factors)}.')
    weights, bias = [*factors, 1.0, 1.0][:2]
    return weights, bias


def get_layer_label(layer: caffe_pb2.LayerParameter, rankdir: str, display_lrm: bool = False) -> str:
    r"""What stands in a layer's node, in quotes: its name, type, kernel, and perhaps its factors of the learning rate.

    Args:
        layer: the layer.
        rankdir: LR or RL, with the parts below each other (`\n`), or TB or BT, in a line.
        display_lrm: whether the factors are shown.
    """
    kind = layer.type
    if kind == "Pooling":
        kind = f"Pooling {get_pooling_types_dict()[layer.pooling_param.pool]}"
    parts = [layer.name, f"({kind})"]
    if (kernel := _kernel(layer)) is not None:
        parts += [f"{name}: {value}" for name, value in zip(("kernel size", "stride", "pad"), kernel, strict=True)]
    if display_lrm and layer.type in _LEARNING and any(factors := get_layer_lr_mult(layer)):
        parts.append(f"lr mult: {factors[0]:.1f}, {factors[1]:.1f}")
    text = (" " if rankdir in ("TB", "BT") else r"\n").join(parts)
    return '"' + text.replace('"', '\\"') + '"'


def _kernel(layer: caffe_pb2.LayerParameter) -> tuple[int, int, int] | None:
    """Kernel size, stride and padding of a layer that has them, along the first axis."""
    if layer.type == "Pooling":
        pooling = layer.pooling_param
        return pooling.kernel_size, pooling.stride, pooling.pad
    if layer.type in ("Convolution", "Deconvolution"):
        param = layer.convolution_param
        return [*param.kernel_size, 1][0], [*param.stride, 1][0], [*param.pad, 0][0]
    return None


def choose_color_by_layertype(layertype: str) -> str:
    """The colour of the nodes of a type of layers."""
    colors = {"Convolution": "#FF5050", "Deconvolution": "#FF5050", "Pooling": "#FF9900", "InnerProduct": "#CC33FF"}
    return colors.get(layertype, LAYER_STYLE_DEFAULT["fillcolor"])


class _Edge(NamedTuple):
    source: str
    target: str
    label: str


def get_pydot_graph(
    caffe_net: caffe_pb2.NetParameter,
    rankdir: str,
    label_edges: bool = True,
    phase: int | None = None,
    display_lrm: bool = False,
) -> Any:
    """A net as a graph: pydot's where it is installed, else a `DotGraph`.

    Args:
        caffe_net: the net.
        rankdir: the direction: LR, TB or BT.
        label_edges: whether batch sizes and numbers of outputs stand at the edges.
        phase: TRAIN or TEST for the layers of that phase alone; None for all.
        display_lrm: whether factors of the learning rate are shown.

    Raises:
        BadValue: a layer that both includes and excludes phases.
    """
    nodes: dict[str, tuple[str, dict[str, str]]] = {}
    edges: list[_Edge] = []
    for layer in caffe_net.layer:
        if phase is None or _is_in(layer, phase):
            _add(layer, get_layer_label(layer, rankdir, display_lrm), label_edges, nodes, edges)
    return _graph(caffe_net.name or "Net", rankdir, nodes, edges)


def _add(layer: Any, label: str, label_edges: bool, nodes: dict[str, Any], edges: list[_Edge]) -> None:
    """A layer's node, those of its blobs, and the edges between them."""
    node = f"{layer.name}_{layer.type}"
    in_place = len(layer.bottom) == 1 and list(layer.bottom) == list(layer.top)
    color = {"fillcolor": choose_color_by_layertype(layer.type)}
    nodes[node] = label, NEURON_LAYER_STYLE if in_place else {**LAYER_STYLE_DEFAULT, **color}
    for blob in layer.bottom:
        nodes[f"{blob}_blob"] = blob, BLOB_STYLE
        edges.append(_Edge(f"{blob}_blob", node, '""'))
    for blob in layer.top:
        nodes.setdefault(f"{blob}_blob", (blob, BLOB_STYLE))
        edges.append(_Edge(node, f"{blob}_blob", get_edge_label(layer) if label_edges else '""'))


def _graph(name: str, rankdir: str, nodes: dict[str, tuple[str, dict[str, str]]], edges: list[_Edge]) -> Any:
    try:
        import pydot
    except ImportError:
        graph = DotGraph(name, rankdir)
        for label, style in nodes.values():
            graph.add_node(label, style)
        for source, target, label in edges:
            graph.add_edge(nodes[source][0], nodes[target][0], label)
        return graph
    drawn = pydot.Dot(quoted(name), graph_type="digraph", rankdir=rankdir)
    made: dict[str, Any] = {}
    for key, (label, style) in nodes.items():
        attributes: dict[str, Any] = dict(style)
        made[key] = pydot.Node(quoted(label), **attributes)
    for node in made.values():
        drawn.add_node(node)
    for source, target, label in edges:
        drawn.add_edge(pydot.Edge(made[source], made[target], label=quoted(label)))
    return drawn


def _is_in(layer: Any, phase: int) -> bool:
    """Whether a layer's rules, as far as they tell phases, let it into one."""
    if layer.include and layer.exclude:
        raise BadValue(f'layer "{layer.name}" ({layer.type}): expected rules of "include" or "exclude", got both.')
    matching = _matching(layer.include or layer.exclude, phase)
    return any(matching) if layer.include else not any(matching)


def _matching(rules: Any, phase: int) -> Iterator[bool]:
    return (not rule.HasField("phase") or rule.phase == phase for rule in rules)


def draw_net(
    caffe_net: caffe_pb2.NetParameter,
    rankdir: str,
    ext: str = "png",
    phase: int | None = None,
    display_lrm: bool = False,
) -> bytes:
    """A net as an image, or as Graphviz's text.

    Args:
        caffe_net, rankdir, phase, display_lrm: as for get_pydot_graph.
        ext: the kind of file: png, svg, pdf and what else Graphviz draws; or raw, dot or gv for the text, which needs
            no Graphviz.

    Raises:
        CaffeError: Graphviz is not installed, or does not know that kind.
    """
    graph = get_pydot_graph(caffe_net, rankdir, phase=phase, display_lrm=display_lrm)
    if ext in TEXTS:
        return graph.to_string().encode()
    if shutil.which("dot") is None:
        raise _no_graphviz(ext)
    try:
        return graph.create(format=ext)
    except (OSError, AssertionError):  # pydot's ways to say that Graphviz failed
        raise CaffeError(f"Graphviz cannot draw a graph as {ext}; .dot gives its text.") from None


def _no_graphviz(ext: str) -> CaffeError:
    return CaffeError(
        f"Drawing a net as {ext} needs Graphviz, whose program dot is not found; install it, or write .dot, its text."
    )


def compact_graph(caffe_net: caffe_pb2.NetParameter, rankdir: str, phase: int | None = None) -> DotGraph:
    """A net as a graph of its layers alone, small enough for a large net on a page.

    What works in place stands in the node of the layer whose top it changes.

    Args:
        caffe_net, rankdir, phase: as for get_pydot_graph.

    Raises:
        BadValue: a layer that both includes and excludes phases.
    """
    labels: list[str] = []
    colors: list[str] = []
    edges: dict[tuple[int, int], None] = {}
    makers: dict[str, int] = {}
    for layer in caffe_net.layer:
        if phase is not None and not _is_in(layer, phase):
            continue
        if list(layer.bottom) == list(layer.top) and len(layer.top) == 1 and layer.top[0] in makers:
            labels[makers[layer.top[0]]] += rf"\n+ {layer.type}"
            continue
        labels.append(_compact_label(layer))
        colors.append(choose_color_by_layertype(layer.type))
        edges.update({(makers[blob], len(labels) - 1): None for blob in layer.bottom if blob in makers})
        makers.update(dict.fromkeys(layer.top, len(labels) - 1))
    spacing = 'ranksep=0.2; nodesep=0.1; node [margin="0.06,0.03" height=0.2]; edge [arrowsize=0.6];'
    graph = DotGraph(caffe_net.name or "Net", rankdir, spacing)
    for label, color in zip(labels, colors, strict=True):
        graph.add_node(label, {"shape": "box", "style": "filled", "fillcolor": color})
    for source, target in edges:
        graph.add_edge(labels[source], labels[target], '""')
    return graph


def _compact_label(layer: caffe_pb2.LayerParameter) -> str:
    """Name and type, with kernel, stride and outputs where there are any: `conv1`, `Convolution 7 /2, 64`."""
    kernel, outputs, size = _kernel(layer), get_edge_label(layer).strip('"'), ""
    if layer.type == "Pooling":
        size = f" {get_pooling_types_dict()[layer.pooling_param.pool]}"
    if kernel is not None:
        size += f" {kernel[0] or 'global'}" + (f" /{kernel[1]}" if kernel[1] != 1 else "")
    outputs = f", {outputs}" if outputs else ""
    return rf"{layer.name}\n{layer.type}{size}{outputs}"


def draw_net_to_file(
    caffe_net: caffe_pb2.NetParameter,
    filename: str | os.PathLike[str],
    rankdir: str = "LR",
    phase: int | None = None,
    display_lrm: bool = False,
) -> None:
    """Writes a net as a file of the kind that its extension names, see draw_net.

    Raises:
        CaffeError: the name has no extension, as for draw_net, or the file cannot be written.
    """
    path = os.fspath(filename)
    ext = os.path.splitext(path)[1][1:]
    if not ext:
        raise BadValue(f'Expected a file name with an extension such as .png or .dot, got "{path}".')
    write_output(path, draw_net(caffe_net, rankdir, ext, phase, display_lrm))
