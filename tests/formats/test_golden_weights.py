"""One net's weights in all forms that Caffe wrote, and its outputs with them; what the log says of copying."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from rigs import GOLDEN
from rigs.net_rig import inner_product, inputs, logged, make_net, messages

WEIGHTS = GOLDEN / "formats" / "weights"
FILES = sorted(path.name for path in WEIGHTS.glob("*.caffemodel*") if not path.name.startswith("shared"))
FOUR_AXES = {"old4d", "old4d_double", "v0", "v1"}


def net_with(name: str) -> Net:
    net = Net(str(WEIGHTS / "net.prototxt"), phase=TEST)
    net.copy_from(str(WEIGHTS / name))
    return net


def read(name: str) -> dict[str, np.ndarray]:
    with np.load(WEIGHTS / name) as arrays:
        return dict(arrays)


def test_all_forms_are_there() -> None:
    assert {name.partition(".")[0] for name in FILES} == FOUR_AXES | {"double", "shape", "v1_shape"}
    assert "shape.caffemodel.h5" in FILES


@pytest.mark.parametrize("name", FILES)
def test_every_form_gives_caffes_outputs(name: str) -> None:
    if name.endswith(".h5"):
        pytest.importorskip("h5py")
    net, golden = net_with(name), read("net.npz")
    for layer in ("conv", "ip"):
        for index, blob in enumerate(net.params[layer]):
            np.testing.assert_array_equal(blob.data, golden[f"params/{layer}/{index}"])
    net.blobs["data"].data[...] = golden["input"]
    net.forward()
    for blob in ("ip", "prob"):
        np.testing.assert_allclose(net.blobs[blob].data, golden[blob], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["shared_iter_3.caffemodel", "shared_iter_3.caffemodel.h5"])
def test_shared_parameters_come_back(name: str) -> None:
    if name.endswith(".h5"):
        pytest.importorskip("h5py")
    net, golden = Net(str(WEIGHTS / "shared.prototxt"), phase=TEST), read("shared.npz")
    net.copy_from(str(WEIGHTS / name))
    for layer in ("a", "b"):
        for index, blob in enumerate(net.params[layer]):
            np.testing.assert_array_equal(blob.data, golden[f"params/{layer}/{index}"])


# -- what the log says -----------------------------------------------------------------------------------------


def test_a_line_counts_what_was_copied() -> None:
    lines = logged()
    net_with("shape.caffemodel")
    assert messages(lines)[-1] == f"Weights of {WEIGHTS / 'shape.caffemodel'}: copied 4 parameters of 2 layers."


def test_the_table_has_the_old_shapes() -> None:
    lines = logged()
    net_with("old4d.caffemodel")
    head, *rows = messages(lines)[-1].splitlines()
    assert head.endswith("copied 4 parameters of 2 layers.")
    assert rows == [
        '    reshaped          "conv" (Convolution), parameter 1: 1 1 1 6 (6) to 6 (6)',
        '    reshaped          "ip" (InnerProduct), parameter 0: 1 1 5 72 (360) to 5 72 (360)',
        '    reshaped          "ip" (InnerProduct), parameter 1: 1 1 1 5 (5) to 5 (5)',
    ]


def test_the_table_has_what_only_one_side_has() -> None:
    text = (WEIGHTS / "net.prototxt").read_text().replace('"ip"', '"fc"')
    net, lines = make_net(text), logged()
    net.copy_from(str(WEIGHTS / "shape.caffemodel"))
    assert "Ignoring source layer ip" in messages(lines)[:-1]
    head, *rows = messages(lines)[-1].splitlines()
    assert head.endswith(
        "copied 2 parameters of 1 layer; 1 layer of the net not in the file; 1 layer of the file not in the net."
    )
    assert rows == [
        '    not in the file   "fc" (InnerProduct) keeps its values, of fillers or earlier weights',
        '    left out          "ip", 2 parameters',
    ]


def test_a_layer_that_only_shares_is_not_in_the_table(tmp_path: Path) -> None:
    sharing = 'param { name: "w" } param { name: "b" }'
    data = inputs(data=[4, 3])
    one, path = make_net(data + inner_product("a", "data", 3) + sharing_text("a")), str(tmp_path / "w")
    one.save(path)
    lines = logged()
    both = inner_product("a", "data", 3).replace("inner_product_param", sharing + " inner_product_param", 1)
    make_net(data + both + both.replace('"a"', '"c"')).copy_from(path)
    assert messages(lines)[-1] == f"Weights of {path}: copied 2 parameters of 1 layer."


def sharing_text(bottom: str) -> str:
    return f'layer {{ name: "r" type: "ReLU" bottom: "{bottom}" top: "r" }}'


def test_a_long_table_is_cut(tmp_path: Path) -> None:
    many = "".join(inner_product(f"fc{i}", "data", 2) for i in range(40))
    net, path = make_net(inputs(data=[4, 3]) + many), str(tmp_path / "w")
    make_net(inputs(data=[4, 3]) + inner_product("a", "data", 2)).save(path)
    lines = logged()
    net.copy_from(path)
    head, *rows = messages(lines)[-1].splitlines()
    assert "40 layers of the net not in the file; 1 layer of the file not in the net" in head
    assert len(rows) == 31
    assert rows[-1] == "    and 11 more"


def test_nothing_is_reported_of_weights_that_do_not_fit() -> None:
    text = (WEIGHTS / "net.prototxt").read_text().replace("num_output: 5", "num_output: 7")
    net, lines = make_net(text), logged()
    with pytest.raises(CaffeError, match=r'layer "ip" .*expected parameter 0 .* shape 7 72 \(504\), got 5 72 \(360\)'):
        net.copy_from(str(WEIGHTS / "shape.caffemodel"))
    assert not [message for message in messages(lines) if message.startswith("Weights of")]
