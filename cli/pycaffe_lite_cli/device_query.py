"""`pycaffe-lite device_query`: what a training here would run on."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import click

from pycaffe_lite.ranks import Ranks, join

# For each extra of the project: the module it brings, and the distributions that may hold it.
EXTRAS = {
    "lmdb": ("lmdb", ("lmdb",)),
    "leveldb": ("plyvel", ("plyvel",)),
    "hdf5": ("h5py", ("h5py",)),
    "images": ("cv2", ("opencv-python-headless", "opencv-python", "opencv-contrib-python")),
    "plot": ("matplotlib", ("matplotlib",)),
    "mpi": ("mpi4py", ("mpi4py",)),
    "fast": ("numba", ("numba",)),
    "onnx": ("onnx", ("onnx",)),
    "tensorboard": ("tensorboardX", ("tensorboardX",)),
}


@click.command()
@click.option("--gpu", metavar="IDS", help="Accepted for Caffe's sake; there is only the CPU.")
def device_query(gpu: str | None) -> None:
    """Show the processor, the BLAS and the versions of the libraries that a training uses.

    \b
    Example:
      pycaffe-lite device_query
    """
    if gpu is not None:
        click.echo("pycaffe-lite computes on the CPU only; --gpu is ignored.", err=True)
    ranks = join()
    rows = [*_processor(), *_ranks(ranks), *_versions(), *_blas(), *_kernels(), *_extras()]
    if not ranks.is_root:
        return
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")


def _processor() -> Iterator[tuple[str, str]]:
    from pycaffe_lite.parallel import available_cpus

    yield "CPU", cpu_model()
    yield "Cores", f"{available_cpus()} usable of {os.cpu_count()}"
    yield "System", f"{platform.system()} {platform.release()}, {platform.machine()}"


def _ranks(ranks: Ranks) -> Iterator[tuple[str, str]]:
    """Those that mpirun has started, by machine."""
    if ranks.size == 1:
        return
    hosts, threads = ranks.hosts(), ranks.fair_threads()
    for name in dict.fromkeys(hosts):
        yield "Ranks", f"{', '.join(str(i) for i, on in enumerate(hosts) if on == name)} on {name}"
    yield "Threads", f"{threads} for rank 0 of {ranks.size}"
    yield "MPI", ranks.library()


def cpu_model() -> str:
    """The processor's name, as far as the system tells it."""
    system = platform.system()
    name = _linux_cpu() if system == "Linux" else _mac_cpu() if system == "Darwin" else ""
    return name or platform.processor() or platform.machine() or "unknown"


def _linux_cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return ""
    fields = (line.partition(":") for line in text.splitlines())
    return next((value.strip() for name, _, value in fields if name.strip() in ("model name", "Model")), "")


def _mac_cpu() -> str:
    command = ["sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _versions() -> Iterator[tuple[str, str]]:
    from google.protobuf.internal import api_implementation

    yield "pycaffe-lite", version("pycaffe-lite")
    yield "Python", f"{platform.python_implementation()} {platform.python_version()}"
    yield "numpy", version("numpy")
    yield "protobuf", f"{version('protobuf')} ({api_implementation.Type()})"


def version(*distributions: str) -> str:
    """The version of the first of these distributions that is installed; else `unknown`."""
    for distribution in distributions:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


def _blas() -> Iterator[tuple[str, str]]:
    import numpy as np  # noqa: F401  (threadpoolctl sees the libraries that are loaded)
    from threadpoolctl import threadpool_info

    found = [library for library in threadpool_info() if library.get("user_api") == "blas"]
    for library in found:
        yield "BLAS", _blas_text(library)
    if not found:
        yield "BLAS", "none that threadpoolctl knows; numpy.show_config() names numpy's own"


def _blas_text(library: dict[str, object]) -> str:
    name = f"{library.get('internal_api', 'unknown')} {library.get('version') or ''}".strip()
    details = [str(library[key]) for key in ("architecture", "threading_layer") if library.get(key)]
    text = f"{name} ({', '.join(details)})" if details else name
    return f"{text}, {library.get('num_threads')} threads, of which training uses 1"


def _kernels() -> Iterator[tuple[str, str]]:
    from pycaffe_lite.kernels import choice

    yield "Kernels", f"{choice.kernels()}, as {choice.reason()}"


def _extras() -> Iterator[tuple[str, str]]:
    for extra, (module, distributions) in EXTRAS.items():
        if importlib.util.find_spec(module) is None:
            yield f"[{extra}]", f"missing; pip install 'pycaffe-lite[{extra}]' brings {module}"
        else:
            yield f"[{extra}]", f"{module} {version(*distributions)}"
