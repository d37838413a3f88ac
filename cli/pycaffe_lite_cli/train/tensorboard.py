"""`--tensorboard DIR`: what a run reports, for TensorBoard.

solver/loss, smoothed_loss, lr      of an iteration that is displayed
solver/gradient_norm, weight_norm   L2 norms of all parameters together
gradient_norm/LAYER/I               of each parameter, the mean over iter_size passes, before clipping and decay
weight_norm/LAYER/I                 of each parameter, before the update
train/NAME, test/NAME, test1/NAME   outputs; of several numbers NAME[0], NAME[1] …
weights/LAYER/I                     histograms
net, solver, summary                texts, at the iteration with which the run begins
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pycaffe_lite import log
from pycaffe_lite_cli.train.event_file import EventFile

if TYPE_CHECKING:
    from pycaffe_lite.net import Net
    from pycaffe_lite.net.parameters import Parameters
    from pycaffe_lite.solvers.loop import Solver
    from pycaffe_lite.solvers.report import Output, Report

BINS = 64


class Board:
    """Writes what a solver reports.

    Args:
        folder: where TensorBoard finds it.
        histograms: whether to write histograms of the parameters, too.

    Raises:
        MissingExtra: tensorboardX is not installed.
        FileError: the folder cannot be written into.
    """

    def __init__(self, folder: str, histograms: bool = False) -> None:
        self._file = EventFile(folder)
        self._histograms = histograms
        self._seen: list[Any] = []

    def follow(self, solver: Solver) -> Callable[[Report], None]:
        """Begins where the solver stands: what an earlier run has written of later iterations is not shown any more,
        so that a resumed run joins it. Returns what is to be told of each report."""
        from pycaffe_lite.proto.printer import to_text
        from pycaffe_lite.tools.net_summary import summary_of
        from pycaffe_lite_cli.summary import in_markdown

        if not solver.param.display:
            log.warning("--tensorboard: display is 0, so tests alone are written; --set display=100 shows iterations.")
        self._file.purge(solver.iter)
        texts = {
            "net": _fenced(_net_text(solver.net)),
            "solver": _fenced(to_text(solver.param)),
            "summary": in_markdown(summary_of(solver.net)),
        }
        self._file.write(solver.iter, [value for name, text in texts.items() for value in _text(name, text)])

        def look() -> None:
            if solver.displays:
                self._seen = list(self._values(solver))

        # Gradients are whole here alone: the update turns them into what it subtracts.
        solver.on_gradients_ready = look  # type: ignore[method-assign]
        return self.note

    def note(self, report: Report) -> None:
        """Writes a test, and an iteration that is displayed."""
        from pycaffe_lite.solvers.report import TestReport

        if isinstance(report, TestReport):
            group = f"test{report.net or ''}"
            values = list(_outputs(group, report.outputs))
            if report.loss is not None:
                values.append(_scalar(f"{group}/TestLoss", report.loss))
            self._file.write(report.iteration, values)
        elif self._seen:
            seen, self._seen = self._seen, []
            of_report = {"loss": report.loss, "smoothed_loss": report.smoothed_loss, "lr": report.rate}
            scalars = [_scalar(f"solver/{name}", value) for name, value in of_report.items()]
            self._file.write(report.iteration, [*scalars, *seen])

    def _values(self, solver: Solver) -> Iterator[Any]:
        from pycaffe_lite.solvers.outputs import net_outputs

        yield from _outputs("train", net_outputs(solver.net))
        parameters = solver.net.parameters
        gradients = [_norm(values) / solver.param.iter_size for values in _parts(parameters, parameters.diff)]
        weights = [_norm(values) for values in _parts(parameters, parameters.data)]
        for group, norms in (("gradient_norm", gradients), ("weight_norm", weights)):
            yield _scalar(f"solver/{group}", math.hypot(*norms))
            yield from (_scalar(f"{group}/{name}", norm) for name, norm in zip(parameters.names, norms, strict=True))
        if self._histograms:
            for name, values in zip(parameters.names, _parts(parameters, parameters.data), strict=True):
                yield from _histogram(f"weights/{name}", values)


def _parts(parameters: Parameters, flat: np.ndarray | None) -> list[np.ndarray]:
    assert flat is not None  # a solver has flattened its net
    return [flat[segment] for segment in parameters.segments]


def _norm(values: np.ndarray) -> float:
    return math.sqrt(float(np.vdot(values, values)))


def _net_text(net: Net) -> str:
    """The net as it runs, without the Splits that were put in."""
    from pycaffe_lite.proto.caffe_pb2 import NetParameter
    from pycaffe_lite.proto.printer import to_text

    layers = [node.layer.layer_param for node in net.nodes]
    return to_text(NetParameter(name=net.name, layer=[layer for layer in layers if layer.type != "Split"]))


def _fenced(text: str) -> str:
    return f"```\n{text.rstrip()}\n```"


def _text(name: str, text: str) -> Iterable[Any]:
    from tensorboardX import summary

    return summary.text(name, text).value


def _scalar(tag: str, value: float) -> Any:
    from tensorboardX.proto.summary_pb2 import Summary

    return Summary.Value(tag=tag, simple_value=value)


def _outputs(group: str, outputs: Sequence[Output]) -> Iterator[Any]:
    """Outputs by their names; those of several numbers are counted, as parse-log does it."""
    names = [output.name for output in outputs]
    for i, output in enumerate(outputs):
        name = output.name
        if names.count(name) > 1:
            name += f"[{names[:i].count(name)}]"
        yield _scalar(f"{group}/{name}", output.value)


def _histogram(tag: str, values: np.ndarray) -> Iterator[Any]:
    from tensorboardX import summary
    from tensorboardX.proto.summary_pb2 import Summary

    if values.size and np.isfinite(values).all():
        yield Summary.Value(tag=tag, histo=summary.make_histogram(values.astype(np.float64), BINS))
