"""What the layers of forks refuse: one sentence each, that says what was expected and what was got."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig

IMAGE = np.zeros((2, 4, 4, 6))
MAP = np.zeros((1, 8, 5, 5))
PRIORS = np.tile([0.1, 0.1, 0.5, 0.5], 4).reshape(1, 1, 16).repeat(2, axis=1)
OBJECT = np.array([[[[0, 1, 0, 0.1, 0.1, 0.5, 0.6, 0]]]])
BOX = np.array([[0, 1, 1, 3, 3]])
MULTI = [np.zeros((1, 16)), np.zeros((1, 12)), PRIORS, OBJECT]


def text(kind: str, fields: str, bottoms: int, tops: int = 1) -> str:
    names = " ".join(f'bottom: "b{i}"' for i in range(bottoms))
    return f'name: "x" type: "{kind}" {names} {" ".join(f"""top: "y{i}" """ for i in range(tops))} {fields}'


def changed(row: dict[int, float]) -> list[np.ndarray]:
    """The bottoms of a MultiBoxLoss with other values in its object's row."""
    objects = OBJECT.copy()
    for place, value in row.items():
        objects[0, 0, 0, place] = value
    return [*MULTI[:3], objects]


REFUSED = [
    ("Permute", "permute_param { order: 1 order: 1 }", [IMAGE], r"each axis once in permute_param, got order \[1, 1\]"),
    ("Permute", "permute_param { order: 4 }", [IMAGE], r"an order of axes below 4, .* got \[4\]"),
    ("Permute", "permute_param { order: 1 }", [np.zeros(())], "below 0"),
    ("Transpose", "transpose_param { dim: 0 dim: 0 dim: 1 dim: 2 }", [IMAGE], "each of its bottom's 4 axes once"),
    ("Transpose", "", [IMAGE], r"got \[\]"),
    ("Reverse", "reverse_param { axis: -1 }", [IMAGE], "from 0 to 3, .* got -1"),
    ("Reverse", "reverse_param { axis: 4 }", [IMAGE], "from 0 to 3, .* got 4"),
    ("ShuffleChannel", "shuffle_channel_param { group: 3 }", [IMAGE], "a group that divides its 4 channels, got 3"),
    ("ShuffleChannel", "shuffle_channel_param { group: 0 }", [IMAGE], "a group that divides its 4 channels, got 0"),
    ("ShuffleChannel", "", [np.zeros(4)], "2 to 4 axes"),
    ("Reorg", "reorg_param { stride: 3 }", [IMAGE], "channels that its stride squared, 9, divides, got 4"),
    ("Reorg", "", [np.zeros((1, 4, 3, 4))], "a height and width that its stride 2 divides, got 3 x 4"),
    ("Reorg", "reorg_param { stride: 0 }", [IMAGE], "of 1 or more, got 0"),
    ("Reorg", "reorg_param { stride: 2 reverse: true }", [IMAGE[:, :2]], "4, divides, got 2"),
    ("Reorg", "", [np.zeros((2, 4))], "4 axes"),
    ("Upsample", "upsample_param { scale: 0 }", [IMAGE], "of 1 or more, got 0"),
    ("Upsample", "upsample_param { upsample_h: 3 }", [IMAGE], "a second bottom, the mask .* for upsample_h"),
    ("Upsample", "", [IMAGE, IMAGE[:, :2]], "two bottoms of one shape"),
    ("Upsample", "", [IMAGE, IMAGE + 96], "a mask of places from 0 to 95 in the plane of its top, got 96"),
    ("Upsample", "", [IMAGE, IMAGE - 1], "got -1"),
    ("Upsample", "", [IMAGE, IMAGE + np.nan], "got nan"),
    ("Upsample", "upsample_param { upsample_h: 3 }", [IMAGE, IMAGE], "upsample_h and upsample_w .* or neither"),
    ("Upsample", "upsample_param { upsample_h: 0 upsample_w: 2 }", [IMAGE, IMAGE], r"of 1 or more, got \[0, 2\]"),
    ("Upsample", "", [np.zeros((2, 3))], "4 axes"),
    ("Upsample", "upsample_param { scale: 3 pad_out_w: true }", [IMAGE, IMAGE], "pad_out_w with a scale of 2 alone"),
    ("Axpy", "", [np.zeros((2, 3)), IMAGE, IMAGE], "one number for each image and channel of bottom 1"),
    ("Axpy", "", [np.zeros((2, 4)), IMAGE, IMAGE[:1]], "bottoms 1 and 2 of one shape"),
    ("ConvolutionDepthwise", "convolution_param { kernel_size: 3 }", [np.zeros((2, 4))], "4 axes"),
    ("ConvolutionDepthwise", "convolution_param { kernel_size: 9 }", [IMAGE], "larger than the padded image"),
    ("DepthwiseConvolution", "convolution_param { num_output: 4 group: 3 kernel_size: 1 }", [IMAGE], "got 3"),
    ("DepthwiseConvolution", "", [IMAGE], "kernel_size once"),
    ("DepthwiseConvolution", "convolution_param { num_output: 4 kernel_size: 9 }", [IMAGE], "larger than the padded"),
    ("Interp", "", [IMAGE], "height: … width: ….* got none of them"),
    ("Interp", "interp_param { height: 4 }", [IMAGE], "got only one of height and width"),
    (
        "Interp",
        "interp_param { zoom_factor: 2 pad_beg: 1 }",
        [IMAGE],
        "pad_beg and pad_end of 0 or less, .* got 1 and 0",
    ),
    ("Interp", "interp_param { zoom_factor: 0 }", [IMAGE], "a zoom_factor of 1 or more, got 0"),
    ("Interp", "interp_param { zoom_factor: 2 pad_beg: -4 }", [IMAGE], "larger than what pad_beg and pad_end cut"),
    ("Interp", "interp_param { height: -1 width: 3 }", [IMAGE], r"of 1 or more for its top, got \[-1, 3\]"),
    ("Interp", "interp_param { zoom_factor: 2147483647 }", [IMAGE], "at most 2\\*\\*31 - 1 elements"),
    (
        "BN",
        "bn_param { scale_filler { } slope_filler { } }",
        [IMAGE],
        "one fork in bn_param, got scale_filler .* slope",
    ),
    ("BN", "bn_param { bn_mode: INFERENCE }", [np.zeros((2, 4))], "4 axes"),
    ("BN", "bn_param { frozen: true }", [np.zeros(4)], "2 axes or more"),
    ("Normalize", "", [np.zeros(4)], "2 to 4 axes"),
    ("Normalize", "norm_param { scale_filler { type: 'none' } }", [IMAGE], 'a filler type out of .* got "none"'),
    ("Normalize", "", [np.zeros((1, 2, 3, 4, 5))], "2 to 4 axes"),
    ("SmoothL1Loss", "", [IMAGE, IMAGE[:, :2]], "bottoms of one shape"),
    ("SmoothL1Loss", "", [IMAGE] * 3, "or neither, got 3 bottoms"),
    ("SmoothL1Loss", "smooth_l1_loss_param { sigma: 0 }", [IMAGE, IMAGE], "other than 0, got 0"),
    ("L1Loss", "", [IMAGE, IMAGE[:1]], "bottoms of one shape"),
    ("L1Loss", "", [np.zeros(3)], "two axes or more"),
    ("TripletLoss", "", [np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 4))], "three bottoms of one shape"),
    ("TripletLoss", "", [np.zeros((2, 3))] * 2, "3 bottom"),
    ("ReLU6", "", [IMAGE] * 2, "1 bottom"),
    ("CenterLoss", "", [np.zeros((2, 3)), np.zeros(2)], "num_output of 1 or more, got 0"),
    ("CenterLoss", "center_loss_param { num_output: 2 }", [np.zeros((2, 3)), np.array([0, 2])], "0 to 1, got 2"),
    ("CenterLoss", "center_loss_param { num_output: 2 }", [np.zeros((2, 3)), np.zeros(3)], "one label for each of 2"),
    (
        "CenterLoss",
        "center_loss_param { num_output: 2 axis: 2 }",
        [np.zeros((2, 3)), np.zeros(2)],
        "an axis of its .* 2",
    ),
    ("SegAccuracy", "", [IMAGE, np.full((2, 1, 4, 6), 4)], "labels from 0 to 3, got 4"),
    ("SegAccuracy", "", [IMAGE, np.zeros((2, 1, 4, 5))], "one label for each pixel"),
    ("SegAccuracy", "", [IMAGE, np.full((2, 1, 4, 6), np.nan)], "labels from 0 to 3, got nan"),
    ("ROIPooling", "", [MAP, BOX], "pooled_h: … pooled_w: … .* got 0 and 0"),
    ("ROIPooling", "roi_pooling_param { pooled_h: 2 }", [MAP, BOX], "got 2 and 0"),
    (
        "ROIPooling",
        "roi_pooling_param { pooled_h: 65535 pooled_w: 65535 }",
        [MAP, BOX],
        "at most 2\\*\\*31 - 1 elements",
    ),
    ("ROIPooling", "roi_pooling_param { pooled_h: 2 pooled_w: 2 }", [MAP[0], BOX], "a map of 4 axes"),
    (
        "ROIPooling",
        "roi_pooling_param { pooled_h: 2 pooled_w: 2 }",
        [MAP, BOX[:, 1:]],
        r"boxes R x 5 .* got shape \[1, 4\]",
    ),
    (
        "ROIPooling",
        "roi_pooling_param { pooled_h: 2 pooled_w: 2 }",
        [MAP, BOX + 1],
        "images from 0 to 0, .* got image 1",
    ),
    ("PSROIPooling", "psroi_pooling_param { spatial_scale: 1 output_dim: 3 group_size: 2 }", [MAP, BOX], "12 channels"),
    (
        "PSROIPooling",
        "psroi_pooling_param { spatial_scale: 1 output_dim: 2 group_size: 2 }",
        [MAP, BOX[:, :4]],
        "R x 5",
    ),
    ("PSROIPooling", "psroi_pooling_param { spatial_scale: 1 output_dim: 0 group_size: 2 }", [MAP, BOX], "1 or more"),
    (
        "PSROIPooling",
        "psroi_pooling_param { spatial_scale: 1 output_dim: 2 group_size: 2 }",
        [MAP, BOX + 1],
        "images from 0 to 0, .* got image 1",
    ),
    ("PSROIPooling", "psroi_pooling_param { spatial_scale: 1 group_size: 2 }", [MAP, BOX], 'needs "output_dim"'),
    ("PriorBox", "", [MAP, IMAGE], "min_size: … } above 0, got none"),
    ("PriorBox", "prior_box_param { min_size: 0 }", [MAP, IMAGE], "above 0, got"),
    ("PriorBox", "prior_box_param { min_size: nan }", [MAP, IMAGE], r"above 0, got \[nan\]"),
    ("PriorBox", "prior_box_param { min_size: 5 max_size: inf }", [MAP, IMAGE], "greater than its min_size 5, got inf"),
    ("PriorBox", "prior_box_param { min_size: 5 aspect_ratio: inf }", [MAP, IMAGE], "an aspect_ratio above 0, got inf"),
    ("PriorBox", "prior_box_param { min_size: 5 variance: nan }", [MAP, IMAGE], r"above 0, got \[nan\]"),
    ("PriorBox", "prior_box_param { min_size: 5 step: nan }", [MAP, IMAGE], r"expected step above 0, got \[nan, nan\]"),
    ("PriorBox", "prior_box_param { min_size: 5 }", [np.zeros((1, 8)), IMAGE], "a map and an image with 4 axes"),
    ("PriorBox", "prior_box_param { min_size: 5 max_size: 5 }", [MAP, IMAGE], "greater than its min_size 5, got 5"),
    ("PriorBox", "prior_box_param { min_size: [5, 6] max_size: 9 }", [MAP, IMAGE], "as many max_size as min_size"),
    ("PriorBox", "prior_box_param { min_size: 5 variance: [1, 2] }", [MAP, IMAGE], "one variance or four"),
    (
        "PriorBox",
        "prior_box_param { min_size: 5 step: 8 step_h: 8 }",
        [MAP, IMAGE],
        "step or step_h and step_w, got both",
    ),
    ("PriorBox", "prior_box_param { min_size: 5 step_h: 8 }", [MAP, IMAGE], "got one of the two"),
    (
        "PriorBox",
        "prior_box_param { min_size: 5 img_size: 9 img_h: 8 }",
        [MAP],
        "img_size or img_h and img_w, got both",
    ),
    ("PriorBox", "prior_box_param { min_size: 5 img_size: 0 }", [MAP], "expected img_size above 0"),
    ("PriorBox", "prior_box_param { min_size: 5 aspect_ratio: 0 }", [MAP, IMAGE], "an aspect_ratio above 0, got 0"),
    ("PriorBox", "prior_box_param { min_size: 5 }", [MAP], "the image as bottom 1, or img_size"),
    ("DetectionOutput", "", MULTI[:3], "num_classes: … } of 1 or more, got none"),
    (
        "DetectionOutput",
        "detection_output_param { num_classes: 2 }",
        MULTI[:3],
        "expected 8 scores, num_classes 2 .* got 12",
    ),
    (
        "DetectionOutput",
        "detection_output_param { num_classes: 3 share_location: false }",
        MULTI[:3],
        "expected 48 locations, 12 for each of 4 priors, got 16",
    ),
    (
        "DetectionOutput",
        "detection_output_param { num_classes: 3 background_label_id: -1 }",
        MULTI[:3],
        "share_location: false with background_label_id: -1",
    ),
    (
        "DetectionOutput",
        "detection_output_param { num_classes: 3 code_type: CENTER_SIZE }",
        [*MULTI[:2], PRIORS * 0],
        "priors with a width and height .* got prior 0 as 0, 0, 0, 0",
    ),
    (
        "DetectionOutput",
        "detection_output_param { num_classes: 3 nms_param { eta: 0 } }",
        MULTI[:3],
        "an eta above 0, up to 1, got 0.3 and 0",
    ),
    ("DetectionOutput", "detection_output_param { num_classes: 3 }", [*MULTI[:2], PRIORS[:, :1]], "priors 1 x 2 x"),
    ("MultiBoxLoss", "", MULTI, "num_classes: … } of 1 or more, got none"),
    ("MultiBoxLoss", "multibox_loss_param { num_classes: 4 }", MULTI, "expected 16 scores, num_classes 4 .* got 12"),
    ("MultiBoxLoss", "multibox_loss_param { num_classes: 3 share_location: false }", MULTI, "mining_type: NONE"),
    (
        "MultiBoxLoss",
        "multibox_loss_param { num_classes: 3 background_label_id: 3 }",
        MULTI,
        "below num_classes 3, got 3",
    ),
    (
        "MultiBoxLoss",
        "multibox_loss_param { num_classes: 3 map_object_to_agnostic: true }",
        MULTI,
        "num_classes: 2 .* with map_object_to_agnostic, got 3 and 0",
    ),
    (
        "MultiBoxLoss",
        "multibox_loss_param { num_classes: 3 do_neg_mining: false }",
        MULTI,
        "agree with mining_type MAX_",
    ),
    ("MultiBoxLoss", "multibox_loss_param { num_classes: 3 }", [*MULTI[:3], OBJECT[..., :7]], "1 x 1 x n x 8"),
    (
        "MultiBoxLoss",
        "multibox_loss_param { num_classes: 2 map_object_to_agnostic: true background_label_id: 1 }",
        [MULTI[0], np.zeros((1, 8)), PRIORS, OBJECT],
        "background_label_id: 0 with map_object_to_agnostic, got 2 and 1",
    ),
    ("MultiBoxLoss", "multibox_loss_param { num_classes: 3 neg_pos_ratio: nan }", MULTI, "of 0 or more, got nan"),
    (
        "MultiBoxLoss",
        "multibox_loss_param { num_classes: 3 code_type: CENTER_SIZE }",
        [*MULTI[:2], PRIORS * 0, OBJECT],
        "priors with a width and height .* got prior 0 as 0, 0, 0, 0",
    ),
    (
        "MultiBoxLoss",
        "multibox_loss_param { num_classes: 3 }",
        changed({1: 0}),
        "other than the background 0, got class 0",
    ),
    ("MultiBoxLoss", "multibox_loss_param { num_classes: 3 }", changed({1: 3}), "from 0 to 2 .* got class 3"),
    ("MultiBoxLoss", "multibox_loss_param { num_classes: 3 }", changed({0: 1}), "images from 0 to 0, got image 1"),
    ("Proposal", "", [MAP, MAP, np.zeros((1, 3))], "N x 18 x H x W for 9 anchors, 3 ratios times 3 scales"),
    ("Proposal", "", [np.zeros((1, 18, 2, 2)), MAP, np.zeros((1, 3))], r"shifts of shape \[1, 36, 2, 2\]"),
    ("Proposal", "", [np.zeros((1, 18, 2, 2)), np.zeros((1, 36, 2, 2)), np.zeros((1, 2))], "im_info"),
    ("Proposal", "proposal_param { ratio: 0 }", [MAP, MAP, MAP], "ratios and scales above 0"),
    (
        "Pooling",
        "pooling_param { kernel_h: 2 kernel_w: 2 }",
        [np.zeros((1, 2, 3, 4, 5))],
        "need 2 spatial axes, .* has 3",
    ),
    (
        "Pooling",
        "pooling_param { kernel_shape { dim: [2, 2] } }",
        [np.zeros((1, 2, 3, 4, 5))],
        "a dim of 0 or more for each of its 3 spatial",
    ),
    (
        "Pooling",
        "pooling_param { kernel_size: 2 pool: STOCHASTIC }",
        [np.zeros((1, 2, 3, 4, 5))],
        "4 axes .* for STOCHASTIC",
    ),
    ("Pooling", "pooling_param { kernel_size: 2 kernel_shape { } }", [IMAGE], "kernel_size or kernel_shape, got both"),
    (
        "Pooling",
        "pooling_param { kernel_shape { } kernel_h: 2 }",
        [IMAGE],
        "kernel_shape or kernel_h and kernel_w, got",
    ),
    ("Pooling", "pooling_param { kernel_shape { dim: [-1, 2] } }", [IMAGE], r"got \[-1, 2\]"),
    ("Pooling", "pooling_param { kernel_size: 4 }", [np.zeros((1, 2, 3, 4, 5))], "larger than the padded image"),
]


@pytest.mark.parametrize(
    ("kind", "fields", "bottoms", "sentence"), REFUSED, ids=[f"{case[0]}-{i}" for i, case in enumerate(REFUSED)]
)
def test_refuses_with_one_sentence(kind: str, fields: str, bottoms: list[np.ndarray], sentence: str) -> None:
    with pytest.raises(CaffeError, match=sentence) as caught:
        Rig(text(kind, fields, len(bottoms)), bottoms).forward()
    assert len(str(caught.value).splitlines()[0]) < 330


@pytest.mark.parametrize(("kind", "arrays"), [("DetectionOutput", MULTI[:3]), ("MultiBoxLoss", MULTI)])
@pytest.mark.parametrize("nothing", ["images", "priors"])
def test_nothing_to_find_is_no_error(kind: str, arrays: list[np.ndarray], nothing: str) -> None:
    location, score, prior, *more = arrays
    if nothing == "images":
        location, score = location[:0], score[:0]
        more = [objects[:, :, :0] for objects in more]
    else:
        location, score, prior = location[:, :0], score[:, :0], prior[..., :0]
    param = "detection_output_param" if kind == "DetectionOutput" else "multibox_loss_param"
    bottoms = [location, score, prior, *more]
    (top,) = Rig(text(kind, f"{param} {{ num_classes: 3 }}", len(bottoms)), bottoms).forward()
    assert top.shape == ((1, 1, len(location), 7) if kind == "DetectionOutput" else ())


def test_boxes_of_a_map_without_channels() -> None:
    rig = Rig(text("ROIPooling", "roi_pooling_param { pooled_h: 2 pooled_w: 3 }", 2), [MAP[:, :0], BOX])
    assert rig.forward()[0].shape == (1, 0, 2, 3)
    assert rig.backward([np.zeros((1, 0, 2, 3))], [True, False])[0].shape == (1, 0, 5, 5)


CHANNELS = [
    ("BN", "bn_param { scale_filler { } }"),
    ("BN", "bn_param { slope_filler { } }"),
    ("Normalize", "norm_param { channel_shared: false }"),
]


@pytest.mark.parametrize(("kind", "fields"), CHANNELS)
def test_other_channels_than_at_first_are_refused(kind: str, fields: str) -> None:
    rig = Rig(text(kind, fields, 1), [IMAGE])
    rig.put([IMAGE[:, :3]])
    with pytest.raises(CaffeError, match="expected 4 channels, as when it was made, got 3"):
        rig.reshape()


@pytest.mark.parametrize(
    ("kind", "fields", "bottoms", "which"),
    [
        ("Upsample", "", [IMAGE, IMAGE + 0], "its mask"),
        ("ROIPooling", "roi_pooling_param { pooled_h: 1 pooled_w: 1 }", [MAP, BOX], "its boxes"),
        (
            "PSROIPooling",
            "psroi_pooling_param { spatial_scale: 1 output_dim: 2 group_size: 2 }",
            [MAP, BOX],
            "its boxes",
        ),
        ("MultiBoxLoss", "multibox_loss_param { num_classes: 3 }", MULTI, "its priors and objects"),
        ("SmoothL1Loss", "", [IMAGE] * 4, "its weights"),
        ("CenterLoss", "center_loss_param { num_output: 2 }", [np.zeros((2, 3)), np.zeros(2)], "its labels"),
    ],
)
def test_gradients_that_are_not_there_are_refused(
    kind: str, fields: str, bottoms: list[np.ndarray], which: str
) -> None:
    rig = Rig(text(kind, fields, len(bottoms)), bottoms)
    rig.forward()
    with pytest.raises(CaffeError, match=f"cannot propagate to {which}"):
        rig.backward([np.zeros(blob.shape) for blob in rig.top])


@pytest.mark.parametrize(
    ("kind", "fields", "bottoms"),
    [
        ("DetectionOutput", "detection_output_param { num_classes: 3 }", MULTI[:3]),
        ("SegAccuracy", "", [IMAGE, IMAGE[:, :1]]),
        ("Proposal", "", [np.zeros((1, 18, 2, 2)), np.zeros((1, 36, 2, 2)), np.array([[32, 32, 1]])]),
    ],
)
def test_layers_without_a_derivative_say_so(kind: str, fields: str, bottoms: list[np.ndarray]) -> None:
    rig = Rig(text(kind, fields, len(bottoms)), bottoms)
    rig.forward()
    with pytest.raises(CaffeError, match="has no derivative; put propagate_down: false on it"):
        rig.backward([np.zeros(blob.shape) for blob in rig.top])


def test_nothing_goes_back_through_priors() -> None:
    rig = Rig(text("PriorBox", "prior_box_param { min_size: 2 }", 2), [MAP, IMAGE])
    rig.forward()
    assert not any(diff.any() for diff in rig.backward([np.ones(blob.shape) for blob in rig.top]))


@pytest.mark.parametrize("kind", ["Permute", "Reverse", "ShuffleChannel", "Upsample", "Interp"])
def test_moves_do_not_work_in_place(kind: str) -> None:
    param = "interp_param { zoom_factor: 1 }" if kind == "Interp" else ""
    with pytest.raises(CaffeError, match="cannot work in place; give its top"):
        Rig(f'type: "{kind}" bottom: "a" top: "a" {param}', [IMAGE])
