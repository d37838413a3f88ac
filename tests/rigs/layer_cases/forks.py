"""Layers of Caffe's forks."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.phase import TEST
from rigs.layer_cases.table import Case, Spec, add, labels, uniform, values

IMAGE = (2, 4, 4, 6)


def one(kind: str, fields: str = "", bottoms: int = 1, tops: int = 1) -> str:
    """The text of a layer with bottoms a, b, … and tops y0, y1, …"""
    names = " ".join(f'bottom: "{chr(97 + i)}"' for i in range(bottoms))
    return f'type: "{kind}" {names} {" ".join(f"""top: "y{i}" """ for i in range(tops))} {fields}'


# -- moves of values -----------------------------------------------------------------------------------------

for name, order, shape, top in (
    ("nhwc", "order: 0 order: 2 order: 3 order: 1", IMAGE, (2, 4, 6, 4)),
    ("partly", "order: 2", (2, 3, 4), (4, 2, 3)),
):
    text = one("Permute", f"permute_param {{ {order} }}")
    add(Case(text=text, bottoms=(shape,), tops=(top,), name=name, grow=()))
add(
    Case(
        text=one("Transpose", "transpose_param { dim: 3 dim: 0 dim: 2 dim: 1 }"),
        bottoms=(IMAGE,),
        tops=((6, 2, 4, 4),),
        grow=(),
    )
)
add(Case(text=one("Reverse", "reverse_param { axis: 2 }"), bottoms=(IMAGE,), tops=(IMAGE,)))
add(Case(text=one("ShuffleChannel", "shuffle_channel_param { group: 2 }"), bottoms=(IMAGE,), tops=(IMAGE,)))
add(
    Case(
        text=one("ShuffleChannel", "shuffle_channel_param { group: 2 }"),
        bottoms=((2, 4),),
        tops=((2, 4, 1, 1),),
        name="vectors",
    )
)
for name, fields, top in (("reduce", "", (2, 16, 2, 3)), ("reverse", "reverse: true", (2, 1, 8, 12))):
    text = one("Reorg", f"reorg_param {{ stride: 2 {fields} }}")
    add(Case(text=text, bottoms=(IMAGE,), tops=(top,), name=name))
add(Case(text=one("Upsample", "upsample_param { scale: 3 }"), bottoms=((2, 3, 2, 3),), tops=((2, 3, 6, 9),)))


def places(shape: tuple[int, ...], plane: int) -> Spec:
    """A mask in which no place of a plane comes twice."""

    def make(generator: np.random.Generator) -> np.ndarray:
        drawn = [generator.permutation(plane)[: shape[2] * shape[3]] for _ in range(shape[0] * shape[1])]
        return np.array(drawn, np.float64).reshape(shape)

    return make


for name, fields, top in (
    ("mask", "", (2, 3, 4, 6)),
    ("mask-cut", "upsample_param { pad_out_h: true pad_out_w: true }", (2, 3, 3, 5)),
    ("mask-size", "upsample_param { upsample_h: 5 upsample_w: 4 }", (2, 3, 5, 4)),
):
    add(
        Case(
            text=one("Upsample", fields, bottoms=2),
            bottoms=((2, 3, 2, 3), places((2, 3, 2, 3), top[2] * top[3])),
            tops=(top,),
            name=name,
            differentiable=(0,),
        )
    )

add(
    Case(
        text=one("Upsample", bottoms=2),
        bottoms=((1, 2, 1, 2), values([[[[3, 3]], [[0, 5]]]])),
        tops=((1, 2, 2, 4),),
        name="mask-repeated",
        differentiable=(0,),
        is_derivative=False,
    )
)

# -- arithmetic ----------------------------------------------------------------------------------------------

add(Case(text=one("ReLU6"), bottoms=(uniform(IMAGE, -2, 8),), tops=(IMAGE,)))
add(Case(text='type: "ReLU6" bottom: "a" top: "a"', bottoms=(uniform(IMAGE, -2, 8),), tops=(IMAGE,), name="in-place"))
add(
    Case(
        text=one("ReLU6", "relu6_param { negative_slope: 0.1 }"),
        bottoms=(uniform(IMAGE, -2, 8),),
        tops=(IMAGE,),
        name="slope",
    )
)
add(Case(text=one("Axpy", bottoms=3), bottoms=((2, 4, 1, 1), IMAGE, IMAGE), tops=(IMAGE,)))
add(Case(text=one("Axpy", bottoms=3), bottoms=((2, 4), (2, 4, 3), (2, 4, 3)), tops=((2, 4, 3),), name="sequences"))

CONVOLUTION = "kernel_size: 3 stride: 2 pad: 1"
add(
    Case(
        text=one("DepthwiseConvolution", f"convolution_param {{ num_output: 4 group: 4 {CONVOLUTION} }}"),
        bottoms=(IMAGE,),
        tops=((2, 4, 2, 3),),
        large=((9, 4, 40, 40),),
    )
)
add(
    Case(
        text=one("ConvolutionDepthwise", f"convolution_param {{ num_output: 7 {CONVOLUTION} }}"),
        bottoms=(IMAGE,),
        tops=((2, 4, 2, 3),),
        large=((9, 4, 40, 40),),
    )
)
for kind, name, fields, top in (
    ("DepthwiseConvolution", "two-each", f"num_output: 8 group: 4 {CONVOLUTION}", (2, 8, 2, 3)),
    ("DepthwiseConvolution", "dilation", "num_output: 4 group: 4 kernel_size: 2 dilation: 2", (2, 4, 2, 4)),
    ("ConvolutionDepthwise", "dilation", "kernel_size: 2 dilation: 2 bias_term: false", (2, 4, 2, 4)),
):
    text = one(kind, f"convolution_param {{ {fields} }}")
    add(Case(text=text, bottoms=(IMAGE,), tops=(top,), name=name))
for name, fields, top in (
    ("zoom", "zoom_factor: 2", (2, 4, 7, 11)),
    ("shrink", "shrink_factor: 2", (2, 4, 2, 3)),
    ("size", "height: 5 width: 3", (2, 4, 5, 3)),
    ("one-place", "height: 1 width: 1", (2, 4, 1, 1)),
    ("same", "height: 4 width: 6", (2, 4, 4, 6)),
    ("cut", "height: 4 width: 7 pad_beg: -1 pad_end: -1", (2, 4, 4, 7)),
    ("shrink-and-zoom", "shrink_factor: 3 zoom_factor: 2", (2, 4, 3, 3)),
):
    add(
        Case(
            text=one("Interp", f"interp_param {{ {fields} }}"),
            bottoms=(IMAGE,),
            tops=(top,),
            name=name,
            large=((3, 8, 60, 70),),
        )
    )

for name, shape in (("from-one-place", (2, 4, 1, 1)), ("from-a-row", (2, 4, 1, 5))):
    text = one("Interp", "interp_param { height: 3 width: 5 }")
    add(Case(text=text, bottoms=(shape,), tops=((2, 4, 3, 5),), name=name))

# -- normalizing ---------------------------------------------------------------------------------------------

SEGNET = "scale_filler { value: 1 } shift_filler { value: 0 }"
PSPNET = "slope_filler { value: 1 } bias_filler { value: 0 }"
for name, fields, tops in (
    ("learn", SEGNET, 1),
    ("learn-three-tops", SEGNET, 3),
    ("inference", f"{SEGNET} bn_mode: INFERENCE", 1),
    ("unnamed", "", 1),
):
    add(
        Case(
            text=one("BN", f"bn_param {{ {fields} }}", tops=tops),
            bottoms=(IMAGE,),
            tops=(IMAGE, (1, 4, 1, 1), (1, 4, 1, 1))[:tops],
            name=f"segnet-{name}",
            weighted_tops=(0,),
            large=((9, 4, 60, 60),),
        )
    )
add(
    Case(
        text=f'type: "BN" bottom: "a" top: "a" bn_param {{ {SEGNET} }}',
        bottoms=(IMAGE,),
        tops=(IMAGE,),
        name="segnet-in-place",
    )
)

add(
    Case(
        text=f'type: "BN" bottom: "a" top: "a" bn_param {{ {SEGNET} bn_mode: INFERENCE }}',
        bottoms=(IMAGE,),
        tops=(IMAGE,),
        name="segnet-inference-in-place",
        in_place_agrees=False,
        is_derivative=False,
    )
)


def positive(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Parameters that may be variances."""
    return generator.uniform(0.5, 2, shape)


for name, fields, phase, params, true in (
    ("train", PSPNET, 0, (0, 1), True),
    ("frozen", f"{PSPNET} frozen: true", 0, (), True),
    ("frozen-test", f"{PSPNET} frozen: true", TEST, (), True),
    ("test", PSPNET, TEST, (0, 1), False),
):
    add(
        Case(
            text=one("BN", f"bn_param {{ {fields} }}"),
            bottoms=(IMAGE,),
            tops=(IMAGE,),
            name=f"pspnet-{name}",
            phase=phase,
            param_values=positive,
            differentiable_params=params,
            is_derivative=true,
            large=((9, 4, 60, 60),),
        )
    )
add(
    Case(
        text=f'type: "BN" bottom: "a" top: "a" bn_param {{ {PSPNET} }}',
        bottoms=(IMAGE,),
        tops=(IMAGE,),
        name="pspnet-in-place",
        param_values=positive,
        differentiable_params=(0, 1),
    )
)
for name, fields, shape, true in (
    ("defaults", "", IMAGE, True),
    ("each-place", "across_spatial: false", IMAGE, True),
    ("vectors", "across_spatial: false eps: 0.1", (3, 5), True),
    ("channel-scales", "across_spatial: false channel_shared: false", IMAGE, False),
):
    add(
        Case(
            text=one("Normalize", f"norm_param {{ {fields} }}"),
            bottoms=(shape,),
            tops=(shape,),
            name=name,
            is_derivative=true,
        )
    )
add(
    Case(
        text='type: "Normalize" bottom: "a" top: "a" norm_param { across_spatial: false }',
        bottoms=(IMAGE,),
        tops=(IMAGE,),
        name="in-place",
    )
)
add(
    Case(
        text=one("Normalize", "norm_param { channel_shared: false }"),
        bottoms=(IMAGE,),
        tops=(IMAGE,),
        name="equal-channel-scales",
        param_values="filler",
    )
)

# -- losses --------------------------------------------------------------------------------------------------

PAIR = ((3, 4, 2), (3, 4, 2))
add(Case(text=one("SmoothL1Loss", bottoms=2), bottoms=PAIR, tops=((),), name="ssd"))
SIGMA = "smooth_l1_loss_param { sigma: 2 }"
add(Case(text=one("SmoothL1Loss", SIGMA, bottoms=2), bottoms=PAIR, tops=((),), name="rcnn"))
add(
    Case(
        text=one("SmoothL1Loss", f"{SIGMA} loss_weight: 1", bottoms=4),
        bottoms=(*PAIR, *PAIR),
        tops=((),),
        name="rcnn-weights",
        differentiable=(0, 1),
    )
)
for name, fields in (
    ("distance", ""),
    ("length", "l2_per_location: true"),
    ("mean-length", "l2_per_location: true l2_prescale_by_channels: true"),
    ("entries", "normalize_by_num_entries: true"),
    ("plateau", "plateau: 0.5"),
):
    text = one("L1Loss", f"l1_loss_param {{ {fields} }}", bottoms=2)
    add(Case(text=text, bottoms=((2, 3, 2, 2), (2, 3, 2, 2)), tops=((),), name=name))
add(Case(text=one("L1Loss"), bottoms=((2, 3, 4),), tops=((),), name="one-bottom"))
add(Case(text=one("TripletLoss", bottoms=3), bottoms=((4, 3), (4, 3), (4, 3)), tops=((),)))
add(
    Case(
        text=one("CenterLoss", 'center_loss_param { num_output: 3 center_filler { type: "gaussian" } }', bottoms=2),
        bottoms=((5, 4), labels((5,), 3)),
        tops=((),),
        differentiable=(0,),
        differentiable_params=(),
    )
)
add(
    Case(
        text=one(
            "CenterLoss",
            'loss_weight: 2 center_loss_param { num_output: 3 axis: 2 center_filler { type: "gaussian" } }',
            bottoms=2,
        ),
        bottoms=((2, 3, 4), labels((2, 3), 3)),
        tops=((),),
        name="centres",
        differentiable=(),
        differentiable_params=(0,),
        is_derivative=False,
    )
)
add(
    Case(
        text=one("SegAccuracy", "seg_accuracy_param { ignore_label: 2 }", bottoms=2),
        bottoms=(IMAGE, labels((2, 1, 4, 6), 4)),
        tops=((1, 1, 1, 3),),
        differentiable=(),
    )
)

# -- boxes ---------------------------------------------------------------------------------------------------

REGIONS = values([[0, 0, 0, 3, 2], [1, 1, 0, 5, 3], [1, 2, 2, 9, 9]])
add(
    Case(
        text=one("ROIPooling", "roi_pooling_param { pooled_h: 2 pooled_w: 3 }", bottoms=2),
        bottoms=(IMAGE, REGIONS),
        tops=((3, 4, 2, 3),),
        differentiable=(0,),
        large=((2, 4, 4, 6), values(np.tile([[0, 0, 0, 3, 2], [1, 1, 0, 5, 3]], (40, 1)))),
        grow=(1,),
    )
)
for name, scale, boxes, true in (
    ("scaled", 0.5, [[0, 1, 1, 11, 7], [1, 3, 0, 6, 2]], True),
    ("turned-round", 1, [[0, 3, 2, 1, 1], [1, 0, 0, 3, 2]], False),
):
    text = one("ROIPooling", f"roi_pooling_param {{ pooled_h: 2 pooled_w: 2 spatial_scale: {scale} }}", bottoms=2)
    add(
        Case(
            text=text,
            bottoms=(IMAGE, values(boxes)),
            tops=((2, 4, 2, 2),),
            name=name,
            differentiable=(0,),
            grow=(1,),
            is_derivative=true,
        )
    )
add(
    Case(
        text=one("PSROIPooling", "psroi_pooling_param { spatial_scale: 0.5 output_dim: 3 group_size: 2 }", bottoms=2),
        bottoms=((2, 12, 4, 5), values([[0, 0, 0, 5, 4], [1, 2, 1, 8, 7]])),
        tops=((2, 3, 2, 2),),
        differentiable=(0,),
        grow=(1,),
    )
)
add(
    Case(
        text=one("PriorBox", "prior_box_param { min_size: 6 max_size: 9 aspect_ratio: 2 }", bottoms=2),
        bottoms=((2, 4, 2, 3), (2, 3, 20, 30)),
        tops=((1, 2, 96),),
        differentiable=(),
    )
)
add(
    Case(
        text=one(
            "PriorBox",
            "prior_box_param { min_size: [4, 6] aspect_ratio: 3 flip: false clip: true variance: [1, 2, 3, 4] step: 8 "
            "offset: 0 img_h: 20 img_w: 30 }",
        ),
        bottoms=((1, 4, 2, 3),),
        tops=((1, 2, 96),),
        name="each-parameter",
        differentiable=(),
    )
)


def priors(count: int, generator: np.random.Generator) -> np.ndarray:
    """Boxes with a width and height in the image, and variances, 1 x 2 x (count 4)."""
    begin = generator.uniform(0, 0.6, (count, 2))
    boxes = np.concatenate([begin, begin + generator.uniform(0.2, 0.4, (count, 2))], axis=1)
    return np.stack([boxes.reshape(-1), np.tile([0.1, 0.1, 0.2, 0.2], count)])[None]


def some_priors(count: int) -> Spec:
    return lambda generator: priors(count, generator)


for name, fields, locations in (
    ("nothing", "confidence_threshold: 9", 24),
    ("one", "keep_top_k: 1 code_type: CENTER_SIZE", 24),
    ("each-class", "keep_top_k: 1 share_location: false background_label_id: -1", 72),
):
    add(
        Case(
            text=one("DetectionOutput", f"detection_output_param {{ num_classes: 3 {fields} }}", bottoms=3),
            bottoms=((1, locations), (1, 18), some_priors(6)),
            tops=((1, 1, 1, 7),),
            name=name,
            differentiable=(),
            grow=(0, 1),
        )
    )


FOUND = values([[[[0, 1, 0.9, 0, 0, 1, 1], [0, 2, 0.7, 0, 0, 1, 1], [1, 2, 0.8, 0, 0, 0.5, 0.5]]]])
THERE = values([[[[0, 1, 0, 0, 0, 1, 1, 0], [1, 2, 0, 0, 0, 1, 1, 1], [-1, -1, -1, -1, -1, -1, -1, -1]]]])
for name, fields in (("right and wrong ones", ""), ("difficult ones left out", "evaluate_difficult_gt: false")):
    add(
        Case(
            text=one("DetectionEvaluate", f"detection_evaluate_param {{ num_classes: 3 {fields} }}", bottoms=2),
            bottoms=(FOUND, THERE),
            tops=((1, 1, 5, 5),),
            name=name,
            differentiable=(),
        )
    )


def objects(images: int) -> Spec:
    """An object for each image, and a row that is none."""

    def make(generator: np.random.Generator) -> np.ndarray:
        boxes = priors(images + 1, generator)[0, 0].reshape(-1, 4)
        rows = [[i, 1 + i % 2, 0, *box, 0] for i, box in enumerate(boxes)]
        rows[-1][0] = -1
        return np.array(rows)[None, None]

    return make


for name, fields, locations in (
    ("mining", "code_type: CENTER_SIZE", 24),
    ("all", "mining_type: NONE", 24),
    ("logistic", "conf_loss_type: LOGISTIC loc_loss_type: L2 loc_weight: 2", 24),
    ("each-class", "mining_type: NONE share_location: false code_type: CORNER_SIZE", 72),
    ("hard-examples", "mining_type: HARD_EXAMPLE sample_size: 3", 24),
    ("predicted", "use_prior_for_matching: false mining_type: NONE", 24),
    ("suppressed", "nms_param { top_k: 4 } use_prior_for_nms: true", 24),
):
    add(
        Case(
            text=one("MultiBoxLoss", f"multibox_loss_param {{ num_classes: 3 {fields} }}", bottoms=4),
            bottoms=((2, locations), (2, 18), some_priors(6), objects(2)),
            tops=((),),
            name=name,
            differentiable=(0, 1),
            grow=(0, 1),
        )
    )
add(
    Case(
        text=one("MultiBoxLoss", "multibox_loss_param { num_classes: 3 encode_variance_in_target: true }", bottoms=4),
        bottoms=((2, 24), (2, 18), some_priors(6), objects(2)),
        tops=((),),
        name="variance-in-target",
        differentiable=(0, 1),
        grow=(0, 1),
        is_derivative=False,
    )
)
add(
    Case(
        text=one("Proposal", "proposal_param { ratio: 1 scale: 2 post_nms_topn: 1 min_size: 1 }", bottoms=3, tops=2),
        bottoms=((2, 2, 3, 4), (2, 4, 3, 4), values([[48, 64, 1]])),
        tops=((2, 5), (2,)),
        differentiable=(),
        grow=(0, 1),
    )
)

# -- volumes -------------------------------------------------------------------------------------------------

for method in ("MAX", "AVE"):
    for name, fields, top in (
        ("cube", "kernel_size: 2 stride: 2", (2, 3, 2, 2, 3)),
        (
            "each-axis",
            "kernel_shape { dim: [1, 2, 3] } stride_shape { dim: [1, 2, 1] } pad_shape { dim: [0, 1, 1] }",
            (2, 3, 3, 3, 5),
        ),
        ("global", "global_pooling: true", (2, 3, 1, 1, 1)),
    ):
        add(
            Case(
                text=one("Pooling", f"pooling_param {{ pool: {method} {fields} }}"),
                bottoms=((2, 3, 3, 4, 5),),
                tops=(top,),
                name=f"{method}-volume-{name}",
            )
        )
add(
    Case(
        text=one("Pooling", "pooling_param { kernel_size: 2 stride: 2 }", tops=2),
        bottoms=((2, 3, 3, 4, 5),),
        tops=((2, 3, 2, 2, 3), (2, 3, 2, 2, 3)),
        name="MAX-volume-indices",
        weighted_tops=(0,),
    )
)
