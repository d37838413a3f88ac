"""Checking a solver or a net with all it names: every error at once, then what usually is a mistake."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.formats.format import format_of
from pycaffe_lite.layers.feed_base import FeedLayer
from pycaffe_lite.net.rules import filter_layers
from pycaffe_lite.net.weights import copy_fitted, fit
from pycaffe_lite.paths import find_file, read_text
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto.caffe_pb2 import NetState
from pycaffe_lite.proto.read import NetText, SolverText, net_of_text, solver_of_text
from pycaffe_lite.solvers.detections import check_evaluations
from pycaffe_lite.solvers.nets import NetSource, state_of, test_sources, text_of, train_source
from pycaffe_lite.solvers.registry import solver_class
from pycaffe_lite.solvers.sgd import SGDSolver
from pycaffe_lite.tools.check_net import CheckedNet, build, warn
from pycaffe_lite.tools.findings import Finding, Findings, Mended, read_past_errors

_NET_FIELDS = ("net", "net_param", "train_net", "train_net_param", "test_net", "test_net_param")
_OF_SOLVERS = ("base_lr", "lr_policy", "max_iter", "solver_mode", *_NET_FIELDS)
_OF_NETS = ("layer", "layers", "input", "input_dim", "input_shape", "name")
_MOST = 30  # rounds over a solver's fields


def check(path: str, *, weights: Sequence[str] = (), level: int = 0, stages: Sequence[str] = ()) -> list[Finding]:
    """Reads a solver or a net and everything it names, and tells what is wrong.

    A solver's nets are built as it would build them; a net is built for both phases, for each stage that its rules
    name unless stages are given.

    Args:
        path: the prototxt.
        weights: weights files that a net is to start from, besides those that a solver names.
        level, stages: of a net's state.

    Returns:
        errors and warnings, by file and line; none if all is well.

    Raises:
        FileError: the file itself cannot be read.
    """
    text = read_text(path, "a solver or a net")
    checker = _Checker()
    try:
        if _is_net(text):
            checker.check_net_file(text, path, weights, level, stages)
        else:
            checker.check_solver(text, path, weights)
    finally:
        for net in checker.nets:
            net.close()
    return checker.findings.sorted()


def _is_net(text: str) -> bool:
    """Whether a text is rather a net than a solver, by the first of its fields that tells."""
    names = re.findall(r"(?m)^\s*(\w+)\s*[:{]", text)
    return next((name in _OF_NETS for name in names if name in _OF_NETS or name in _OF_SOLVERS), False)


class _Checker:
    """One check.

    Attributes:
        findings: what has been found.
        nets: the nets that have been built.
    """

    def __init__(self) -> None:
        self.findings = Findings()
        self.nets: list[CheckedNet] = []
        self._texts: dict[str, tuple[NetText | None, Mended]] = {}

    # -- a net by itself -----------------------------------------------------------------------------------

    def check_net_file(self, text: str, path: str, weights: Sequence[str], level: int, stages: Sequence[str]) -> None:
        net, mended = read_past_errors(text, path, net_of_text, self.findings)
        if net is None:
            return
        for state in _states(net, level, stages):
            checked = self._build(net, state, mended)
            names = self._check_weights(checked, [(name, 0) for name in weights], path)
            warn(checked, self.findings, False, names)

    # -- a solver ------------------------------------------------------------------------------------------

    def check_solver(self, text: str, path: str, weights: Sequence[str]) -> None:
        solver, mended = read_past_errors(text, path, solver_of_text, self.findings)
        if solver is None:
            return
        self._check_fields(solver, mended)
        given = zip(solver.param.weights, solver.lines.get("weights", []), strict=False)
        files = [(name.strip(), line) for names, line in given for name in names.split(",")]
        files += [(name, 0) for name in weights]
        train = self._train_net(solver, mended)
        if train is not None:
            names = self._check_weights(train, files, path)
            warn(train, self.findings, True, names)
        self._check_tests(solver, mended, train)
        if not mended.fields:
            self._warn_of_rate(solver)

    def _check_fields(self, text: SolverText, mended: Mended) -> None:
        """Lets the solver's class look at its fields; what it refuses is put back to the default, to hear the next."""
        try:
            kind = solver_class(text)
        except CaffeError as problem:
            self.findings.error(problem, text.path)
            kind = SGDSolver
        param = type(text.param)()
        param.CopyFrom(text.param)
        changed = text._replace(param=param)
        if "lr_policy" in mended.fields:
            param.lr_policy = "fixed"
        for _ in range(_MOST):
            try:
                kind.check(changed)
                return
            except CaffeError as problem:
                field = _field_of(problem, text)
                policy = text.lines.get("lr_policy", [0])[0] if "lr_policy" in str(problem) else 0
                self.findings.error(problem, text.path, policy)
                if field and field != "lr_policy":
                    param.ClearField(field)
                elif param.lr_policy != "fixed":
                    param.lr_policy = "fixed"
                else:
                    return

    def _train_net(self, text: SolverText, mended: Mended) -> CheckedNet | None:
        if mended.fields & set(_NET_FIELDS) and not any(text.param.HasField(name) for name in _NET_FIELDS[:4]):
            return None
        try:
            source = train_source(text)
        except CaffeError as problem:
            self.findings.error(problem, text.path)
            return None
        return self._net_of(source, text, mended, TRAIN, text.param.train_state)

    def _check_tests(self, text: SolverText, mended: Mended, train: CheckedNet | None) -> None:
        param = text.param
        try:
            sources = test_sources(text)
        except CaffeError as problem:
            self.findings.error(problem, text.path)
            sources = [NetSource("test_net_param", value) for value in param.test_net_param]
            sources += [NetSource("test_net", value) for value in param.test_net]
        tested = []
        for i, source in enumerate(sources):
            state = param.test_state[i] if i < len(param.test_state) else None
            net = self._net_of(source, text, mended, TEST, state)
            if net is not None:
                tested.append(net.builder.nodes)
                warn(net, self.findings, True)
                if i < len(param.test_iter):
                    self._warn_of_cover(net, param.test_iter[i], text.lines.get("test_iter", [])[i:], text, train)
        if len(tested) == len(sources):
            try:
                check_evaluations(text, tested)
            except CaffeError as problem:
                self.findings.error(problem, text.path)

    def _net_of(
        self, source: NetSource, text: SolverText, mended: Mended, phase: int, state: NetState | None
    ) -> CheckedNet | None:
        line = text.lines.get(source.field, [0])[0]
        try:
            if isinstance(source.value, str):
                path = find_file(source.value, text.path, source.field)
                if path not in self._texts:
                    self._texts[path] = read_past_errors(read_text(path, "a net"), path, net_of_text, self.findings)
                net, mended = self._texts[path]
            else:
                net = text_of(source, text, net_of_file)
        except CaffeError as problem:
            self.findings.error(problem, text.path, line)
            return None
        return None if net is None else self._build(net, state_of(net, phase, state), mended)

    def _build(self, text: NetText, state: NetState, mended: Mended) -> CheckedNet:
        self.nets.append(build(text, state, mended.lines, self.findings))
        return self.nets[-1]

    # -- warnings ------------------------------------------------------------------------------------------

    def _check_weights(self, net: CheckedNet, files: Sequence[tuple[str, int]], beside: str) -> list[str]:
        """Looks whether weights files fit a net; returns the names of the layers they have."""
        names: list[str] = []
        layers = [node.layer for node in net.builder.nodes]
        for name, line in files:
            try:
                found = find_file(name, beside, "weights file")
                sources = format_of(found).read_weights(found, None)
            except CaffeError as problem:
                self.findings.error(problem, beside, line)
                continue
            place = f"{beside}:{line}: " if line else f"{beside}: "
            with_blobs = {source.name for source in sources if source.blobs}
            if not with_blobs & {layer.name for layer in layers if layer.blobs}:
                self.findings.warning(place, f"the weights of {found} fit no layer: none of them has such a name.")
            for source in sources:
                try:
                    copy_fitted(fit(layers, [source], found))
                except CaffeError as problem:
                    self.findings.error(problem, beside, line)
            names += with_blobs
        return names

    def _warn_of_cover(
        self, net: CheckedNet, batches: int, lines: Sequence[int], text: SolverText, train: CheckedNet | None
    ) -> None:
        """Tests that leave out a part of their data, or go round them; of data that are trained with a part will do."""
        for node in net.builder.nodes:
            layer = node.layer
            records = layer.records() if isinstance(layer, FeedLayer) else None
            if not records:
                continue
            tested = batches * node.tops[0].shape[0]
            partly = tested < records and not (train is not None and net.sources & train.sources)
            if partly or tested > records:
                effect = f"{records - tested} of them are never tested" if partly else "some count more than once"
                self.findings.warning(
                    f"{text.path}:{lines[0]}: " if lines else f"{text.path}: ",
                    f"test_iter {batches} x batch_size {node.tops[0].shape[0]} = {tested}, but layer "
                    f'"{layer.name}" ({layer.type}) has {records} records; {effect}.',
                )

    def _warn_of_rate(self, text: SolverText) -> None:
        param = text.param
        if param.max_iter < 1 and "max_iter" not in text.lines:
            self.findings.warning(f"{text.path}: ", "there is no max_iter, so that nothing is trained.")
        if param.lr_policy != "multistep":
            return
        if not param.stepvalue:
            self.findings.warning(text.location("lr_policy"), 'lr_policy "multistep" without a stepvalue is "fixed".')
        values = list(param.stepvalue)
        for i, (value, line) in enumerate(zip(values, text.lines.get("stepvalue", []), strict=False)):
            location = f"{text.path}:{line}: "
            if i and value <= values[i - 1]:
                self.findings.warning(location, f"stepvalue {value} is not above the one before it, {values[i - 1]}.")
            elif value >= param.max_iter > 0:
                self.findings.warning(location, f"stepvalue {value} is never reached: max_iter is {param.max_iter}.")


def net_of_file(path: str) -> NetText:
    """The net of a file."""
    return net_of_text(read_text(path, "a net"), path)


def _field_of(problem: CaffeError, text: SolverText) -> str | None:
    """The field of a solver that an error points to by its line."""
    head = str(problem).removeprefix(f"{text.path}:").split(":")[0]
    names = [name for name, lines in text.lines.items() if head.isdigit() and int(head) in lines]
    return next((name for name in names if name in str(problem)), names[0] if names else None)


def _states(text: NetText, level: int, stages: Sequence[str]) -> list[NetState]:
    """The states that a net is to be built for: both phases, with each stage that its rules name for the phase.

    A phase without a layer that begins it is left out, as in a net that is for training alone.
    """
    states = []
    for phase in (TRAIN, TEST):
        named: dict[str, None] = {}
        for layer in text.param.layer:
            for rule in layer.include:
                if not rule.HasField("phase") or rule.phase == phase:
                    named.update(dict.fromkeys(rule.stage))
        each = [list(stages)] if stages or not named else [[stage] for stage in named]
        states += [NetState(phase=phase, level=level, stage=[*text.param.state.stage, *chosen]) for chosen in each]
    begun = [state for state in states if _begins(text, state)]
    return begun or states


def _begins(text: NetText, state: NetState) -> bool:
    """Whether some layer of a net reads nothing."""
    layers = [layer for layer in text.param.layer if not (layer.include and layer.exclude)]
    inside, _, _ = filter_layers(layers, state, [""] * len(layers))
    return any(not layer.bottom for layer in inside)
