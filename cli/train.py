"""`pycaffe-lite train`: train a net as a solver file says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from pycaffe_lite.cli.common import computing_options, quiet_option, start

if TYPE_CHECKING:
    from pycaffe_lite.solvers.base import Solver

NOT_MET = 3
"""The exit status when an expectation is not met."""


@click.command(short_help="Train a net, from scratch, from weights or from a snapshot.")
@click.option("--solver", "solver_path", metavar="FILE", help="The solver, a prototxt.")
@click.option("--snapshot", metavar="FILE", help="Go on from this .solverstate.")
@click.option("--weights", metavar="FILE[,FILE…]", help="Start from the weights of these .caffemodel files.")
@click.option("--iterations", type=click.IntRange(0), help="Train that many iterations: sets max_iter.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="Set a field of the solver; repeatable.")
@click.option("--expect", "expectations", metavar="'NAME>=VALUE'", multiple=True,
              help="Exit with status 3 unless the last test meets this; repeatable.")  # fmt: skip
@click.option("--level", type=int, default=0, show_default=True, help="The level of the train net's state.")
@click.option("--stage", default="", metavar="A,B", help="The stages of the train net's state.")
@click.option("--phase", type=click.Choice(["TRAIN", "TEST"]), help="Without effect in train, as in Caffe.")
@click.option("--sigint_effect", type=click.Choice(["stop", "snapshot", "none"]), default="stop", show_default=True,
              help="What SIGINT (Ctrl-C) does; stop takes a snapshot first.")  # fmt: skip
@click.option("--sighup_effect", type=click.Choice(["stop", "snapshot", "none"]), default="snapshot",
              show_default=True, help="What SIGHUP does.")  # fmt: skip
@computing_options
@quiet_option
def train(
    solver_path: str | None,
    snapshot: str | None,
    weights: str | None,
    iterations: int | None,
    settings: tuple[str, ...],
    expectations: tuple[str, ...],
    level: int,
    stage: str,
    phase: str | None,
    sigint_effect: str,
    sighup_effect: str,
    gpu: str | None,
    threads: int | None,
    quiet: bool,
) -> None:
    """Train a net as a solver file says, and log what Caffe would.

    Snapshots are written to PREFIX_iter_N.caffemodel and .solverstate. Exit status: 0 finished, or stopped by
    a signal; 1 an error; 2 wrong usage; 3 an expectation was not met.

    \b
    Examples:
      pycaffe-lite train --solver configs/lenet/lenet_solver.prototxt
      pycaffe-lite train --solver solver.prototxt --snapshot lenet_iter_5000.solverstate
      pycaffe-lite train --solver solver.prototxt --set base_lr=0.001 --expect 'accuracy>=0.97'
    """
    if not solver_path:
        raise click.UsageError("Give the solver: --solver solver.prototxt.")
    if snapshot and weights:
        raise click.UsageError("Give --snapshot to resume or --weights to finetune, not both.")
    from pycaffe_lite import log
    from pycaffe_lite.cli.expect import Expectations
    from pycaffe_lite.cli.settings import read_settings
    from pycaffe_lite.cli.signals import handled_signals
    from pycaffe_lite.solvers import get_solver

    expected = Expectations(expectations)
    start(gpu, threads, quiet)
    text = read_settings(solver_path, settings)
    _apply_options(text.param, iterations, level, stage, weights)
    log.info("Use CPU.")
    solver = get_solver(text)
    with contextlib.closing(solver):
        expected.check_names(solver)
        if snapshot:
            log.info(f"Resuming from {snapshot}")
            solver.restore(snapshot)
        log.info("Starting Optimization")
        with handled_signals(solver, sigint_effect, sighup_effect), _progress(solver, quiet) as tick:
            for report in solver.run():
                tick(report)
                expected.note(report)
            if expected.outdated(solver):
                for report in solver.test_all():
                    expected.note(report)
        log.info("Optimization Done.")
    problem = "" if solver.stopped_early else expected.problem()
    if problem:
        click.echo(problem, err=True)
        raise click.exceptions.Exit(NOT_MET)


def _apply_options(param: Any, iterations: int | None, level: int, stage: str, weights: str | None) -> None:
    """Puts what the options say into the solver's parameters."""
    from pycaffe_lite import log

    param.train_state.level = level
    param.train_state.stage.extend(stage.split(","))
    if iterations is not None:
        param.max_iter = iterations
    if weights:
        del param.weights[:]
        param.weights.append(weights)
    if param.HasField("solver_mode") and param.solver_mode == param.GPU:
        log.warning("solver_mode: GPU: there is no GPU here; training goes on the CPU.")


@contextlib.contextmanager
def _progress(solver: Solver, quiet: bool) -> Iterator[Any]:
    """A progress bar, on a terminal only; the log lines scroll above it."""
    import sys

    from pycaffe_lite import log
    from pycaffe_lite.solvers.report import IterationReport

    if quiet or not sys.stderr.isatty():
        yield lambda report: None
        return
    from tqdm import tqdm

    with tqdm(total=solver.param.max_iter, initial=solver.iter, unit="iter", leave=False, dynamic_ncols=True) as bar:

        def tick(report: Any) -> None:
            if isinstance(report, IterationReport):
                bar.set_postfix(loss=f"{report.smoothed_loss:.4g}", refresh=False)
                bar.update()

        log.set_sink(lambda line: tqdm.write(line, file=sys.stderr))
        try:
            yield tick
        finally:
            log.set_sink(None)
