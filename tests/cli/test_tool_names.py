"""Caffe's names for its tools."""

from __future__ import annotations

import pytest

from rigs.data_tools import run

NAMES = {
    "convert_imageset": "convert-imageset",
    "convert_mnist_data": "convert-mnist",
    "convert_cifar_data": "convert-cifar",
    "compute_image_mean": "compute-image-mean",
    "extract_features": "extract-features",
    "upgrade_net_proto_text": "upgrade-net",
    "upgrade_net_proto_binary": "upgrade-net",
    "upgrade_solver_proto_text": "upgrade-solver",
}


@pytest.mark.parametrize("name", NAMES)
def test_caffes_names_are_commands(name: str) -> None:
    assert f"Usage: main {NAMES[name]} " in run(name, "--help").output
    assert f"Usage: main {NAMES[name]} " in run(name.replace("_", "-"), "--help").output


@pytest.mark.parametrize("words", [("data", "info"), ("lr", "plot"), ("convert", "mnist_data")])
def test_two_words_are_one_name(words: tuple[str, str]) -> None:
    assert run(*words, "--help").output == run("-".join(words), "--help").output
    assert "No such command: data." in run("data", "nonsense", status=2).output


def test_help_lists_none_of_them_twice() -> None:
    words = run("--help").output.split()
    for name, own in NAMES.items():
        assert own in words
        assert name not in words
        if name.replace("_", "-") != own:
            assert name.replace("_", "-") not in words


def test_a_slip_in_them_is_guessed() -> None:
    assert "Did you mean convert-mnist-data?" in run("convert_mnst_data", status=2).output


def test_options_before_them() -> None:
    assert "Missing argument 'LABELS'" in run("--backend=lmdb", "convert_mnist_data", "images", status=2).output
