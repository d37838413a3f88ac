"""What forks of Caffe added to the schema: whose a name is, so that errors can say so, and what of it is taken.

Files of these forks are found everywhere. The layers of theirs that are computed here are in the schema and in the
table of layer types; the names in this table are only recognised. A field is taken, with a line in the log, if the net
computes the same without it: it says where or how fast something is computed, or has the one value for which the fork
does what Caffe does, or Caffe has another name for it. All others are refused.
"""

from __future__ import annotations

import re
from typing import NamedTuple

Scalar = int | float | bool | str
"""What the fields of forks hold that are taken."""

_SSD = {
    "TransformationParameter": "crop_h crop_w",
    "LayerParameter": "video_data_param",
}

# For each fork, the fields it added to each message.
_FIELDS: dict[str, dict[str, str]] = {
    "SSD": _SSD,
    "NVCaffe": {
        "NetParameter": "default_forward_type default_backward_type default_forward_math "
        "default_backward_math global_grad_scale global_grad_scale_adaptive reduce_buckets "
        "default_conv_algos_override default_cudnn_math_override default_conv_math_override "
        "eltwise_ignore_batch_norm quantize",
        "SolverParameter": "test_epoch_size test_interval_epoch max_epoch epoch_size per_parameter_reduce "
        "rampup_interval rampup_lr solver_data_type store_blobs_in_old_format larc larc_policy "
        "larc_turbo local_lr_auto local_gw_ratio momentum_policy max_momentum momentum_power "
        "weight_decay_policy weight_decay_power",
        "LayerParameter": "detectnet_groundtruth_param detectnet_augmentation_param forward_type "
        "backward_type forward_math backward_math debug cudnn_math_override",
        "TransformationParameter": "use_gpu_transform img_rand_resize_lower img_rand_resize_upper "
        "rand_resize_ratio_lower rand_resize_ratio_upper interpolation_algo_up interpolation_algo_down "
        "allow_upscale",
        "BatchNormParameter": "scale_bias scale_filler bias_filler engine",
        "ConvolutionParameter": "cudnn_convolution_algo_seeker conv_algos_override cudnn_math_override",
        "DataParameter": "cache threads parser_threads",
    },
    "Intel Caffe": {
        **_SSD,
        "NetParameter": "compile_net_state engine bn_stats_batch_size multinode",
        "SolverParameter": "disabled_update engine local_lr_auto local_gw_ratio",
        "LayerParameter": f"{_SSD['LayerParameter']} engine multinode mn_activation_param "
        "mn_grad_compress_param split_param spatial_dropout_param continuation_indicator_param "
        "quantization_param box_annotator_ohem_param",
        "TransformationParameter": f"{_SSD['TransformationParameter']} random_resize_param "
        "random_aspect_ratio_param flow",
        "LossParameter": "pre_fixed_normalizer label_smoothing",
        "FillerParameter": "scale",
    },
    "Faster R-CNN": {
        "DropoutParameter": "scale_train",
    },
    "R-FCN": {
        "LayerParameter": "box_annotator_ohem_param",
    },
    "SegNet": {
        "LayerParameter": "dense_image_data_param",
        "LossParameter": "weight_by_label_freqs class_weighting",
        "DropoutParameter": "sample_weights_test",
    },
    "ENet": {
        "LayerParameter": "dense_image_data_param spatial_dropout_param",
        "LossParameter": "weight_by_label_freqs class_weighting",
    },
    "DeepLab": {
        "LayerParameter": "densecrf_param mat_read_param "
        "mat_write_param unpooling_param softmaxloss_param adaptive_bias_channel_param "
        "domain_transform_param",
        "ConvolutionParameter": "hole hole_h hole_w",
        "ImageDataParameter": "label_type",
        "TransformationParameter": "crop_width crop_height",
    },
    "CRF-RNN": {"LayerParameter": "multi_stage_meanfield_param"},
    "OpenPose": {
        "LayerParameter": "op_transform_param cpm_transform_param imresize_param nms_param",
    },
    "Ristretto": {"LayerParameter": "quantization_param"},
    "caffe-yolo": {"SolverParameter": "stagelr stageiter"},
    "caffe-lstm": {"LayerParameter": "lstm_param"},
    "CaffeOnSpark": {
        "LayerParameter": "source_class cos_data_param",
        "MemoryDataParameter": "source dataframe_column_select dataframe_format image_encoded share_in_parallel",
    },
    "FlowNet": {
        "LayerParameter": "custom_data_param correlation_param resample_param augmentation_param "
        "coeff_schedule_param flow_warp_param",
    },
    "caffe-windows": {
        "LayerParameter": "local_param insanity_param "
        "eltwise_affine_param sub_region_param noise_param hotspot_param predict_box_param mil_data_param "
        "mil_param fcn_data_param flip_param inner_distance_param normalize_param "
        "general_contrastive_loss_param soft_contrastive_loss_param general_triplet_loss_param "
        "soft_truncation_param pairwise_param smoothl1_param "
        "truncation_param nca_param largemargin_inner_product_param "
        "label_specific_rescale_param infimum_loss_param resize_param margin_inner_product_param "
        "feature_decay_loss_param confidence_penalty_loss_param focal_loss_param "
        "label_specific_margin_param channel_scale_param label_specific_affine_param "
        "label_specific_hard_margin_param label_specific_add_param",
        "TransformationParameter": "crop_h crop_w center_crop erase_ratio scale_min scale_max aspect_min aspect_max",
        "AccuracyParameter": "min_is_better",
        "BatchNormParameter": "disable_mean disable_variance scale_filler bias_filler engine",
        "ConvolutionParameter": "cudnn_convolution_algo_seeker shape_offset",
    },
    "Synopsys Caffe": {
        "LayerParameter": "squeeze_convolution_param squeeze_inner_product_param batch_reduction_param",
        "ConvolutionParameter": "pad_type pad_l pad_r pad_t pad_b",
        "PoolingParameter": "pad_type pad_l pad_r pad_t pad_b",
    },
    "C3D": {
        "ConvolutionParameter": "kernel_depth temporal_stride temporal_pad",
        "PoolingParameter": "kernel_depth temporal_stride temporal_pad",
    },
    "ports of YOLO": {
        "LayerParameter": "region_param region_loss_param detection_loss_param eval_detection_param box_data_param "
        "yolov3_param yolo_detection_output_param yolov3_detection_output_param"
    },
    "ports of CTC": {
        "LayerParameter": "ctc_loss_param ctc_decoder_param warpctc_param continuation_indicator_param ",
    },
    "ports of DenseNet": {"LayerParameter": "denseblock_param dense_block_param"},
    "ports of spatial transformers": {"LayerParameter": "st_param st_loss_param"},
    "converters from other frameworks": {"LayerParameter": "squeeze_param"},
    "FlowNet's first version": {"LayerParameter": "downsample_param"},
}

# For each fork, the layer types it added.
_TYPES = {
    "SSD": "VideoData",
    "R-FCN": "BoxAnnotatorOHEM SmoothL1LossOHEM",
    "SegNet": "DenseImageData",
    "DeepLab": "ImageSegData DenseCRF MatRead MatWrite",
    "ENet": "SpatialDropout",
    "CRF-RNN": "MultiStageMeanfield",
    "OpenPose": "OPData CPMData ImResize Nms",
    "NVCaffe": "DetectNetTransformation",
    "Ristretto": "ConvolutionRistretto FcRistretto LRNRistretto DeconvolutionRistretto",
    "CaffeOnSpark": "CoSData",
    "FlowNet": "CustomData Correlation Resample DataAugmentation FlowWarp",
    "caffe-lstm": "Lstm",
    "caffe-windows": "FocalLoss MarginInnerProduct LargeMarginInnerProduct",
    "SphereFace": "MarginInnerProduct",
    "ports of OHEM": "SoftmaxWithLossOHEM",
    "HED": "ImageLabelmapData",
    "ports of YOLO": "RegionLoss EvalDetection BoxData DetectionLoss Yolov3 YoloDetectionOutput Yolov3DetectionOutput",
    "ports of CTC": "CtcLoss CTCLoss CTCDecoder CTCGreedyDecoder CTCBeamSearchDecoder WarpCTC WarpCTCLoss "
    "ContinuationIndicator",
    "ports of DenseNet": "DenseBlock",
    "ports of spatial transformers": "SpatialTransformer",
    "XNOR-Net's port": "BinaryConvolution BinaryInnerProduct",
    "Synopsys Caffe": "SqueezeConvolution SqueezeInnerProduct BatchReduction",
    "converters from other frameworks": "Squeeze",
    "FlowNet's first version": "Downsample",
}

# For each fork from before Caffe's types were strings, the types that it added to V1's enum.
_V1_TYPES = {"C3D": "VIDEO_DATA CONVOLUTION3D CONVOLUTION_3D POOLING3D POOLING_3D"}

_TWO_DATA = "in Caffe, two Data layers, one of images and one of images of labels, in the same order, give both"
_ENLARGE = "in Caffe, a Deconvolution with a bilinear weight_filler and lr_mult: 0 enlarges"
_PADS = "in Caffe, pad_h and pad_w pad both sides alike; a Crop afterwards takes off what one side has too many"
_DENSE = "in Caffe, its layers are written out: BatchNorm, Scale, ReLU, Convolution, Concat with the block's bottom"

# What of Caffe comes nearest, or is the same.
_INSTEAD = {
    "hole": 'in Caffe it is "dilation"',
    "scale_bias": "in Caffe, a Scale layer with bias_term: true after the BatchNorm does it",
    **dict.fromkeys(
        ("Lstm", "lstm_param"), "in Caffe, an LSTM has a recurrent_param, and time x batch inputs with a second bottom"
    ),
    **dict.fromkeys(("stagelr", "stageiter"), 'in Caffe, lr_policy: "multistep" goes by gamma and stepvalue'),
    **dict.fromkeys(("Squeeze", "squeeze_param"), "in Caffe, a Reshape or a Flatten does it"),
    **dict.fromkeys(("Resample", "resample_param"), _ENLARGE),
    **dict.fromkeys(("Downsample", "downsample_param"), "in Caffe, a Pooling with pool: AVE makes smaller"),
    **dict.fromkeys(("DenseBlock", "denseblock_param", "dense_block_param"), _DENSE),
    **dict.fromkeys(
        ("ContinuationIndicator", "continuation_indicator_param"),
        "in Caffe, a Concat with axis: 0 of two DummyData, 1 x N zeros and T-1 x N ones, makes the same",
    ),
    **dict.fromkeys(("ImageLabelmapData", "DenseImageData", "ImageSegData", "dense_image_data_param"), _TWO_DATA),
    **dict.fromkeys(("pad_l", "pad_r", "pad_t", "pad_b"), _PADS),
    **dict.fromkeys(
        ("CONVOLUTION3D", "CONVOLUTION_3D"),
        "in Caffe, a Convolution of bottoms N x C x L x H x W, in a layer { }, is one over three axes",
    ),
    **dict.fromkeys(
        ("kernel_depth", "temporal_stride", "temporal_pad"),
        "in Caffe, kernel_size, stride and pad of a Convolution are given once for each axis",
    ),
    **dict.fromkeys(
        ("POOLING3D", "POOLING_3D"),
        "here, a Pooling of bottoms N x C x L x H x W, in a layer { }, is one over three axes",
    ),
    "VIDEO_DATA": "in Caffe, an HDF5Data hands on blobs of any shape, such as N x C x L x H x W",
    "quantization_param": "leave it out, and give the layer the type without Ristretto, to compute in float32",
    **dict.fromkeys(
        ("ConvolutionRistretto", "DeconvolutionRistretto", "LRNRistretto"),
        "in Caffe, the type without Ristretto computes in float32",
    ),
    "FcRistretto": "in Caffe, an InnerProduct computes the same in float32",
    "global_grad_scale": "leave it out: it keeps gradients in float16 from vanishing, and here they are float32",
    **dict.fromkeys(("max_epoch", "epoch_size", "test_interval_epoch"), "in Caffe, all counts are of iterations"),
    **dict.fromkeys(("crop_h", "crop_w", "crop_height", "crop_width"), "in Caffe, crop_size cuts out squares"),
}


def fork_of(message: str, field: str) -> str | None:
    """The forks whose message has the field, as in `SSD or Intel Caffe`; None if no known one has it."""
    message = message.removeprefix("V1") if message == "V1LayerParameter" else message
    return _joined([fork for fork, added in _FIELDS.items() if field in added.get(message, "").split()])


def fork_of_type(layer_type: str) -> str | None:
    """The forks that have the layer type; None if no known one has."""
    return _joined([fork for fork, added in _TYPES.items() if layer_type in added.split()])


def fork_of_v1_type(name: str) -> str | None:
    """The same for a type as V1 layers have it, such as `ROI_POOLING`."""
    old = _joined([fork for fork, added in _V1_TYPES.items() if name in added.split()])
    return old or fork_of_type(_of_v1(name))


def addition(fork: str, name: str) -> str:
    """The end of a sentence that refuses what a fork added, with what one can do.

    Args:
        fork: see `fork_of`.
        name: a field, or a layer type, as V1 spells it or as a string.
    """
    instead = _INSTEAD.get(name) or _INSTEAD.get(_of_v1(name)) or _needs(fork, name)
    return f"; it is an addition of {fork}, which is not in Caffe; {instead}."


def _needs(fork: str, name: str) -> str:
    code = f"it needs code of {'one of these forks' if _OR in fork else 'that fork'}"
    if name.islower() and not name.endswith("_param"):
        return f"{code}: leave it out for what Caffe does"
    return f"{code}, or a Python layer that does the same"


def _of_v1(name: str) -> str:
    """The type that forks have as a string for one of V1's spelling; the name itself if there is none."""
    types = {added.lower(): added for names in _TYPES.values() for added in names.split()}
    return types.get(name.replace("_", "").lower(), name) if name.isupper() else name


_OR = " or "


def _joined(forks: list[str]) -> str | None:
    return _OR.join(forks[:3]) if forks else None


# -- what is taken -----------------------------------------------------------------------------------------


class Spelling(NamedTuple):
    """What may be done with a fork's field.

    Attributes:
        kind: of its value: int, number, bool, string, or word for an enum's name.
        neutral: the values that change nothing; empty: all.
        target: the field of Caffe's that it becomes, or nothing.
        values: pairs of one of its values and the target's, an enum's name.
    """

    kind: str
    neutral: tuple[Scalar, ...] = ()
    target: str = ""
    values: tuple[tuple[Scalar, str], ...] = ()


_INT, _BOOL, _STRING, _WORD = Spelling("int"), Spelling("bool"), Spelling("string"), Spelling("word")
_OFF, _ON = Spelling("bool", (False,)), Spelling("bool", (True,))
_ZERO, _FLOAT, _FIXED = Spelling("int", (0,)), Spelling("word", ("FLOAT",)), Spelling("string", ("fixed",))
_CUDNN_MATH = Spelling("int", (-1, 0))

_SPELLINGS: dict[str, dict[str, Spelling]] = {
    "NetParameter": {
        **dict.fromkeys(("default_forward_type", "default_backward_type"), _FLOAT),
        **dict.fromkeys(("default_forward_math", "default_backward_math"), _FLOAT),
        "global_grad_scale": Spelling("number", (1,)),
        "global_grad_scale_adaptive": _OFF,
        "reduce_buckets": _INT,
        "default_conv_algos_override": _STRING,
        "default_cudnn_math_override": _CUDNN_MATH,
        "quantize": _OFF,
    },
    "SolverParameter": {
        "per_parameter_reduce": _BOOL,
        "store_blobs_in_old_format": _OFF,
        "solver_data_type": _FLOAT,
        "larc": _OFF,
        "larc_turbo": _OFF,
        "local_lr_auto": _OFF,
        "local_gw_ratio": Spelling("number"),  # read with larc or local_lr_auto alone
        "rampup_interval": _ZERO,
        "momentum_policy": _FIXED,
        "weight_decay_policy": _FIXED,
        "disabled_update": _OFF,
    },
    "LayerParameter": {
        **dict.fromkeys(("forward_type", "backward_type", "forward_math", "backward_math"), _FLOAT),
        "cudnn_math_override": _CUDNN_MATH,
        "debug": _BOOL,
    },
    "TransformationParameter": {
        "use_gpu_transform": _BOOL,
        **dict.fromkeys(("img_rand_resize_lower", "img_rand_resize_upper", "crop_h", "crop_w"), _ZERO),
        "flow": _OFF,
    },
    "LossParameter": {"label_smoothing": Spelling("number", (0,)), "weight_by_label_freqs": _OFF},
    "BatchNormParameter": {"scale_bias": _OFF, "disable_mean": _OFF, "disable_variance": _OFF},
    "ConvolutionParameter": {
        "cudnn_convolution_algo_seeker": _WORD,
        "conv_algos_override": _STRING,
        "cudnn_math_override": _CUDNN_MATH,
    },
    "DataParameter": {"cache": _BOOL, "threads": _INT, "parser_threads": _INT},
    "ImageDataParameter": {"cache": _BOOL, "threads": _INT, "prefetch": _INT},
    "DetectionOutputParameter": {  # drawing on a screen or into a video, which changes no number
        "visualize": _BOOL,
        "visualize_threshold": Spelling("number"),
        "save_file": _STRING,
    },
    "DropoutParameter": {"scale_train": _ON, "sample_weights_test": _OFF},
    "PoolingParameter": {"ceil_mode": Spelling("bool", (), "round_mode", ((True, "CEIL"), (False, "FLOOR")))},
}

_ENGINES = re.compile(r"MKL(2017|DNN)?|CUDNN_\w+|LIBDNN|(INTEL_)?SPATIAL|NNPACK")
_ENGINE_STRINGS = re.compile(rf"((DEFAULT|CAFFE|CUDNN|CPU|{_ENGINES.pattern})([:;,] *|$))*")
_ENGINE = Spelling("word")


def spelling_of(message: str, field: str) -> Spelling | None:
    """What may be done with a field that is not in Caffe's message; None: nothing."""
    known = _SPELLINGS.get(message, {}).get(field)
    return known or (_ENGINE if field == "engine" and message.endswith("Parameter") else None)


def is_engine(name: str) -> bool:
    """Whether a fork computes with an engine of that name; the results are the same with any."""
    return bool(_ENGINES.fullmatch(name))


def changes_nothing(name: str, value: Scalar, spelling: Spelling) -> bool:
    """Whether the net computes the same with the field at this value."""
    if name == "engine":
        return bool(_ENGINE_STRINGS.fullmatch(str(value)))
    return not spelling.neutral or value in spelling.neutral


def meaning(message: str, name: str, value: Scalar, spelling: Spelling) -> str:
    """The line of the log: what the field was taken as."""
    said = f"{name}: {shown(value, spelling.kind)} in {message}"
    source = fork_of(message, name)
    source = f"an addition of {source}" if source else "an addition of forks of Caffe"
    if spelling.target:
        return f"{said}, {source}, is taken as {spelling.target}: {dict(spelling.values)[value]}."
    if spelling.neutral:
        return f"{said}, {source}, is ignored: it is what Caffe does anyway."
    return f"{said}, {source}, is ignored: the results are the same without it."


def shown(value: Scalar, kind: str) -> str:
    """A value as a text has it."""
    if kind == "bool":
        return "true" if value else "false"
    return f'"{value}"' if kind == "string" else f"{value:g}" if kind == "number" else str(value)


def only_neutral(spelling: Spelling) -> str:
    """The end of the sentence that refuses a value: which values are taken."""
    values = " or ".join(shown(value, spelling.kind) for value in spelling.neutral)
    return f"; only {values}, which is what Caffe does, is taken." if values else "."
