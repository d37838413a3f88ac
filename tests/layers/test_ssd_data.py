"""What SSD's training nets read: a net has its shapes, and is refused where the records would be needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.phase import TEST, TRAIN
from rigs.idx_files import write_idx
from rigs.net_rig import layer, make_net

TRANSFORM = """transform_param {
  mirror: true mean_value: 104 mean_value: 117 mean_value: 123
  resize_param { prob: 1 resize_mode: WARP height: 30 width: 40 interp_mode: LINEAR interp_mode: LANCZOS4 }
  noise_param { prob: 0.1 saltpepper: true saltpepper_param { fraction: 0.1 value: 0 } }
  distort_param { brightness_prob: 0.5 brightness_delta: 32 random_order_prob: 0 }
  expand_param { prob: 0.5 max_expand_ratio: 4 }
  emit_constraint { emit_type: CENTER }
}"""
SAMPLER = """annotated_data_param {
  batch_sampler { max_sample: 1 max_trials: 1 }
  batch_sampler {
    sampler { min_scale: 0.3 max_scale: 1 min_aspect_ratio: 0.5 max_aspect_ratio: 2 }
    sample_constraint { min_jaccard_overlap: 0.1 }
    max_sample: 1 max_trials: 50
  }
  label_map_file: "labelmap_voc.prototxt"
}"""
DATA = 'data_param { source: "trainval_lmdb" batch_size: 8 backend: LMDB }'
FLAT = layer("flat", "Flatten", ["data"], ["flat"])


def test_a_net_has_its_shapes_and_says_what_it_cannot_read() -> None:
    net = make_net(layer("data", "AnnotatedData", [], ["data", "label"], TRANSFORM + DATA + SAMPLER) + FLAT, TRAIN)
    assert net.blobs["data"].shape == (8, 3, 30, 40)
    assert net.blobs["label"].shape == (1, 1, 1, 8)
    assert net.blobs["flat"].shape == (8, 3600)
    with pytest.raises(CaffeError, match=r'layer "data" \(AnnotatedData\): annotated records of SSD are not read here'):
        net.forward()


def test_a_crop_or_gray_images_change_the_shape() -> None:
    more = DATA + "transform_param { crop_size: 20 force_gray: true }"
    net = make_net(layer("data", "AnnotatedData", [], ["data"], more), TEST)
    assert net.blobs["data"].shape == (8, 1, 20, 20)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [(TRANSFORM, "batch_size: … } of 1 or more, got 0"), (DATA, "height: … width: … } } of 1 or more, got none")],
)
def test_without_a_shape_it_is_refused(fields: str, sentence: str) -> None:
    with pytest.raises(CaffeError, match=sentence):
        make_net(layer("data", "AnnotatedData", [], ["data"], fields), TRAIN)


@pytest.mark.parametrize("name", ["resize_param", "noise_param", "distort_param", "expand_param", "emit_constraint"])
def test_other_data_layers_do_not_pass_over_a_variation(name: str, tmp_path: Path) -> None:
    write_idx(tmp_path / "images", np.zeros((4, 5, 5)))
    source = f'data_param {{ source: "{tmp_path}/images" backend: IDX batch_size: 2 }}'
    with pytest.raises(CaffeError, match=f"{name}, an addition of SSD to transform_param, is not carried out here"):
        make_net(layer("data", "Data", [], ["data"], f"{source} transform_param {{ {name} {{ }} }}"), TRAIN)
