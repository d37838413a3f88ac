"""Parameters as npz and safetensors: names, shapes and values."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from pycaffe_lite.proto.caffe_pb2 import BlobProto, LayerParameter, NetParameter
from pycaffe_lite.proto.printer import to_text
from pycaffe_lite.tools.export_weights import export_weights
from rigs.net_rig import inner_product, inputs, layer, net_param

NET = (
    inputs(x=[2, 3, 4, 4])
    + layer("conv", "Convolution", ["x"], ["conv"],
            'convolution_param { num_output: 5 kernel_size: 3 weight_filler { type: "xavier" } }')
    + layer("bn", "BatchNorm", ["conv"], ["conv"])
    + inner_product("a/fc", "conv", 2, 'param { name: "w" } param { name: "b" }')
    + inner_product("twin", "conv", 2, 'param { name: "w" } param { name: "b" }')
)  # fmt: skip


def load(path: Path) -> dict[str, np.ndarray]:
    """Reads either form; safetensors by its own description."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            return dict(file)
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    assert length % 8 == 0
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    assert header.pop("__metadata__") == {"format": "caffe"}
    ends = [0]
    arrays = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        assert begin == ends[-1]
        ends.append(end)
        assert entry["dtype"] == "F32"
        arrays[name] = np.frombuffer(body[begin:end], "<f4").reshape(entry["shape"])
    assert ends[-1] == len(body)
    return arrays


@pytest.fixture
def net(tmp_path: Path) -> Net:
    net = Net(net_param(NET), TEST)
    net.save(str(tmp_path / "w.caffemodel"))
    (tmp_path / "net.prototxt").write_text(NET)
    return net


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_the_values_are_those_of_the_net(ending: str, net: Net, tmp_path: Path) -> None:
    path = tmp_path / f"w.{ending}"
    count = export_weights(str(tmp_path / "w.caffemodel"), str(path))
    arrays = load(path)
    assert count == len(arrays) == 9
    for name, blobs in net.params.items():
        for i, blob in enumerate(blobs):
            np.testing.assert_array_equal(arrays[f"{name}/{i}"], blob.data)
            assert arrays[f"{name}/{i}"].shape == blob.shape


def test_of_a_model_each_shared_parameter_is_there_once(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    assert export_weights(str(tmp_path / "w.caffemodel"), str(path), str(tmp_path / "net.prototxt")) == 7
    assert sorted(load(path)) == ["a/fc/0", "a/fc/1", "bn/0", "bn/1", "bn/2", "conv/0", "conv/1"]


def test_an_hdf5_file(net: Net, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    net.save(str(tmp_path / "w.caffemodel.h5"))
    export_weights(str(tmp_path / "w.caffemodel.h5"), str(tmp_path / "w.npz"))
    np.testing.assert_array_equal(load(tmp_path / "w.npz")["conv/0"], net.params["conv"][0].data)


def old_weights(path: Path) -> None:
    """As Caffe wrote them when every blob had four axes."""
    blob = BlobProto(num=1, channels=1, height=2, width=3, data=range(6))
    other = BlobProto(num=1, channels=1, height=1, width=1, data=[9])
    layers = [LayerParameter(name="fc", type="InnerProduct", blobs=[blob]),
              LayerParameter(name="fc", type="InnerProduct", blobs=[other])]  # fmt: skip
    path.write_bytes(NetParameter(layer=layers).SerializeToString())


def test_old_shapes_become_those_of_the_model(tmp_path: Path, messages: list[str]) -> None:
    old_weights(tmp_path / "old.caffemodel")
    export_weights(str(tmp_path / "old.caffemodel"), str(tmp_path / "w.npz"))
    assert load(tmp_path / "w.npz")["fc/0"].shape == (1, 1, 2, 3)
    assert messages == [f'W{tmp_path}/old.caffemodel: there is a second layer "fc"; the first one is written.']


def test_a_model_whose_parameters_are_not_there(net: Net, tmp_path: Path) -> None:
    (tmp_path / "more.prototxt").write_text(NET + inner_product("more", "conv", 2))
    with pytest.raises(CaffeError, match=r'layer "more" \(InnerProduct\): expected its parameters in .*w\.caffemodel'):
        export_weights(str(tmp_path / "w.caffemodel"), str(tmp_path / "w.npz"), str(tmp_path / "more.prototxt"))
    assert not (tmp_path / "w.npz").exists()


def test_nothing_to_write(tmp_path: Path) -> None:
    empty = NetParameter(name="n", layer=[LayerParameter(name="r", type="ReLU")])
    (tmp_path / "e.caffemodel").write_bytes(empty.SerializeToString())
    with pytest.raises(CaffeError, match="expected layers with parameters, got none"):
        export_weights(str(tmp_path / "e.caffemodel"), str(tmp_path / "w.npz"))
    (tmp_path / "text.prototxt").write_text(to_text(empty))
    with pytest.raises(CaffeError):
        export_weights(str(tmp_path / "text.prototxt"), str(tmp_path / "w.npz"))
