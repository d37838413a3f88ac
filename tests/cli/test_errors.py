"""Bad and odd commands: Caffe's own collection of them, and files that are empty, cut off or garbage.

Where Caffe aborts, one sentence says where, what was expected, what was found; and the status is 1, or 2 for
wrong usage.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rigs.cli_rig import NET, SOLVER, Command, write_run
from rigs.golden_logs import FOLDER
from rigs.idx_files import write_idx
from rigs.net_rig import inner_product, layer, softmax_loss

CASES: dict[str, Any] = json.loads((FOLDER / "errors.json").read_text())

ACCEPTED = {
    "no_command": [],
    "device_query": [],
    "device_query_gpu": [],
    "gpu_flag": ["there is no GPU here"],
    "gpu_all": ["there is no GPU here"],
    "gpu_mode": ["solver_mode: GPU: there is no GPU here"],
    "dropout_ratio_one": [],
    "unknown_lr_policy": [],  # cosine, which Caffe itself does not have
    "unknown_solver_field": [],  # warmup_iter, the same
}
"""The commands that do what was meant, and what they warn of."""

USAGE = {
    "unknown_command": ["tarin", "Did you mean train?"],
    "two_commands": ["unexpected extra argument (test)"],
    "unknown_flag": ["--learning_rate"],
    "bad_flag_value": ["--iterations", "'ten'"],
    "no_solver": ["Give the solver"],
    "bad_sigint_effect": ["--sigint_effect", "'pause'", "'stop', 'snapshot', 'none'"],
    "snapshot_and_weights": ["--snapshot", "--weights", "not both"],
    "gpu_bad": ["--gpu", "'first'"],
    "test_no_model": ["--model"],
    "test_no_weights": ["--weights"],
    "time_no_model": ["--model"],
    "time_bad_phase": ["--phase", "'VALIDATE'", "'TRAIN', 'TEST'"],
}
"""The commands that are wrong usage, and what their sentence has in it."""

FAILED = {
    "missing_solver": ["errors/nothing.prototxt", "the working folder"],
    "missing_weights": ["errors/nothing.caffemodel", "the working folder"],
    "missing_snapshot": ["errors/nothing.solverstate", "the working folder"],
    "missing_snapshot_h5": ["errors/nothing.solverstate.h5", "the working folder"],
    "truncated_weights": ["errors/truncated.caffemodel is truncated"],
    "text_as_weights": ["errors/good.prototxt is not a file of weights", "text"],
    "zeros_as_weights": ["errors/zeros.caffemodel is not a file of weights", "zeros"],
    "binary_as_solver": ["errors/good_iter_2.caffemodel", "binary", "prototxt", "--weights"],
    "snapshot_of_adam": ["errors/good_adam_iter_2.solverstate", "2 history blobs", "SGD", "got 4"],
    "no_lr_policy": ["no_lr_policy_solver.prototxt: ", "lr_policy", "fixed, step", "got none"],
    "lr_policy_twice": ["lr_policy_twice_solver.prototxt:7:1: ", '"lr_policy"', "the first is on line 3"],
    "unknown_snapshot_format": ["solver.prototxt:7:18: ", "HDF5, BINARYPROTO", '"NPZ"'],
    "unknown_solver_type": ["solver.prototxt:7: ", 'unknown solver type "AdamW"'],
    "no_net": ["no_net_solver.prototxt: ", "net, net_param, train_net, train_net_param", "got none"],
    "two_nets": ["two_nets_solver.prototxt: ", "got net and train_net"],
    "missing_net": ['net "errors/nothing.prototxt"', "the working folder"],
    "test_iter_without_interval": ["solver.prototxt:7: ", "test_interval", "got 0"],
    "test_net_without_iter": ["solver.prototxt: ", "test_iter", "1 test net(s), got 0"],
    "test_state_count": ["solver.prototxt:9: ", "test_state", "1 test net(s), got 2"],
    "step_without_size": ["solver.prototxt: ", '"step"', "stepsize > 0", "got 0"],
    "negative_gamma": ["solver.prototxt:4: ", '"exp"', "gamma >= 0", "got -0.1"],
    "unknown_regularization": ["solver.prototxt:8: ", '"L1" or "L2"', '"L3"'],
    "adagrad_momentum": ["solver.prototxt:8: ", "momentum", "AdaGrad"],
    "rmsprop_momentum": ["solver.prototxt:8: ", "momentum", "RMSProp"],
    "rmsprop_decay_range": ["solver.prototxt:8: ", "rms_decay", "got 1"],
    "average_loss_zero": ["solver.prototxt:7: ", "average_loss of 1 or more, got 0"],
    "snapshot_folder_missing": ["solver.prototxt:5: ", "errors/no_such_folder", "mkdir"],
    "solver_type_twice": ["solver.prototxt:7: ", "type", "solver_type"],
    "bad_bool": ["solver.prototxt:7:22: ", "true or false", '"maybe"'],
    "unknown_field": ["unknown_field.prototxt:5:3: ", '"slope"'],
    "unknown_enum": ["unknown_enum.prototxt:5:25: ", "MAX, AVE, STOCHASTIC", '"MEAN"'],
    "bad_number": ["bad_number.prototxt:4:92: ", '"num_output"', '"ten"'],
    "negative_unsigned": ["negative_unsigned.prototxt:4:92: ", '"num_output"', "-3"],
    "field_twice": ["field_twice.prototxt:4:19: ", '"name"', "second time"],
    "unclosed": ["unclosed.prototxt:5:7: ", "never closed"],
    "stray_brace": ["stray_brace.prototxt:6:1: ", "closes nothing"],
    "unquoted_string": ["unquoted_string.prototxt:4:15: ", "quotes"],
    "layer_and_layers": ["layer_and_layers.prototxt:4: ", '"layer"', '"layers"'],
    "unknown_layer_type": ['unknown_layer_type.prototxt:4: layer "r"', '"Relu6"', '"ReLU6"'],
    "no_layer_type": ['no_layer_type.prototxt:4: layer "r"', 'give the layer one, such as type: "ReLU".'],
    "unknown_bottom": ['unknown_bottom.prototxt:4: layer "r" (ReLU)', '"z"', "the tops so far are x, y"],
    "too_many_bottoms": ['prototxt:4: layer "r" (ReLU)', "1 bottom blob(s), got 2"],
    "too_few_bottoms": ['prototxt:4: layer "e" (EuclideanLoss)', "2 bottom blob(s), got 1"],
    "too_few_bottoms_min": ['prototxt:4: layer "e" (Eltwise)', "at least 2 bottom blob(s), got 1"],
    "too_many_tops": ['prototxt:4: layer "r" (ReLU)', "1 top blob(s), got 2"],
    "no_top": ['prototxt:4: layer "r" (ReLU)', "1 top blob(s), got 0"],
    "top_twice": ['top_twice.prototxt:4: layer "r" (ReLU)', '"y" is a top already'],
    "include_and_exclude": ['prototxt:4: layer "r" (ReLU)', "include rules or exclude rules, got both"],
    "too_many_params": ['prototxt:4: layer "fc" (InnerProduct)', "param", "at most 2", "got 3"],
    "propagate_down_count": ['prototxt:4: layer "r" (ReLU)', "propagate_down", "1 bottom(s), got 2"],
    "loss_weight_count": ['prototxt:5: layer "loss" (SoftmaxWithLoss)', "loss_weight", "1 top(s), got 3"],
    "shared_shape": ['prototxt:5: layer "b" (InnerProduct)', "'w'", 'layer "a"', "3 144 (432)", "4 144 (576)"],
    "shared_lr_mult": ['prototxt:5: layer "b" (InnerProduct)', "'w'", "lr_mult 1", "got 2"],
    "weights_shape": ['prototxt:4: layer "fc" (InnerProduct)', "5 144 (720)", "3 144 (432)", "rename the layer"],
    "weights_blob_count": ['prototxt:4: layer "fc" (InnerProduct)', "1 parameter(s)", "got 2", "rename the layer"],
    "kernel_twice": ['prototxt:4: layer "c" (Convolution)', "kernel_size or kernel_h and kernel_w", "both"],
    "kernel_missing": ['prototxt:4: layer "c" (Convolution)', "kernel_size", "2 spatial axes"],
    "kernel_too_big": ['prototxt:4: layer "c" (Convolution)', "[9, 9]", "[2, 4, 6, 6]"],
    "num_output_missing": ['prototxt:4: layer "c" (Convolution)', "num_output", "got 0"],
    "group_mismatch": ['prototxt:4: layer "c" (Convolution)', "group", "4 channels", "5 outputs", "got 2"],
    "pool_kernel_missing": ['prototxt:4: layer "p" (Pooling)', "kernel_size"],
    "pool_pad_too_big": ['prototxt:4: layer "p" (Pooling)', "pad", "[2, 2]"],
    "lrn_even": ['prototxt:4: layer "n" (LRN)', "local_size", "odd"],
    "eltwise_shapes": ['prototxt:4: layer "e" (Eltwise)', "[2, 4, 6, 6]", "[2]"],
    "eltwise_coeffs": ['prototxt:4: layer "e" (Eltwise)', "coeff"],
    "concat_shapes": ['prototxt:6: layer "k" (Concat)', "[2, 4, 6, 6]", "[2, 3]"],
    "slice_points": ['prototxt:4: layer "s" (Slice)', "slice_point", "got 2"],
    "slice_uneven": ['prototxt:4: layer "s" (Slice)', "3 tops", "got 4"],
    "reshape_count": ['prototxt:4: layer "s" (Reshape)', "288", "5"],
    "loss_labels_count": ['prototxt:4: layer "l" (SoftmaxWithLoss)', "label", "72", "got 2"],
    "unknown_filler": ['prototxt:4: layer "fc" (InnerProduct)', "xavier", '"glorot"'],
    "bilinear_filler": ['prototxt:4: layer "fc" (InnerProduct)', "bilinear", "4 axes", "[3, 144]"],
    "scale_axis": ['prototxt:4: layer "s" (Scale)', "axis", "[2, 4, 6, 6]", "4"],
    "missing_lmdb": ['prototxt:2: layer "d" (Data)', "errors/nothing_lmdb", "the working folder"],
    "missing_leveldb": ['prototxt:2: layer "d" (Data)', "errors/nothing_leveldb", "the working folder"],
    "lmdb_no_batch_size": ['prototxt:2: layer "d" (Data)', "batch_size", "1 or more"],
    "crop_too_big": ['prototxt:2: layer "d" (Data)', "crop_size 11", "height 10"],
    "missing_mean": ['prototxt:2: layer "d" (Data)', "errors/nothing.binaryproto", "the working folder"],
    "mean_file_and_value": ['prototxt:2: layer "d" (Data)', "mean_file or mean_value", "both"],
    "mean_value_count": ['prototxt:2: layer "d" (Data)', "mean_value", "3 channels", "got 2"],
    "missing_hdf5_list": ['prototxt:2: layer "d" (HDF5Data)', "errors/nothing.txt"],
    "missing_image_list": ['prototxt:2: layer "d" (ImageData)', "errors/nothing.txt"],
    "missing_image": ['prototxt:2: layer "d" (ImageData)', "nothing.png"],
    "missing_hdf5": ['prototxt:2: layer "d" (HDF5Data)', "errors/nothing.h5"],
    "hdf5_output_twice": ['prototxt:4: layer "o" (HDF5Output)'],
}
"""The commands that fail, and what their sentence has in it."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Caffe's collection of bad commands."""
    folder = tmp_path_factory.mktemp("collection")
    shutil.copytree(FOLDER / "errors", folder / "errors")
    return folder


def test_every_command_of_the_collection_is_judged() -> None:
    judged = [*ACCEPTED, *USAGE, *FAILED]
    assert len(judged) == len(set(judged))
    assert set(judged) == set(CASES)


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_command_of_the_collection(name: str, collection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(collection)
    command = Command(*CASES[name]["args"])
    if name in ACCEPTED:
        assert command.status == 0
        assert len(command.warned) == len(ACCEPTED[name])
        assert all(word in warning for word, warning in zip(ACCEPTED[name], command.warned, strict=True))
    else:
        assert command.status == (2 if name in USAGE else 1)
        sentence = command.sentence()
        assert sentence.endswith((".", "?")) or name in USAGE
        assert [word for word in (USAGE | FAILED)[name] if word not in sentence] == []


# -- through the real command, where nothing catches what this process would ---------------------------------


@pytest.mark.parametrize("name", ["unknown_layer_type", "truncated_weights", "crop_too_big", "unknown_flag"])
def test_a_real_process_gives_log_lines_and_one_sentence(name: str, collection: Path) -> None:
    command = [sys.executable, "-m", "pycaffe_lite_cli", *CASES[name]["args"]]
    result = subprocess.run(command, cwd=collection, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout) == (2 if name in USAGE else 1, "")
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Error: ")


# -- empty, truncated, garbage -----------------------------------------------------------------------------

GARBAGE = {
    "empty": b"",
    "zeros": bytes(300),
    "noise": random.Random(5).randbytes(300),
    "ones": b"\xff" * 300,
    "text": b"this is not what it should be\n" * 10,
    "html": b"<!DOCTYPE html><html><body>404</body></html>",
    "utf16": 'net: "x"'.encode("utf-16"),
    "open": b'layer { name: "a',
    "deep": b"layer { " * 5000,
}


@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize(
    ("args", "what"),
    [
        (["train", "--solver=x"], "x"),
        (["test", "--model=x", "--weights=x"], "x"),
        (["time", "--model=x"], "x"),
        (["train", "--solver=solver.prototxt", "--weights=x"], "x"),
        (["train", "--solver=solver.prototxt", "--snapshot=x"], "x"),
        (["test", "--model=net.prototxt", "--weights=x"], "x"),
        (["train", "--solver=solver.prototxt", "--set=net=x"], "x"),
    ],
    ids=["solver", "model", "model to time", "weights", "snapshot", "weights to test", "net"],
)
def test_garbage(folder: Path, kind: str, args: list[str], what: str) -> None:
    write_run(folder)
    (folder / what).write_bytes(GARBAGE[kind])
    command = Command(*args)
    assert command.status == 1
    assert re.match(rf"{what}[ :]", command.sentence())


@pytest.mark.parametrize("what", ["caffemodel", "solverstate"])
def test_every_truncation_of_a_snapshot(folder: Path, what: str) -> None:
    write_run(folder)
    Command("train", "--solver=solver.prototxt")
    whole = Path(f"s_iter_4.{what}").read_bytes()
    option = {"caffemodel": "--weights", "solverstate": "--snapshot"}[what]
    for length in range(0, len(whole), 7):
        Path("cut").write_bytes(whole[:length])
        command = Command("train", "--solver=solver.prototxt", f"{option}=cut", "--iterations=0", "--quiet")
        # A file may end between two layers or fields and then holds less, but nothing wrong.
        assert command.status in (0, 1)
        if command.status:
            assert "cut" in command.sentence()


def test_every_flipped_byte_of_a_snapshot(folder: Path) -> None:
    write_run(folder)
    Command("train", "--solver=solver.prototxt")
    whole = Path("s_iter_4.solverstate").read_bytes()
    for at in range(0, len(whole), 3):
        Path("bad").write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        command = Command("train", "--solver=solver.prototxt", "--snapshot=bad", "--iterations=4", "--quiet")
        assert command.status in (0, 1)
        if command.status:
            command.sentence()


def data_net(backend: str) -> str:
    source = f'data_param {{ source: "source" backend: {backend} batch_size: 2 }}'
    return layer("data", "Data", top=["x", "label"], more=source) + inner_product("fc", "x", 3) + softmax_loss("fc")


def check_source(folder: Path, backend: str) -> None:
    write_run(folder, data_net(backend), SOLVER.replace("test_iter: 1\ntest_interval: 2\n", ""))
    for args in (["train", "--solver=solver.prototxt"], ["time", "--model=net.prototxt", "--iterations=2"]):
        command = Command(*args)
        assert command.status == 1
        assert 'layer "data" (Data): ' in command.sentence()


@pytest.mark.parametrize("kind", ["missing", "truncated", *GARBAGE])
@pytest.mark.parametrize("part", ["images", "labels"])
def test_bad_idx_files(folder: Path, kind: str, part: str) -> None:
    write_idx(folder / "train-images-idx3-ubyte", np.zeros((6, 4, 4)))
    write_idx(folder / "train-labels-idx1-ubyte", np.zeros(6))
    path = folder / f"train-{part}-idx{3 if part == 'images' else 1}-ubyte"
    if kind == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-3] if kind == "truncated" else GARBAGE[kind])
    text = data_net("IDX").replace('"source"', '"train-images-idx3-ubyte"')
    write_run(folder, text, SOLVER.replace("test_iter: 1\ntest_interval: 2\n", ""))
    command = Command("train", "--solver=solver.prototxt")
    assert command.status == 1
    assert 'net.prototxt:1: layer "data" (Data): ' in command.sentence()


@pytest.mark.parametrize("kind", ["truncated", *GARBAGE])
def test_bad_lmdbs(folder: Path, kind: str) -> None:
    (folder / "source").mkdir()
    golden = FOLDER / "errors" / "raw_lmdb" / "data.mdb"
    content = golden.read_bytes()[:9000] if kind == "truncated" else GARBAGE[kind]
    (folder / "source" / "data.mdb").write_bytes(content)
    check_source(folder, "LMDB")


@pytest.mark.parametrize("backend", ["LMDB", "IDX"])
def test_a_source_that_is_missing_or_of_the_other_kind(folder: Path, backend: str) -> None:
    check_source(folder, backend)
    if backend == "LMDB":
        write_idx(folder / "source", np.zeros((6, 4, 4)))
    else:
        shutil.copytree(FOLDER / "errors" / "raw_lmdb", folder / "source")
    check_source(folder, backend)


@pytest.mark.parametrize(
    "text",
    [
        NET.replace("num_output: 3", "num_output: 4000000000"),
        NET.replace("dim: 4 dim: 3", "dim: 2000000000 dim: 2000000000"),
        NET.replace("dim: 4 dim: 3", "dim: -1 dim: 3"),
        NET.replace("dim: 4 dim: 3", " ".join(["dim: 2"] * 40)),
    ],
    ids=["outputs", "elements", "negative", "axes"],
)
def test_huge_and_negative_shapes(folder: Path, text: str) -> None:
    write_run(folder, text)
    command = Command("train", "--solver=solver.prototxt")
    assert command.status == 1
    command.sentence()
