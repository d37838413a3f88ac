"""`pycaffe-lite train`: train a net as a solver file says."""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from pycaffe_lite import log
from pycaffe_lite.errors import Diverged
from pycaffe_lite.ranks import Ranks
from pycaffe_lite_cli.failures import Failed
from pycaffe_lite_cli.options import computing_options, net_state_options, quiet_option, start
from pycaffe_lite_cli.streams import Stream, outlive_readers
from pycaffe_lite_cli.terminal import progress_bar
from pycaffe_lite_cli.train.together import describe, together

if TYPE_CHECKING:
    from pycaffe_lite.proto.caffe_pb2 import SolverParameter
    from pycaffe_lite.solvers.loop import Solver
    from pycaffe_lite.solvers.report import Report

NOT_MET = 3
"""The exit status when an expectation is not met."""

DIVERGED = 4
"""The exit status when a loss, gradient or parameter is not finite."""


@click.command()
@click.option("--solver", "solver_path", metavar="FILE", help="The solver, a prototxt.")
@click.option("--snapshot", metavar="FILE|auto", help="Go on from this .solverstate, or the .caffemodel beside it; "
              "auto: from the newest whole one of the solver's prefix, if there is any.")  # fmt: skip
@click.option("--weights", metavar="FILE[,FILE…]", help="Start from the weights of these .caffemodel files.")
@click.option("--iterations", type=click.IntRange(0), help="Train that many iterations: sets max_iter.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="Set a field of the solver; repeatable.")
@click.option("--expect", "expectations", metavar="'NAME>=VALUE'", multiple=True,
              help="Exit with status 3 unless the last test meets this; repeatable.")  # fmt: skip
@click.option("--keep-last", type=click.IntRange(1), metavar="N", help="Remove all snapshots but the last N.")
@click.option("--keep-best", metavar="NAME", help="Save the weights with the best test output NAME, of a loss the "
              "lowest and else the highest, to PREFIX_best.caffemodel.")  # fmt: skip
@click.option("--patience", type=click.IntRange(1), metavar="N",
              help="Stop after N tests without a better NAME of --keep-best.")  # fmt: skip
@click.option("--tensorboard", "board_folder", metavar="DIR",
              help="Write what TensorBoard shows of DIR, at each display and test.")  # fmt: skip
@click.option("--tensorboard-histograms", "histograms", is_flag=True, help="And histograms of the parameters.")
@click.option("--check-finite/--no-check-finite", default=True, show_default=True,
              help="Stop if a loss, gradient or parameter is infinite or not a number.")  # fmt: skip
@click.option("--mpi/--no-mpi", "mpi", default=None,
              help="Train with other ranks, or by itself.  [default: with those that mpirun has started]")  # fmt: skip
@click.option("--mpi-mean-loss", is_flag=True, help="Show the mean loss of all ranks in place of rank 0's.")
@net_state_options("the train net")
@click.option("--phase", type=click.Choice(["TRAIN", "TEST"]), help="Without effect in train, as in Caffe.")
@click.option("--sigint_effect", type=click.Choice(["stop", "snapshot", "none"]), default="stop", show_default=True,
              help="What SIGINT (Ctrl-C) does; stop takes a snapshot first.")  # fmt: skip
@click.option("--sighup_effect", type=click.Choice(["stop", "snapshot", "none"]), default="snapshot",
              show_default=True, help="What SIGHUP does.")  # fmt: skip
@computing_options
@quiet_option
def train(mpi: bool | None, threads: int | None, **options: Any) -> None:
    """Train a net as a solver file says, and log what Caffe would.

    A snapshot is PREFIX_iter_N.caffemodel and .solverstate, as in Caffe, and .resume, with which a run that goes
    on from it gives the bits of one that never stopped. Exit status: 0 finished, or asked to stop; 1 an error; 2
    wrong usage; 3 an expectation was not met; 4 a number was not finite. Under mpirun all ranks train one net, as
    Caffe's GPUs do: batch_size is that of a rank; see docs/cluster.md.

    \b
    Examples:
      pycaffe-lite train --solver configs/lenet/lenet_solver.prototxt
      pycaffe-lite train --solver solver.prototxt --snapshot lenet_iter_5000.solverstate
      pycaffe-lite train --solver solver.prototxt --snapshot auto --keep-last 3 --keep-best accuracy --patience 10
      pycaffe-lite train --solver solver.prototxt --set base_lr=0.001 --expect 'accuracy>=0.97'
      pycaffe-lite train --solver configs/lenet/smoke_solver.prototxt --tensorboard runs/smoke
      mpirun -n 4 pycaffe-lite train --solver solver.prototxt
    """
    with together(mpi, threads) as ranks:
        problem = _train(ranks, threads=threads, **options)
    if problem:
        log.failure(problem)
        click.echo(problem, err=True)
        raise click.exceptions.Exit(NOT_MET)


def _train(
    ranks: Ranks,
    *,
    solver_path: str | None,
    snapshot: str | None,
    weights: str | None,
    iterations: int | None,
    settings: tuple[str, ...],
    expectations: tuple[str, ...],
    keep_last: int | None,
    keep_best: str | None,
    patience: int | None,
    board_folder: str | None,
    histograms: bool,
    check_finite: bool,
    mpi_mean_loss: bool,
    level: int,
    stage: str,
    phase: str | None,
    sigint_effect: str,
    sighup_effect: str,
    gpu: str | None,
    threads: int | None,
    quiet: bool,
) -> str:
    """Trains with the other ranks; returns what of the expectations was not met."""
    solver_path = _checked(solver_path, snapshot, weights)
    if patience and not keep_best:
        raise click.UsageError("--patience needs to know of what: give --keep-best NAME, too.")
    if board_folder == "":
        raise click.UsageError("--tensorboard: expected a folder, got an empty name.")
    if histograms and not board_folder:
        raise click.UsageError("--tensorboard-histograms needs a folder: give --tensorboard DIR, too.")
    from pycaffe_lite.solvers.registry import get_solver
    from pycaffe_lite.solvers.report import IterationReport
    from pycaffe_lite_cli.train.expect import Expectations
    from pycaffe_lite_cli.train.settings import read_settings
    from pycaffe_lite_cli.train.signals import handled_signals, noted_hangups
    from pycaffe_lite_cli.train.tensorboard import Board

    quiet |= not ranks.is_root
    expected = Expectations(expectations if ranks.is_root else ())
    outlive_readers()
    context = click.get_current_context()
    context.call_on_close(_say_what_was_lost)
    hangups = context.with_resource(noted_hangups())
    start(gpu, threads, quiet)
    text = read_settings(solver_path, settings)
    _apply_options(text.param, iterations, level, stage, weights)
    board = Board(board_folder, histograms) if board_folder and ranks.is_root else None
    log.info("Use CPU.", "caffe.cpp:197")
    if ranks.size > 1:
        log.info(describe(ranks))
    solver = get_solver(text, ranks)
    with contextlib.closing(solver), _endings(solver):
        expected.check_names(solver)
        solver.keep_last, solver.check_finite, solver.mean_loss = keep_last, check_finite, mpi_mean_loss
        if keep_best and ranks.is_root:
            solver.follow(keep_best, patience)
        _resume(solver, snapshot)
        listeners = [expected.note, *([board.follow(solver)] if board else [])]
        log.info("Starting Optimization", "caffe.cpp:239")
        bar_to_end = progress_bar("iter", solver.param.max_iter, quiet, solver.iter)
        with handled_signals(solver, sigint_effect, sighup_effect, hangups), bar_to_end as bar:
            for report in _told(solver.run(), listeners):
                if bar is not None and isinstance(report, IterationReport):
                    bar.set_postfix(loss=f"{report.smoothed_loss:.4g}", refresh=False)
                    bar.update()
            if expected.outdated(solver):
                deque(_told(solver.test_all(), listeners), maxlen=0)
        log.info("Optimization Done.", "caffe.cpp:250")
        if solver.stopped_early or solver.out_of_patience:
            log.info(_saved(solver))
    return "" if solver.stopped_early else expected.problem()


def _checked(solver_path: str | None, snapshot: str | None, weights: str | None) -> str:
    """The solver, if the options say what to train and from where."""
    if not solver_path:
        raise click.UsageError("Give the solver: --solver solver.prototxt.")
    if snapshot and weights and snapshot != "auto":
        raise click.UsageError("Give --snapshot to resume or --weights to finetune, not both.")
    return solver_path


def _told(reports: Iterator[Report], listeners: Sequence[Callable[[Report], None]]) -> Iterator[Report]:
    """Passes reports through and tells each listener of them."""
    for report in reports:
        for listen in listeners:
            listen(report)
        yield report


def _resume(solver: Solver, snapshot: str | None) -> None:
    if snapshot == "auto":
        solver.restore_newest()
    elif snapshot:
        log.info(f"Resuming from {snapshot}", "caffe.cpp:235")
        solver.restore(snapshot)


@contextlib.contextmanager
def _endings(solver: Solver) -> Iterator[None]:
    """Says of a run that ends before its time what there is to go on from."""
    try:
        yield
    except Diverged as problem:
        text = f"{problem} {_saved(solver)}"
        log.failure(text)
        raise Failed(text, DIVERGED) from None
    except KeyboardInterrupt:
        log.info(f"Stopped at once. {_saved(solver)}")
        raise


def _say_what_was_lost() -> None:
    """Says at the end how much of the log could not be written, on the first stream that takes it."""
    if not log.stderr.lost:
        return
    reason = sys.stderr.problem if isinstance(sys.stderr, Stream) else ""
    text = f"{log.lines(log.stderr.lost)} could not be written to standard error: {reason}.\n"
    log.stderr.lost = 0
    if not sys.stderr.write(text):
        sys.stdout.write(text)


def _saved(solver: Solver) -> str:
    if not solver.last_snapshot:
        return "There is no snapshot to go on from."
    return f"To go on from the last snapshot: --snapshot {solver.last_snapshot}"


def _apply_options(param: SolverParameter, iterations: int | None, level: int, stage: str, weights: str | None) -> None:
    """Puts what the options say into the solver's parameters."""
    param.train_state.level = level
    param.train_state.stage.extend(stage.split(","))
    if iterations is not None:
        param.max_iter = iterations
    if weights:
        del param.weights[:]
        param.weights.append(weights)
    if param.HasField("solver_mode") and param.solver_mode == param.GPU:
        log.warning("solver_mode: GPU: there is no GPU here; training goes on the CPU.")
