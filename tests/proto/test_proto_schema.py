"""caffe.proto against Caffe's schema, field by field, and the module made from it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.proto.schema import fields_of
from rigs import GOLDEN, ROOT

SCHEMA = json.loads((GOLDEN / "reference" / "caffe_schema.json").read_text())

# What Caffe does not have: fields of forks, whose messages are of forks too, and our own.
FORK_FIELDS = {
    "LayerParameter": "annotated_data_param:AnnotatedData bn_param:BN center_loss_param:CenterLoss "
    "detection_evaluate_param:DetectionEvaluate detection_output_param:DetectionOutput interp_param:Interp "
    "l1_loss_param:L1Loss multibox_loss_param:MultiBoxLoss norm_param:Normalize permute_param:Permute "
    "prior_box_param:PriorBox proposal_param:Proposal psroi_pooling_param:PSROIPooling relu6_param:ReLU "
    "reorg_param:Reorg reverse_param:Reverse roi_pooling_param:ROIPooling seg_accuracy_param:SegAccuracy "
    "shuffle_channel_param:ShuffleChannel smooth_l1_loss_param:SmoothL1Loss transpose_param:Transpose "
    "triplet_loss_param:TripletLoss upsample_param:Upsample",
    "V1LayerParameter": "bn_param:BN interp_param:Interp l1_loss_param:L1Loss norm_param:Normalize "
    "permute_param:Permute relu6_param:ReLU reverse_param:Reverse roi_pooling_param:ROIPooling "
    "seg_accuracy_param:SegAccuracy smooth_l1_loss_param:SmoothL1Loss transpose_param:Transpose "
    "triplet_loss_param:TripletLoss upsample_param:Upsample",
    "PoolingParameter": "kernel_shape:BlobShape stride_shape:BlobShape pad_shape:BlobShape",
    "TransformationParameter": "resize_param:Resize noise_param:Noise distort_param:Distortion expand_param:Expansion "
    "emit_constraint:EmitConstraint",
}
OUR_FIELDS: dict[str, dict[str, tuple[int, str, str | None]]] = {
    "DataParameter": {"shuffle": (1000, "bool", "false")},
    "ImageDataParameter": {"label_dim": (1000, "uint32", "1")},
    "SolverParameter": {
        "warmup_iter": (1000, "int32", "0"),
        "warmup_start_lr": (1001, "float", "0"),
        "min_lr": (1002, "float", "0"),
        "max_lr": (1003, "float", "0"),
        "period": (1004, "int32", "-1"),
        "p_mult": (1005, "float", "2"),
        "lr_mult": (1006, "float", "0.8"),
        "plateau_winsize": (1007, "int32", None),  # repeated
        "eval_type": (1008, "string", "classification"),
        "ap_version": (1009, "string", "Integral"),
        "show_per_class_result": (1010, "bool", "false"),
    },
}
V1_OF_FORKS = {
    "BN": 1000,
    "INTERP": 1001,
    "L1_LOSS": 1002,
    "NORMALIZE": 1003,
    "PERMUTE": 1004,
    "RELU6": 1005,
    "REVERSE": 1006,
    "ROI_POOLING": 1007,
    "SEG_ACCURACY": 1008,
    "SMOOTH_L1_LOSS": 1009,
    "TRANSPOSE": 1010,
    "TRIPLET_LOSS": 1011,
    "UPSAMPLE": 1012,
}
OUR_VALUES = {
    "DataParameter.DB": {"IDX": 100, "NPZ": 101, "CSV": 102},
    "V1LayerParameter.LayerType": V1_OF_FORKS,
}

FILE = descriptor_pb2.FileDescriptorProto()
caffe_pb2.DESCRIPTOR.CopyToProto(FILE)
MESSAGES = {message.name: message for message in FILE.message_type}


def type_name(field: Any) -> str:
    if field.type_name:
        return str(field.type_name.removeprefix(".caffe."))
    return str(field.Type.Name(field.type).removeprefix("TYPE_").lower())


def facts(field: Any) -> dict[str, Any]:
    """A field as caffe_schema.json tells it."""
    told = {
        "name": field.name,
        "number": field.number,
        "label": field.Label.Name(field.label).removeprefix("LABEL_").lower(),
        "type": type_name(field),
    }
    if field.HasField("default_value"):
        told["default"] = field.default_value
    if field.options.packed:
        told["packed"] = True
    return told


def number_or_text(value: str) -> float | str:
    """Numbers compare as the float32 they become: 1e-05 is 9.99999975e-06."""
    try:
        return float(np.float32(value))
    except ValueError:
        return value


def normalized(told: dict[str, Any]) -> dict[str, Any]:
    return {**told, "default": number_or_text(told["default"])} if "default" in told else told


def values(enum: Any) -> dict[str, int]:
    return {value.name: value.number for value in enum.value}


def test_messages_are_caffes_and_forks() -> None:
    assert set(SCHEMA["messages"]) < set(MESSAGES)
    assert {enum.name: values(enum) for enum in FILE.enum_type} == SCHEMA["enums"]
    assert FILE.package == SCHEMA["package"]


@pytest.mark.parametrize("name", sorted(SCHEMA["messages"]))
def test_fields_are_caffes(name: str) -> None:
    ours = OUR_FIELDS.get(name, {})
    told = {field.name: normalized(facts(field)) for field in MESSAGES[name].field}
    for entry in FORK_FIELDS.get(name, "").split():
        field, kind = entry.split(":")
        assert told[field]["number"] >= 1000
        assert told.pop(field)["type"] in (kind, f"{kind}Parameter")
    for field, (number, kind, default) in ours.items():
        label = "repeated" if default is None else "optional"
        expected = {"name": field, "number": number, "label": label, "type": kind}
        assert told.pop(field) == (expected if default is None else normalized({**expected, "default": default}))
    assert told == {field["name"]: normalized(field) for field in SCHEMA["messages"][name]["fields"]}


@pytest.mark.parametrize("name", sorted(SCHEMA["messages"]))
def test_enums_are_caffes(name: str) -> None:
    told = {enum.name: values(enum) for enum in MESSAGES[name].enum_type}
    for enum, found in told.items():
        for ours, number in OUR_VALUES.get(f"{name}.{enum}", {}).items():
            assert found.pop(ours) == number
    assert told == SCHEMA["messages"][name].get("enums", {})


@pytest.mark.parametrize("name", OUR_FIELDS)
def test_our_additions_use_numbers_that_caffe_does_not(name: str) -> None:
    numbers = {field["number"] for field in SCHEMA["messages"][name]["fields"]}
    ours = [number for number, _, _ in OUR_FIELDS[name].values()]
    assert not numbers & set(ours)
    assert min(ours) >= 1000
    assert len(set(ours)) == len(ours)


def test_the_module_is_current() -> None:
    pytest.importorskip("grpc_tools")
    script = [sys.executable, str(ROOT / "scripts" / "make_proto"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_another_caffe_in_the_process_does_no_harm() -> None:
    other = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    other.message_type.add(name="NetParameter").field.add(name="odd", number=1, label=1, type=5)
    descriptor_pool.Default().AddSerializedFile(other.SerializeToString())
    assert "odd" not in caffe_pb2.NetParameter.DESCRIPTOR.fields_by_name
    spec = importlib.util.spec_from_file_location("second_caffe_pb2", caffe_pb2.__file__)
    assert spec is not None and spec.loader is not None
    second = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(second)
    net = second.NetParameter.FromString(caffe_pb2.NetParameter(name="x").SerializeToString())
    assert net.name == "x"


def test_messages_travel_through_bytes() -> None:
    net = caffe_pb2.NetParameter(name="net")
    layer = net.layer.add(name="a", phase=caffe_pb2.TEST)
    layer.data_param.backend = caffe_pb2.DataParameter.IDX
    layer.blobs.add(data=[1.5, -2])
    again = caffe_pb2.NetParameter.FromString(net.SerializeToString())
    assert again == net
    assert list(again.layer[0].blobs[0].data) == [1.5, -2]
    assert caffe_pb2.Phase.Name(again.layer[0].phase) == "TEST"


def test_defaults_are_read_from_the_schema() -> None:
    solver = caffe_pb2.SolverParameter()
    assert solver.solver_mode == caffe_pb2.SolverParameter.GPU
    assert solver.type == "SGD"
    assert solver.delta == pytest.approx(1e-8)
    assert not solver.HasField("snapshot_prefix")


def test_fields_of_tells_kinds_and_ranges() -> None:
    fields = fields_of(caffe_pb2.ConvolutionParameter.DESCRIPTOR)
    assert fields["pad"].repeated and fields["pad"].most == 2**32 - 1 and fields["pad"].least == 0
    assert fields["engine"].values == {"DEFAULT": 0, "CAFFE": 1, "CUDNN": 2}
    assert fields["weight_filler"].kind == "message" and not fields["weight_filler"].repeated
    assert fields_of(caffe_pb2.ClipParameter.DESCRIPTOR)["min"].required
    assert not fields_of(caffe_pb2.BlobProto.DESCRIPTOR)["double_data"].single
