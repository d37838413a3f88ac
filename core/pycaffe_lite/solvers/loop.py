"""The training loop."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any, ClassVar

import numpy as np

from pycaffe_lite import log, rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.formats.format import BINARY, HDF5, Format
from pycaffe_lite.kernels.average_precision import VERSIONS
from pycaffe_lite.net import Net, watch
from pycaffe_lite.net.weights import copy_fitted, weights_of
from pycaffe_lite.parallel import one_blas_thread
from pycaffe_lite.proto.caffe_pb2 import SolverParameter
from pycaffe_lite.proto.printer import to_text
from pycaffe_lite.proto.read import SolverText, read_solver
from pycaffe_lite.ranks import ALONE, Ranks
from pycaffe_lite.snapshots import snapshot as snapshots
from pycaffe_lite.snapshots.names import complete_prefix, resume_of
from pycaffe_lite.snapshots.snapshot import Snapshot, State
from pycaffe_lite.solvers.best import BestScore
from pycaffe_lite.solvers.detections import EVAL_TYPES, check_evaluations
from pycaffe_lite.solvers.nets import make_nets
from pycaffe_lite.solvers.outputs import mean_outputs, net_outputs, output_text
from pycaffe_lite.solvers.precheck import check_data
from pycaffe_lite.solvers.reduction import Reduction
from pycaffe_lite.solvers.report import IterationReport, Report, TestReport
from pycaffe_lite.solvers.smoothing import SmoothedLoss
from pycaffe_lite.words import short

STOP = "stop"
SNAPSHOT = "snapshot"


class Solver:
    """Trains a net as its SolverParameter says.

    Several ranks train one net as Caffe's GPUs do: each has its own batches, all get the mean of their gradients. Then
    making it, `step`, `run`, `solve`, `snapshot` and `restore` are for all ranks to call.

    Args:
        source: a solver prototxt; or a SolverText.
        ranks: those that train together.

    Attributes:
        param: the SolverParameter.
        net: the net being trained.
        test_nets: the nets for testing; they use the parameters of `net`.
        history: what the update rule remembers, as it goes into a snapshot.
        iter: how many updates have been done.
        current_step: for multistep, how many of its steps have been taken.
        requested: set it to STOP or SNAPSHOT, from a signal handler say, and the loop will do so at the next chance.
        stopped_early: whether a request has ended the run.
        smoothing: the mean of the last average_loss losses.
        check_finite: whether a loss, gradient or parameter that is not finite ends the run with Diverged.
        best: the test output whose best weights are kept, see `follow`.
        keep_last: how many snapshots to keep; None: all.
        snapshot_format: the format of its snapshots.
        last_snapshot: the .solverstate that was last written, or read; none: empty.
        ranks: those that train together; rank 0 tests, displays and writes.
        mean_loss: whether the loss shown is the mean of all ranks, and not rank 0's.
        flats: the arrays that make up what is trained: the parameters, then the history.

    A subclass writes `apply_update`.
    """

    type: ClassVar[str] = ""

    def __init__(self, source: Any, ranks: Ranks = ALONE) -> None:
        self.text = text = solver_text(source)
        self.param = text.param
        self.snapshot_format = _snapshot_format(self.param)
        self.history: list[Blob] = []
        self.iter = 0
        self.current_step = 0
        self.requested: str | None = None
        self.stopped_early = False
        self.check_finite = True
        self.best: BestScore | None = None
        self.keep_last: int | None = None
        self.last_snapshot = ""
        self.ranks = ranks
        self.mean_loss = False
        self.flats: list[np.ndarray] = []
        self._reduction: Reduction | None = None
        self._others: list[State] = []
        self._patience_ended = False
        self._restored = False
        self._before_tests: State | None = None
        if ranks.is_root:
            self.check(text)
        self.smoothing = SmoothedLoss(self.param.average_loss)
        log.info("Initializing solver from parameters: \n" + to_text(self.param).rstrip("\n"), "solver.cpp:45")
        if self.param.random_seed >= 0:
            rng.set_random_seed(self.param.random_seed + ranks.rank)
        self.net, self.test_nets = make_nets(text, ranks.share)
        for net in self.test_nets:
            net.debug_info = self.param.debug_info
        try:
            check_evaluations(text, [net.nodes for net in self.test_nets])
            self.setup()
            if ranks.size > 1:
                layer_wise = self.param.layer_wise_reduce
                self._reduction = Reduction(ranks, self.net.nodes, self.net.parameters, layer_wise)
                self._follow_root()
        except BaseException:
            self.close()
            raise
        log.info("Solver scaffolding done.", "solver.cpp:57")

    @classmethod
    def check(cls, text: SolverText) -> None:
        """Raises a CaffeError for settings that cannot be, before anything is built."""
        if text.param.average_loss < 1:
            raise text.error("average_loss", f"expected average_loss of 1 or more, got {text.param.average_loss}.")
        if text.param.iter_size < 1:
            raise text.error("iter_size", f"expected iter_size of 1 or more, got {text.param.iter_size}.")
        for field, known in (("eval_type", EVAL_TYPES), ("ap_version", VERSIONS)):
            if (given := getattr(text.param, field)) not in known:
                names = ", ".join(f'"{name}"' for name in known)
                raise text.error(field, f'expected {field} to be one of {names}, got "{short(given)}".')
        if any(count < 0 for count in text.param.test_iter):
            raise text.error("test_iter", f"expected test_iter of 0 or more, got {list(text.param.test_iter)}.")
        if _wants_snapshots(text.param):
            location = text.location("snapshot_prefix")
            snapshots.check_prefix(text.param.snapshot_prefix, _snapshot_format(text.param), location)

    def setup(self) -> None:
        """Allocates what the update rule remembers."""

    def apply_update(self) -> float:
        """Changes the parameters by their diffs; returns the rate used."""
        raise NotImplementedError

    # -- the loop ------------------------------------------------------------------------------------------

    def run(self) -> Iterator[Report]:
        """Trains to max_iter, reporting each iteration and each test.

        Raises:
            Diverged: a loss, gradient or parameter is not finite; what has been saved before stays as it is.
        """
        check_data(self.net, self.test_nets, self.param.test_iter)
        if self.snapshots_wanted and self.ranks.is_root:
            needed = 4 * sum(blob.count for blob in (*self.net.parameters.blobs, *self.history))
            snapshots.warn_of_full_disk(self.param.snapshot_prefix, needed)
        log.info(f"Solving {self.net.name}", "solver.cpp:289")
        log.info(f"Learning Rate Policy: {self.param.lr_policy}", "solver.cpp:290")
        self.stopped_early = False
        yield from self.steps(self.param.max_iter - self.iter)
        param = self.param
        self.check_values()
        if param.snapshot_after_train and not (param.snapshot and self.iter % param.snapshot == 0):
            self.snapshot()
        if self.stopped_early or self.out_of_patience:
            log.info("Optimization stopped early.", "solver.cpp:311")
            return
        if not self.ranks.is_root:
            return
        self._before_tests = self.exact_state()
        if param.display and self.iter % param.display == 0:
            self.smoothing.add(self.net.forward_loss())
            log.info(f"Iteration {self.iter}, loss = {log.number(self.smoothed_loss)}", "solver.cpp:327")
        if param.test_interval and self.iter % param.test_interval == 0:
            yield from self.test_all()
        log.info("Optimization Done.", "solver.cpp:332")

    def steps(self, count: int) -> Iterator[Report]:
        """Does `count` iterations: test if due, forward and backward, show, update, snapshot if due."""
        param = self.param
        if not self._restored:
            self.smoothing.restart()
        self._restored = False
        self._mark = (time.perf_counter(), self.iter)
        stop = self.iter + count
        while self.iter < stop:
            self.net.clear_param_diffs()
            if self._test_is_due():
                self._before_tests = self.exact_state()
                if self.ranks.is_root:
                    yield from self.test_all()
                if self._ends_with_tests():
                    break
                self._before_tests = None
            self.on_start()
            self.net.debug_info = self.displays and param.debug_info
            with one_blas_thread:  # once an iteration, not once a pass
                loss, agreed = self._passes()
                self.smoothing.add(loss)
                if self.displays:
                    self._show()
                self.on_gradients_ready()
                rate = self.apply_update()
            self.iter += 1
            yield IterationReport(self.iter - 1, rate, loss, self.smoothed_loss)
            request = agreed if self._reduction else self._take_request()
            if request == SNAPSHOT or (param.snapshot and self.iter % param.snapshot == 0):
                self.snapshot()
            if request == STOP:
                self.stopped_early = True
                break

    def on_start(self) -> None:
        """Called in each iteration before its passes, for those who drive the loop."""

    def on_gradients_ready(self) -> None:
        """Called in each iteration between its passes and the update."""

    def _passes(self) -> tuple[float, str | None]:
        """The passes of an iteration: its loss, and with several ranks what any of them has been asked for."""
        last, reduction = self.param.iter_size - 1, self._reduction
        passed = reduction.passed if reduction else None
        losses = [self._forward_backward(passed if i == last else None) for i in range(last + 1)]
        loss = sum(losses) / (last + 1)
        if reduction is None:
            return loss, None
        request = self._take_request()
        reduction.mean_loss = self.mean_loss
        agreement = reduction.finish(loss, request == STOP, request == SNAPSHOT)
        return agreement.loss, STOP if agreement.stop else SNAPSHOT if agreement.snapshot else None

    def _take_request(self) -> str | None:
        request, self.requested = self.requested, None
        return request

    def _ends_with_tests(self) -> bool:
        """Whether a test, or a request that came meanwhile, ends the run; all ranks have to know."""
        if self.ranks.size > 1:
            stop, patience = self.stopped_early or self.requested == STOP, self.out_of_patience
            stopped, ended = self.ranks.largest(stop, patience)
            self.stopped_early, self._patience_ended = bool(stopped), bool(ended)
        return self.stopped_early or self.out_of_patience

    def _forward_backward(self, passed: Callable[[int], object] | None) -> float:
        loss = self.net.forward_backward(passed)
        if self.check_finite and not math.isfinite(loss):
            raise watch.loss_diverged(self.net.nodes, self.iter, loss)
        return loss

    def solve(self, resume_file: str | None = None) -> None:
        """Trains to max_iter, from a snapshot's state if one is given."""
        if resume_file is not None:
            self.restore(resume_file)
        for _ in self.run():
            pass

    def step(self, count: int) -> None:
        """Does `count` iterations."""
        for _ in self.steps(count):
            pass

    @property
    def smoothed_loss(self) -> float:
        """The mean of the last average_loss losses."""
        return self.smoothing.value

    @property
    def out_of_patience(self) -> bool:
        """Whether the tests have not got better for so long that training ends."""
        return self._patience_ended or (self.best is not None and self.best.exhausted)

    @property
    def displays(self) -> bool:
        """Whether this iteration is one to be shown, by this rank."""
        return self.ranks.is_root and bool(self.param.display) and self.iter % self.param.display == 0

    def _test_is_due(self) -> bool:
        interval = self.param.test_interval
        return bool(interval) and self.iter % interval == 0 and (self.iter > 0 or self.param.test_initialization)

    def _show(self) -> None:
        """The lines of a displayed iteration: speed and smoothed loss, then the train net's outputs."""
        now, (then, last) = time.perf_counter(), self._mark
        seconds, done = max(now - then, 1e-9), max(1, self.iter - last)
        self._mark = (now, self.iter)
        speed = f"{log.number(done / seconds)} iter/s, {log.number(round(seconds, 3))}s/{done} iters"
        log.info(f"Iteration {self.iter} ({speed}), loss = {log.number(self.smoothed_loss)}", "solver.cpp:239")
        for i, output in enumerate(net_outputs(self.net)):
            log.info(f"    Train net output #{i}: {output_text(output)}", "solver.cpp:258")

    # -- testing -------------------------------------------------------------------------------------------

    def test_all(self) -> Iterator[Report]:
        """Runs each test net for its test_iter batches."""
        for i, net in enumerate(self.test_nets):
            if self.stopped_early:
                return
            report = self._test(i, net)
            if report is not None:
                if self.best is not None and self.best.note(report):
                    self._write_best(self.best)
                yield report
        if self.out_of_patience and self.best is not None:
            log.info(f"No better {self.best.name} in {self.best.waited} tests; the best is {self.best.text()}")

    def _test(self, number: int, net: Net) -> TestReport | None:
        """The mean outputs of a test net; None if a request has stopped it."""
        log.info(f"Iteration {self.iter}, Testing net (#{number})", "solver.cpp:347")
        net.share_trained_layers_with(self.net)
        batches = range(self.param.test_iter[number])
        going = takewhile(lambda _: not self._stops_testing(), batches)
        means = mean_outputs(net, going, ap_version=self.param.ap_version)
        if self.stopped_early:
            log.info("Test interrupted.", "solver.cpp:396")
            return None
        loss = means.loss if self.param.test_compute_loss else None
        if loss is not None:
            log.info(f"Test loss: {log.number(loss)}", "solver.cpp:401")
        for i, output in enumerate(means.outputs):
            if self.param.show_per_class_result and output.name in means.precisions:
                for label, precision in means.precisions[output.name].classes.items():
                    log.info(f"class{label}: {log.number(precision)}", "solver.cpp:540")
            log.info(f"    Test net output #{i}: {output_text(output)}", "solver.cpp:414")
        return TestReport(self.iter, number, means.outputs, loss)

    def _stops_testing(self) -> bool:
        """Serves a request between two batches of a test; a snapshot of several ranks waits for the iteration's end."""
        if self.ranks.size > 1 and self.requested == SNAPSHOT:
            return self.stopped_early
        request = self._take_request()
        if request == SNAPSHOT:
            self.snapshot()
        self.stopped_early |= request == STOP
        return self.stopped_early

    # -- snapshots -----------------------------------------------------------------------------------------

    @property
    def snapshots_wanted(self) -> bool:
        """Whether the solver's text asks for snapshots."""
        return _wants_snapshots(self.param)

    def snapshot(self) -> None:
        """Writes PREFIX_iter_N.caffemodel, .solverstate and .resume.

        Raises:
            Diverged: a parameter is not finite, so that there is nothing worth saving.
        """
        self.check_values()
        prefix, standing = self.param.snapshot_prefix, self.where_it_stands()
        if not self.ranks.is_root:
            return
        written = snapshots.write(standing, prefix, self.snapshot_format)
        if written:
            self.last_snapshot = written
            if self.keep_last is not None:
                snapshots.remove_old(prefix, self.iter, self.keep_last)

    def _write_best(self, best: BestScore) -> None:
        path = f"{self.param.snapshot_prefix}_best.caffemodel{self.snapshot_format.extension}"
        layers = weights_of(self.net.layers, self.param.snapshot_diff)
        snapshots.write_best(path, self.snapshot_format.weights_pieces(layers, self.net.name), best.text())

    def where_it_stands(self) -> Snapshot:
        """All that a run goes on from. Between a test and the next iteration its exact state is that before the test,
        which a resumed run does again. Rank 0 has the states of all ranks in it."""
        layers = weights_of(self.net.layers, self.param.snapshot_diff)
        history, exact = [blob.data for blob in self.history], self._before_tests or self.exact_state()
        if self.ranks.size > 1:
            own = {name: exact[name] for name in ("generator", "generator_position", "nets")}
            exact = {**exact, "ranks": self.ranks.gather(own)[1:]}
        return Snapshot(self.iter, self.current_step, layers, history, exact, self.net.name)

    def restore(self, path: str) -> None:
        """Goes on from the files of a snapshot, see `Snapshot.read` and `take`; rank 0 alone reads them."""
        if self.ranks.is_root:
            self.take(Snapshot.read(path))
        self._follow_root()

    def restore_newest(self) -> bool:
        """Goes on from the newest whole snapshot of this solver's prefix; returns whether there is one."""
        found = False
        if self.ranks.is_root:
            found = snapshots.restore_newest(self.param.snapshot_prefix, lambda path: self.take(Snapshot.read(path)))
        if found := self.ranks.told(found):
            self._follow_root()
        return found

    def _follow_root(self) -> None:
        """Gives all ranks what rank 0 has: weights, history, progress, and the place in the data.

        What a rank has of its own, as its random numbers, goes on where a snapshot of as many ranks has left it.
        """
        if self.ranks.size == 1:
            return
        for flat in self.flats:
            self.ranks.broadcast(flat)
        others = [None, *self._others, *[None] * self.ranks.size][: self.ranks.size]
        own, root = self.ranks.scatter(others), self.ranks.is_root
        progress = (self.iter, self.current_step, self.last_snapshot, self._restored, self.smoothing.state())
        self.iter, self.current_step, self.last_snapshot, restored, smoothed = self.ranks.told(progress)
        rest, common = self.ranks.told((self.progress_state(), snapshots.common_states(self.net.layers)))
        if not root:
            if own is not None:
                rng.set_state(own["generator"], int(own["generator_position"]))
                snapshots.restore_layers(self.net.layers, own["nets"][0], contextlib.ExitStack())
            snapshots.restore_common(self.net.layers, common)
            self.smoothing.restore(smoothed)
            self.restore_progress(rest)
            self._restored = restored

    def take(self, snapshot: Snapshot) -> None:
        """Goes on from a snapshot: weights, history and iteration, and exactly so if it has what that needs.

        Raises:
            FileError: the snapshot is not whole; then nothing has been changed.
            CaffeError: it is of another net or solver, or of other data; then nothing has been changed.
        """
        fitted = snapshot.fit(self.net.layers, self.history, self.type)
        log.info("SGDSolver: restoring history", "sgd_solver.cpp:336")
        if snapshot.exact is not None:
            if changes := snapshots.changed_settings(snapshot.exact["solver"], self.param):
                log.info("Solver settings changed since the snapshot: " + "; ".join(changes))
            with snapshot.told():
                self._restore_exact(snapshot.exact)
                self._others = list(snapshot.exact.get("ranks", []))
            if (before := 1 + len(self._others)) != self.ranks.size:
                log.info(
                    f"The snapshot is of {before} rank(s), and this run has {self.ranks.size}: data goes on from the "
                    "same record, and from here on the bits are others than those of a run that went on as it was."
                )
            log.info(f"Data, random numbers and smoothed loss go on exactly where {resume_of(snapshot.path)} says.")
        copy_fitted(fitted)
        for blob, saved in zip(self.history, snapshot.history, strict=True):
            blob.data[...] = saved.reshape(blob.shape)
        self.iter, self.current_step, self.last_snapshot = snapshot.iteration, snapshot.step, snapshot.path
        self._before_tests = None
        if snapshot.exact is None:
            log.info(
                f"There is no {resume_of(snapshot.path) or '.resume file'} beside the state: as in Caffe, the data "
                "begins at its first record, and random numbers anew."
            )
            self.restore_progress(None)

    def exact_state(self) -> State:
        """What an exact resume needs besides weights and history: the states of data layers and of others that
        remember anything, the random generator, the smoothed loss, scores and the policy."""
        nets = [snapshots.layer_states(net.layers) for net in (self.net, *self.test_nets)]
        return {"iter": self.iter, "solver": to_text(self.param), **self._own_state(), "nets": nets}

    def _own_state(self) -> State:
        words, position = rng.get_state()
        return {
            "generator": words.copy(),
            "generator_position": position,
            "smoothing": self.smoothing.state(),
            "progress": self.progress_state(),
        }

    def _restore_exact(self, exact: State) -> None:
        """Goes on where `exact_state` was called; whatever it raises, all is then as it was."""
        nets, states = (self.net, *self.test_nets), exact["nets"]
        with contextlib.ExitStack() as undo:
            undo.callback(setattr, self, "_restored", self._restored)
            undo.callback(self._restore_own, self._own_state())
            for net, saved in zip(nets, states, strict=False):
                snapshots.restore_layers(net.layers, saved, undo)
            if len(nets) != len(states):
                log.warning(f"The snapshot has the state of {len(states)} net(s), this run has {len(nets)}.")
            self._restore_own(exact)
            undo.pop_all()

    def _restore_own(self, state: State) -> None:
        rng.set_state(state["generator"], int(state["generator_position"]))
        self.smoothing.restore(state["smoothing"])
        self.restore_progress(state["progress"])

    def follow(self, name: str, patience: int | None = None) -> None:
        """Keeps the weights with the best test output of that name; ends the run when `patience` tests in a row
        have brought no better one. See BestScore.
        """
        self.best = BestScore(name, patience, self.test_nets)

    def check_values(self) -> None:
        """Raises Diverged if a parameter or the history is not finite, unless check_finite is off."""
        if self.check_finite:
            watch.check_values(self.net.nodes, [blob.data for blob in self.history], self.iter)

    def progress_state(self) -> dict[str, Any]:
        """What the loop and the update rule remember besides the history."""
        return {"best": self.best.state() if self.best else None}

    def restore_progress(self, state: dict[str, Any] | None) -> None:
        """Goes on where `progress_state` was called; None: from a snapshot that does not have that state."""
        if self.best and state:
            self.best.restore(state["best"])
        self._restored = state is not None

    def close(self) -> None:
        """Stops the threads that read data."""
        for net in (self.net, *self.test_nets):
            net.close()


def _snapshot_format(param: SolverParameter) -> Format:
    return HDF5 if param.snapshot_format == param.HDF5 else BINARY


def _wants_snapshots(param: SolverParameter) -> bool:
    return bool(param.snapshot) or param.snapshot_after_train


def solver_text(source: Any) -> SolverText:
    """The text of a solver, of a file or as it is given, with the snapshot_prefix that it means."""
    text = source if isinstance(source, SolverText) else read_solver(source)
    if text is not source or not text.param.HasField("snapshot_prefix"):
        complete_prefix(text.param, text.path)
    return text


__all__ = ["SNAPSHOT", "STOP", "Solver", "net_outputs", "output_text", "solver_text"]
