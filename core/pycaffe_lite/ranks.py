"""The processes that train one net together: one by itself, or the ranks that an MPI launcher has started.

A rank is a process with a number, 0 to size - 1. All that passes between ranks goes through `Ranks`; MPI is there when
a launcher has started us, and mpi4py is imported by nobody else. A collective call has to be made by all ranks.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from pycaffe_lite import log, parallel
from pycaffe_lite.errors import CaffeError, MissingExtra

_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
_NUMBERS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID")
_PATIENT_AFTER = 0.002
"""Seconds of waiting after which a rank sleeps between two looks; before, it keeps looking."""
_LONGEST_NAP = 0.0002
_AT_ONCE = 2
"""Sums at a time."""
_HELP_EVERY = 0.001
"""Seconds; over a link of 1 Gbit/s this halves what CaffeNet waits, and 0.3 ms in its place gain no more."""
_TURN, _PASSED_ON = 1.0, 0.3
"""Seconds that a rank has to speak of what has gone wrong, and of these those in which a launcher passes it on."""


class Share(NamedTuple):
    """What of a source's records a rank reads: number `rank`, and from there on one in `size`."""

    rank: int = 0
    size: int = 1


ALL = Share()
"""All records."""


class Ranks:
    """One process by itself; what the processes of `MpiRanks` do together, it does alone and at no cost.

    Attributes:
        rank: this one's number, from 0.
        size: how many there are.
    """

    rank = 0
    size = 1

    @property
    def is_root(self) -> bool:
        """Whether this is the one that tests, displays, logs and writes."""
        return self.rank == 0

    @property
    def share(self) -> Share:
        """What it reads of the data to train on."""
        return Share(self.rank, self.size)

    def start_sum(self, array: np.ndarray) -> None:
        """Begins to put the sum over all ranks in the place of each one's contiguous array, while it computes on."""

    def look(self) -> None:
        """Lets what has been begun get on; to be called now and then."""

    def wait(self) -> None:
        """Returns when all that has been begun is done."""

    def largest(self, *values: float) -> list[float]:
        """Of each value the largest that a rank has given."""
        return list(values)

    def broadcast(self, array: np.ndarray) -> None:
        """Puts rank 0's values into the arrays of all."""

    def told(self, value: Any) -> Any:
        """What rank 0 has given."""
        return value

    def gather(self, value: Any) -> list[Any]:
        """What all ranks have given, in their order, at rank 0; nothing elsewhere."""
        return [value]

    def scatter(self, values: Sequence[Any]) -> Any:
        """Of what rank 0 has given, one for each rank, this one's."""
        return values[0]

    def hosts(self) -> list[str]:
        """For each rank the name of its machine."""
        return [host()]

    def fair_threads(self) -> int:
        """How many threads this rank should compute with, so that those of a machine share its processors."""
        return parallel.available_cpus()

    def library(self) -> str:
        """What of MPI is used."""
        return "none"

    def abort(self, status: int) -> None:
        """Ends all ranks at once, with an exit status; it does not return."""
        os._exit(status)


ALONE = Ranks()


class MpiRanks(Ranks):
    """The processes of MPI's COMM_WORLD.

    Args:
        mpi: the module mpi4py.MPI.
    """

    def __init__(self, mpi: Any) -> None:
        self._mpi, self._world = mpi, mpi.COMM_WORLD
        self.rank, self.size = self._world.Get_rank(), self._world.Get_size()
        self._begun: deque[Any] = deque()
        self._queue: deque[np.ndarray] = deque()
        self._lock = threading.Lock()
        self._helper: _Helper | None = None
        neighbours = self._world.Split_type(mpi.COMM_TYPE_SHARED)
        several = self.largest(neighbours.Get_size() < self.size)[0]
        if several and mpi.Query_thread() == mpi.THREAD_MULTIPLE:
            self._helper = _Helper(self._all_done)

    def start_sum(self, array: np.ndarray) -> None:
        self._queue.append(array)
        if self._helper is not None:
            self._helper.wanted.set()
        self.look()

    def look(self) -> None:
        if self._helper is None:  # it would be in the way
            self._all_done()

    def wait(self) -> None:
        if self._helper is not None:
            self._helper.wanted.clear()
        self._until(self._all_done)

    def _all_done(self) -> bool:
        """Whether the sums are; those that can be are ended and begun. Few at a time: MPI would be at all of them at
        once, and none would find its numbers in the cache."""
        with self._lock:
            while self._begun or self._queue:
                if self._begun and self._begun[0].Test():
                    self._begun.popleft()
                elif self._queue and len(self._begun) < _AT_ONCE:
                    array = self._queue.popleft()
                    self._begun.append(self._world.Iallreduce(self._mpi.IN_PLACE, array, op=self._mpi.SUM))
                else:
                    return False
            return True

    def _until_done(self, requests: list[Any]) -> None:
        self._until(lambda: self._mpi.Request.Testall(requests))

    def _until(self, done: Callable[[], bool]) -> None:
        """MPI's own way to wait takes a whole processor, of which the rank that is waited for may have need."""
        begin, nap = time.perf_counter(), 1e-5
        while not done():
            if time.perf_counter() - begin > _PATIENT_AFTER:
                time.sleep(nap)
                nap = min(2 * nap, _LONGEST_NAP)
            else:
                os.sched_yield() if hasattr(os, "sched_yield") else time.sleep(0)

    def largest(self, *values: float) -> list[float]:
        array = np.array(values, np.float64)
        self._until_done([self._world.Iallreduce(self._mpi.IN_PLACE, array, op=self._mpi.MAX)])
        return [float(value) for value in array]

    def broadcast(self, array: np.ndarray) -> None:
        self._until_done([self._world.Ibcast(array, root=0)])

    def told(self, value: Any) -> Any:
        self.meet()
        return self._world.bcast(value, root=0)

    def gather(self, value: Any) -> list[Any]:
        self.meet()
        return self._world.gather(value, root=0) or []

    def scatter(self, values: Sequence[Any]) -> Any:
        self.meet()
        return self._world.scatter(values, root=0)

    def meet(self) -> None:
        """Returns when all ranks have come here."""
        self._until_done([self._world.Ibarrier()])

    def hosts(self) -> list[str]:
        return self._world.allgather(host())

    def fair_threads(self) -> int:
        own = (host(), _processors())
        others = self._world.allgather(own)
        sharing = sum(1 for name, processors in others if name == own[0] and processors & own[1])
        return max(1, len(own[1]) // sharing)

    def library(self) -> str:
        return " ".join(self._mpi.Get_library_version().split("\n")[0].strip("\0 ,").split())[:60]

    def abort(self, status: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(_PASSED_ON)
        self._world.Abort(status)
        os._exit(status)  # some MPIs come back, and only then end this process


class _Helper:
    """A thread that lets MPI get on with its sums over a network while the rank computes: MPI does so in calls alone.

    Args:
        look: lets the sums get on.

    Attributes:
        wanted: set while there are sums.
    """

    def __init__(self, look: Callable[[], object]) -> None:
        self.wanted = threading.Event()
        self._look = look
        parallel.start_thread("mpi", self._run)

    def _run(self) -> None:
        while self.wanted.wait():
            self._look()
            time.sleep(_HELP_EVERY)


def host() -> str:
    """The name of this machine."""
    return platform.node() or "unknown"


def _processors() -> frozenset[int]:
    """Those that this process may run on: what the launcher has bound it to, if it has."""
    try:
        return frozenset(os.sched_getaffinity(0))
    except AttributeError:
        return frozenset(range(parallel.available_cpus()))


# -- who has started us ------------------------------------------------------------------------------------


def announced(environ: Mapping[str, str] = os.environ) -> tuple[int, int] | None:
    """The rank and the number of ranks that an MPI launcher's environment tells; None if there is no launcher.

    The number is 0 if it is not told. SLURM's own variables are in every job, so that they count only where `srun`
    offers MPI (PMI) besides.
    """
    numbers = [int(environ[name]) for name in _NUMBERS if environ.get(name, "").isdigit()]
    sizes = [int(environ[name]) for name in _SIZES if environ.get(name, "").isdigit()]
    offers = any(name.startswith(("PMI_", "PMIX_")) for name in environ)
    if not sizes and offers and environ.get("SLURM_NTASKS", "").isdigit():
        sizes = [int(environ["SLURM_NTASKS"])]
    if not sizes and "PMIX_RANK" not in environ:
        return None
    return (numbers or [0])[0], (sizes or [0])[0]


def join(wanted: bool | None = None) -> Ranks:
    """The ranks that this process is one of.

    Args:
        wanted: whether to use MPI; None: if a launcher has started us.

    Raises:
        MissingExtra: MPI is to be used, and mpi4py is not installed.
        CaffeError: MPI cannot be used, or knows of other ranks than the launcher has started.
    """
    launched = announced()
    if wanted is False or (wanted is None and (launched is None or launched[1] == 1)):
        return ALONE
    try:
        from mpi4py import MPI
    except ModuleNotFoundError:
        raise MissingExtra("Several ranks that train one net (mpirun; --no-mpi: each by itself)", "mpi") from None
    except (ImportError, RuntimeError) as problem:
        raise CaffeError(f"mpi4py cannot be loaded: {str(problem).splitlines()[0]}; is there an MPI library?") from None
    ranks = MpiRanks(MPI)
    if launched and launched[1] not in (0, ranks.size):
        raise CaffeError(
            f"The launcher has started {launched[1]} ranks, mpi4py knows of {ranks.size} (by {ranks.library()}): "
            "start with the mpirun of that MPI, or build mpi4py with the launcher's."
        )
    return ranks if ranks.size > 1 else ALONE


_world: Ranks | None = None


def world() -> Ranks:
    """The ranks of a program that makes solvers by itself; an error that it does not catch ends all of them.

    As in a training, they share the processors of their machine, and only rank 0 logs.
    """
    global _world
    if _world is None:
        _world = join()
        if _world.size > 1:
            _end_all_with_one(_world)
            parallel.set_num_threads(_world.fair_threads())
            if not _world.is_root:
                log.set_sink(lambda line: None)
    return _world


def _end_all_with_one(ranks: Ranks) -> None:
    before = sys.excepthook

    def hook(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
        wait_for_turn(ranks)
        print(f"Rank {ranks.rank} of {ranks.size}, on {host()}:", file=sys.stderr)
        before(kind, problem, trace)
        ranks.abort(130 if issubclass(kind, KeyboardInterrupt) else 1)

    sys.excepthook = hook


def wait_for_turn(ranks: Ranks) -> None:
    """Lets those of lower rank speak first of what has gone wrong with all: their abort then ends this one."""
    time.sleep(_TURN * min(ranks.rank, 4))
