"""What pycaffe has besides nets and solvers: mode and device, the log, a timer, and what is for several GPUs."""

from __future__ import annotations

import time
import warnings

from pycaffe_lite import log as engine_log
from pycaffe_lite import rng
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.pycaffe.faults import whole_number
from pycaffe_lite.ranks import ALONE, Ranks, world

_state: dict[str, int | None] = {"count": None, "rank": None, "warned": 0}


def set_mode_cpu() -> None:
    """Computes on the CPU, as always."""


def set_mode_gpu() -> None:
    """Computes on the CPU all the same, and says so once."""
    _warn_of_gpu()


def set_device(device: int) -> None:
    """Computes on the CPU all the same, and says so once.

    Args:
        device: the number of a GPU.
    """
    _warn_of_gpu()


def _warn_of_gpu() -> None:
    if not _state["warned"]:
        _state["warned"] = 1
        warnings.warn("pycaffe-lite computes on the CPU only; the mode GPU and the device are ignored.", stacklevel=3)


def set_random_seed(seed: int) -> None:
    """Seeds the generator that fillers, dropout and data layers draw from.

    Args:
        seed: 0 to 2**32 - 1.
    """
    rng.set_random_seed(whole_number(seed, "a seed"))


# -- the log -----------------------------------------------------------------------------------------------


def init_log(level: int = 0) -> None:
    """Shows the log lines on stderr from now on.

    Args:
        level: 0 for all lines, 1 for warnings and errors, 2 or more for errors alone.
    """
    engine_log.set_level(engine_log.level_of(whole_number(level, "a level of the log")))


def log(message: str) -> None:
    """Writes a line into the log, which shows it if it shows lines of level 0."""
    engine_log.info(message)


class Timer:
    """A stopwatch."""

    def __init__(self) -> None:
        self._begun: float | None = None
        self._ms = 0.0

    def start(self) -> None:
        """Begins to measure."""
        self._begun = time.perf_counter()

    def stop(self) -> None:
        """Ends the measurement."""
        if self._begun is not None:
            self._ms = (time.perf_counter() - self._begun) * 1000
            self._begun = None

    @property
    def ms(self) -> float:
        """Milliseconds between start and stop; of a timer that runs it stops it, as Caffe's does."""
        self.stop()
        return self._ms


# -- several solvers at a time -----------------------------------------------------------------------------


def has_nccl() -> bool:
    """Whether NCCL can be used: never."""
    return False


class NCCL:
    """Not there: NCCL joins GPUs.

    Raises:
        CaffeError: always.
    """

    def __init__(self, *args: object) -> None:
        raise CaffeError(_NO_NCCL)

    @staticmethod
    def new_uid() -> str:
        """Not there either."""
        raise CaffeError(_NO_NCCL)


_NO_NCCL = (
    "NCCL joins GPUs, and pycaffe-lite computes on the CPU: expected a solver without it; "
    "several processes train one net with mpirun -n 4 pycaffe-lite train --solver FILE."
)


def solver_count() -> int:
    """How many solvers train together: what set_solver_count was told; else the number of ranks that mpirun has
    started, 1 without it."""
    count = _state["count"]
    return world().size if count is None else count


def set_solver_count(count: int) -> None:
    """Remembers how many solvers train together. With 1, solvers made from now on train each by itself, even if mpirun
    has started several; any other number makes no difference."""
    _state["count"] = whole_number(count, "the count of solvers")


def solver_rank() -> int:
    """The number of this process's solver: what set_solver_rank was told; else its rank, 0 without mpirun."""
    rank = _state["rank"]
    return world().rank if rank is None else rank


def set_solver_rank(rank: int) -> None:
    """Remembers the number of this process's solver; it makes no other difference."""
    _state["rank"] = whole_number(rank, "the rank of a solver")


def ranks_of_solvers() -> Ranks:
    """Those that the solvers made from now on train together with."""
    return ALONE if _state["count"] == 1 else world()


def set_multiprocess(multiprocess: bool) -> None:
    """Makes no difference."""
