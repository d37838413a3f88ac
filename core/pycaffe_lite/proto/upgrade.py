"""Bringing older forms of nets and solvers to the present one, when they are read.

In the order in which Caffe does it: V0 layers (upgrade_v0.py), image transformations among the parameters
of data layers, V1 layers (upgrade_v1.py), inputs outside of layers, BatchNorm layers with learning rates,
and the enum `solver_type`.
"""

from __future__ import annotations

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.proto.caffe_pb2 import LayerParameter, NetParameter, SolverParameter
from pycaffe_lite.proto.text import Lines, at
from pycaffe_lite.proto.upgrade_v0 import is_v0, upgrade_v0
from pycaffe_lite.proto.upgrade_v1 import TRANSFORMED, TRANSFORMS, move_transforms, upgrade_v1

_SOLVER_TYPES = {
    SolverParameter.SGD: "SGD",
    SolverParameter.NESTEROV: "Nesterov",
    SolverParameter.ADAGRAD: "AdaGrad",
    SolverParameter.RMSPROP: "RMSProp",
    SolverParameter.ADADELTA: "AdaDelta",
    SolverParameter.ADAM: "Adam",
}


def upgrade_net(net: NetParameter, path: str = "net", lines: Lines | None = None) -> list[int]:
    """Brings a net to the present form, in place, and logs what it changed.

    Args:
        net: as it was read.
        path: what log lines and errors call it.
        lines: where its fields stand, as `parse` tells it.

    Returns:
        For each layer afterwards, the line where it began; 0 if `lines` did not say.

    Raises:
        CaffeError: `layer` and `layers` are mixed, or an old form holds something that it never could.
    """
    lines = lines or {}
    old = bool(net.layers)
    _refuse_mixture(net, path, lines)
    layer_lines = lines.get("layers" if old else "layer") or [0] * (len(net.layers) + len(net.layer))
    changed = []
    if is_v0(net):
        layer_lines = upgrade_v0(net, path, layer_lines)
        changed.append("V0 layers")
    if move_transforms(net):
        changed.append("transformations in data layers")
    if old:
        upgrade_v1(net)
        changed += [] if "V0 layers" in changed else ["V1 layers"]
    if net.input:
        layer_lines = _upgrade_inputs(net, path, lines) + layer_lines
        changed.append("inputs outside of layers")
    if _upgrade_batch_norm(net):
        changed.append("BatchNorm layers with learning rates")
    if changed:
        log.info(f"Upgraded {path} from an older form: {', '.join(changed)}.")
    if not old:
        _warn_of_ignored_transforms(net, path, layer_lines)
    return layer_lines


def _refuse_mixture(net: NetParameter, path: str, lines: Lines) -> None:
    if net.layer and net.layers:
        second = max(lines.get("layer", [0])[0], lines.get("layers", [0])[0])
        raise CaffeError(
            f'{at(path, [second])}expected layers of one form, got both "layer" and the older "layers"; '
            'write all as layer { type: "Name" … }.'
        )


def _upgrade_inputs(net: NetParameter, path: str, lines: Lines) -> list[int]:
    """Puts an Input layer for the net's inputs in front; returns its line, or nothing without shapes."""
    layer = LayerParameter(name="input", type="Input", top=net.input)
    count = len(net.input)
    if net.input_shape:
        _check_count(len(net.input_shape), count, "input_shape", path, lines)
        layer.input_param.shape.extend(net.input_shape[:count])
    elif net.input_dim:
        _check_count(len(net.input_dim), 4 * count, "input_dim", path, lines)
        for i in range(count):
            layer.input_param.shape.add(dim=net.input_dim[4 * i : 4 * i + 4])
    else:
        log.warning(f"{at(path, lines.get('input'))}input has no input_shape; left out, as in Caffe.")
    sized = layer.HasField("input_param")
    for name in ("input", "input_shape", "input_dim"):
        net.ClearField(name)
    if sized:
        layers = [layer, *net.layer]
        net.ClearField("layer")
        net.layer.extend(layers)
    return lines.get("input", [0])[:1] if sized else []


def _check_count(got: int, expected: int, field: str, path: str, lines: Lines) -> None:
    said = f"{at(path, lines.get(field))}expected {expected} {field} for the net's inputs, got {got}"
    if got < expected:
        raise CaffeError(f"{said}.")
    if got > expected:
        log.warning(f"{said}; the first {expected} count, as in Caffe.")


def _upgrade_batch_norm(net: NetParameter) -> bool:
    """The three sums of a BatchNorm are not learned: with a `param` for each, their rates become 0."""
    changed = False
    for layer in net.layer:
        if layer.type != "BatchNorm" or len(layer.param) != 3:
            continue
        for spec in layer.param:
            changed = changed or spec.lr_mult != 0 or spec.decay_mult != 0
            spec.lr_mult = 0
            spec.decay_mult = 0
    return changed


def _warn_of_ignored_transforms(net: NetParameter, path: str, layer_lines: list[int]) -> None:
    for layer, line in zip(net.layer, layer_lines, strict=True):
        for name in TRANSFORMED.values():
            param = getattr(layer, name)
            given = [field for field in TRANSFORMS if layer.HasField(name) and param.HasField(field)]
            if given:
                log.warning(
                    f'{at(path, [line])}layer "{layer.name}": {", ".join(given)} in {name} has no effect, '
                    "as in Caffe; write it in transform_param."
                )


def upgrade_solver(solver: SolverParameter, path: str = "solver", lines: Lines | None = None) -> None:
    """Brings a solver, and the nets inside it, to the present form, in place.

    Raises:
        CaffeError: it gives both `type` and the older `solver_type`, or a net inside cannot be upgraded.
    """
    lines = lines or {}
    if solver.HasField("solver_type"):
        if solver.HasField("type"):
            raise CaffeError(
                f"{at(path, lines.get('solver_type'))}expected one type of solver, got both type and the "
                "older solver_type; leave solver_type out."
            )
        solver.type = _SOLVER_TYPES[solver.solver_type]
        solver.ClearField("solver_type")
        log.info(f'Upgraded {path} from an older form: solver_type, now type: "{solver.type}".')
    for name in ("net_param", "train_net_param"):
        if solver.HasField(name):
            upgrade_net(getattr(solver, name), path, _inside(lines, name))
    for net in solver.test_net_param:
        alone = len(solver.test_net_param) == 1
        upgrade_net(net, path, _inside(lines, "test_net_param") if alone else None)


def _inside(lines: Lines, name: str) -> Lines:
    return {key.removeprefix(name + "."): value for key, value in lines.items() if key.startswith(name + ".")}
