"""device_query: what it reports is what the libraries report."""

from __future__ import annotations

import importlib.util
import platform
import re
import sys
from importlib import metadata

import numpy as np
import pytest

import pycaffe_lite_cli as cli
from pycaffe_lite.parallel import available_cpus
from pycaffe_lite_cli import device_query
from rigs.mpi_rig import needs_mpi, run


def rows(output: str) -> dict[str, str]:
    """The report by name; a name that stands twice, as two BLAS libraries do, has both texts."""
    texts: dict[str, str] = {}
    for line in output.splitlines():
        name, text = re.split(r"\s{2,}", line, maxsplit=1)
        texts[name] = f"{texts[name]}\n{text}" if name in texts else text
    return texts


@pytest.fixture
def report(runner) -> dict[str, str]:
    result = runner.invoke(cli.main, ["device_query"])
    assert result.exit_code == 0, result.output
    return rows(result.output)


def test_processor(report):
    assert report["CPU"] == device_query.cpu_model()
    assert report["Cores"].startswith(f"{available_cpus()} usable of ")


def test_versions(report):
    assert report["Python"].endswith(platform.python_version())
    assert report["numpy"] == np.__version__
    assert report["protobuf"].startswith(metadata.version("protobuf"))


def test_blas(report):
    from threadpoolctl import threadpool_info

    for library in threadpool_info():
        if library["user_api"] == "blas":
            assert library["internal_api"] in report["BLAS"]
            assert str(library["version"]) in report["BLAS"]


@pytest.mark.parametrize("extra", device_query.EXTRAS)
def test_extras(report, extra):
    module = device_query.EXTRAS[extra][0]
    if importlib.util.find_spec(module) is None:
        assert report[f"[{extra}]"] == f"missing; pip install 'pycaffe-lite[{extra}]' brings {module}"
    else:
        assert report[f"[{extra}]"].startswith(f"{module} ")


def test_a_missing_extra_says_how_to_get_it(runner, monkeypatch):
    monkeypatch.setattr(device_query, "EXTRAS", {"thing": ("no_such_module", ("no-such-thing",))})
    output = runner.invoke(cli.main, ["device_query"]).output
    assert rows(output)["[thing]"] == "missing; pip install 'pycaffe-lite[thing]' brings no_such_module"


def test_extras_are_those_of_the_package():
    declared = set(metadata.metadata("pycaffe-lite").get_all("Provides-Extra"))
    assert set(device_query.EXTRAS) == declared - {"all", "test", "dev", "docs"}


@pytest.mark.parametrize("args", [["--gpu", "0"], ["-gpu=all"]])
def test_gpu_is_accepted_with_a_word(runner, args):
    result = runner.invoke(cli.main, ["device_query", *args])
    assert result.exit_code == 0
    assert "pycaffe-lite computes on the CPU only; --gpu is ignored.\n" in result.output
    assert "CPU  " in result.output


def test_cpu_model_without_proc(monkeypatch):
    def no_file(*_args, **_kwargs):
        raise FileNotFoundError

    monkeypatch.setattr(device_query.Path, "read_text", no_file)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert device_query.cpu_model() == "riscv64"


def test_version_of_what_is_not_installed():
    assert device_query.version("no-such-thing", "numpy") == np.__version__
    assert device_query.version("no-such-thing") == "unknown"


@needs_mpi
def test_ranks(tmp_path):
    output = run(2, [sys.executable, "-m", "pycaffe_lite_cli", "device_query"], tmp_path)
    report = rows(output)
    assert report["Ranks"] == f"0, 1 on {platform.node()}"
    assert report["Threads"] == f"{max(1, available_cpus() // 2)} for rank 0 of 2"
    assert output.count("CPU  ") == 1
