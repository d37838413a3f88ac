"""The messages of caffe.proto; written by scripts/make_proto from caffe.proto; do not edit."""

from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.internal.containers import RepeatedCompositeFieldContainer, RepeatedScalarFieldContainer
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message

DESCRIPTOR: FileDescriptor

class _Message(Message):
    def __init__(self, **fields: Any) -> None: ...

Phase: EnumTypeWrapper
TRAIN: int
TEST: int

class BlobShape(_Message):
    dim: RepeatedScalarFieldContainer[int]

class BlobProto(_Message):
    shape: BlobShape
    data: RepeatedScalarFieldContainer[float]
    diff: RepeatedScalarFieldContainer[float]
    double_data: RepeatedScalarFieldContainer[float]
    double_diff: RepeatedScalarFieldContainer[float]
    num: int
    channels: int
    height: int
    width: int

class BlobProtoVector(_Message):
    blobs: RepeatedCompositeFieldContainer[BlobProto]

class Datum(_Message):
    channels: int
    height: int
    width: int
    data: bytes
    label: int
    float_data: RepeatedScalarFieldContainer[float]
    encoded: bool

class NetParameter(_Message):
    name: str
    input: RepeatedScalarFieldContainer[str]
    input_shape: RepeatedCompositeFieldContainer[BlobShape]
    input_dim: RepeatedScalarFieldContainer[int]
    force_backward: bool
    state: NetState
    debug_info: bool
    layer: RepeatedCompositeFieldContainer[LayerParameter]
    layers: RepeatedCompositeFieldContainer[V1LayerParameter]

class NetState(_Message):
    phase: int
    level: int
    stage: RepeatedScalarFieldContainer[str]

class NetStateRule(_Message):
    phase: int
    min_level: int
    max_level: int
    stage: RepeatedScalarFieldContainer[str]
    not_stage: RepeatedScalarFieldContainer[str]

class ParamSpec(_Message):
    DimCheckMode: EnumTypeWrapper
    STRICT: int
    PERMISSIVE: int
    name: str
    share_mode: int
    lr_mult: float
    decay_mult: float

class LayerParameter(_Message):
    name: str
    type: str
    bottom: RepeatedScalarFieldContainer[str]
    top: RepeatedScalarFieldContainer[str]
    phase: int
    loss_weight: RepeatedScalarFieldContainer[float]
    param: RepeatedCompositeFieldContainer[ParamSpec]
    blobs: RepeatedCompositeFieldContainer[BlobProto]
    propagate_down: RepeatedScalarFieldContainer[bool]
    include: RepeatedCompositeFieldContainer[NetStateRule]
    exclude: RepeatedCompositeFieldContainer[NetStateRule]
    transform_param: TransformationParameter
    loss_param: LossParameter
    accuracy_param: AccuracyParameter
    argmax_param: ArgMaxParameter
    batch_norm_param: BatchNormParameter
    bias_param: BiasParameter
    clip_param: ClipParameter
    concat_param: ConcatParameter
    contrastive_loss_param: ContrastiveLossParameter
    convolution_param: ConvolutionParameter
    crop_param: CropParameter
    data_param: DataParameter
    dropout_param: DropoutParameter
    dummy_data_param: DummyDataParameter
    eltwise_param: EltwiseParameter
    elu_param: ELUParameter
    embed_param: EmbedParameter
    exp_param: ExpParameter
    flatten_param: FlattenParameter
    hdf5_data_param: HDF5DataParameter
    hdf5_output_param: HDF5OutputParameter
    hinge_loss_param: HingeLossParameter
    image_data_param: ImageDataParameter
    infogain_loss_param: InfogainLossParameter
    inner_product_param: InnerProductParameter
    input_param: InputParameter
    log_param: LogParameter
    lrn_param: LRNParameter
    memory_data_param: MemoryDataParameter
    mvn_param: MVNParameter
    parameter_param: ParameterParameter
    pooling_param: PoolingParameter
    power_param: PowerParameter
    prelu_param: PReLUParameter
    python_param: PythonParameter
    recurrent_param: RecurrentParameter
    reduction_param: ReductionParameter
    relu_param: ReLUParameter
    reshape_param: ReshapeParameter
    scale_param: ScaleParameter
    sigmoid_param: SigmoidParameter
    softmax_param: SoftmaxParameter
    spp_param: SPPParameter
    slice_param: SliceParameter
    swish_param: SwishParameter
    tanh_param: TanHParameter
    threshold_param: ThresholdParameter
    tile_param: TileParameter
    window_data_param: WindowDataParameter
    annotated_data_param: AnnotatedDataParameter
    bn_param: BNParameter
    center_loss_param: CenterLossParameter
    detection_evaluate_param: DetectionEvaluateParameter
    detection_output_param: DetectionOutputParameter
    interp_param: InterpParameter
    l1_loss_param: L1LossParameter
    multibox_loss_param: MultiBoxLossParameter
    norm_param: NormalizeParameter
    permute_param: PermuteParameter
    prior_box_param: PriorBoxParameter
    proposal_param: ProposalParameter
    psroi_pooling_param: PSROIPoolingParameter
    relu6_param: ReLUParameter
    reorg_param: ReorgParameter
    reverse_param: ReverseParameter
    roi_pooling_param: ROIPoolingParameter
    seg_accuracy_param: SegAccuracyParameter
    shuffle_channel_param: ShuffleChannelParameter
    smooth_l1_loss_param: SmoothL1LossParameter
    transpose_param: TransposeParameter
    triplet_loss_param: TripletLossParameter
    upsample_param: UpsampleParameter

class FillerParameter(_Message):
    VarianceNorm: EnumTypeWrapper
    FAN_IN: int
    FAN_OUT: int
    AVERAGE: int
    type: str
    value: float
    min: float
    max: float
    mean: float
    std: float
    sparse: int
    variance_norm: int

class TransformationParameter(_Message):
    scale: float
    mirror: bool
    crop_size: int
    mean_file: str
    mean_value: RepeatedScalarFieldContainer[float]
    force_color: bool
    force_gray: bool
    resize_param: ResizeParameter
    noise_param: NoiseParameter
    distort_param: DistortionParameter
    expand_param: ExpansionParameter
    emit_constraint: EmitConstraint

class LossParameter(_Message):
    NormalizationMode: EnumTypeWrapper
    FULL: int
    VALID: int
    BATCH_SIZE: int
    NONE: int
    ignore_label: int
    normalization: int
    normalize: bool

class AccuracyParameter(_Message):
    top_k: int
    axis: int
    ignore_label: int

class ArgMaxParameter(_Message):
    out_max_val: bool
    top_k: int
    axis: int

class BatchNormParameter(_Message):
    use_global_stats: bool
    moving_average_fraction: float
    eps: float

class BiasParameter(_Message):
    axis: int
    num_axes: int
    filler: FillerParameter

class ClipParameter(_Message):
    min: float
    max: float

class ConcatParameter(_Message):
    axis: int
    concat_dim: int

class ContrastiveLossParameter(_Message):
    margin: float
    legacy_version: bool

class ConvolutionParameter(_Message):
    Engine: EnumTypeWrapper
    DEFAULT: int
    CAFFE: int
    CUDNN: int
    num_output: int
    bias_term: bool
    pad: RepeatedScalarFieldContainer[int]
    kernel_size: RepeatedScalarFieldContainer[int]
    stride: RepeatedScalarFieldContainer[int]
    dilation: RepeatedScalarFieldContainer[int]
    pad_h: int
    pad_w: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    group: int
    weight_filler: FillerParameter
    bias_filler: FillerParameter
    engine: int
    axis: int
    force_nd_im2col: bool

class CropParameter(_Message):
    axis: int
    offset: RepeatedScalarFieldContainer[int]

class DataParameter(_Message):
    DB: EnumTypeWrapper
    LEVELDB: int
    LMDB: int
    IDX: int
    NPZ: int
    CSV: int
    source: str
    batch_size: int
    rand_skip: int
    backend: int
    scale: float
    mean_file: str
    crop_size: int
    mirror: bool
    force_encoded_color: bool
    prefetch: int
    shuffle: bool

class DropoutParameter(_Message):
    dropout_ratio: float

class DummyDataParameter(_Message):
    data_filler: RepeatedCompositeFieldContainer[FillerParameter]
    shape: RepeatedCompositeFieldContainer[BlobShape]
    num: RepeatedScalarFieldContainer[int]
    channels: RepeatedScalarFieldContainer[int]
    height: RepeatedScalarFieldContainer[int]
    width: RepeatedScalarFieldContainer[int]

class EltwiseParameter(_Message):
    EltwiseOp: EnumTypeWrapper
    PROD: int
    SUM: int
    MAX: int
    operation: int
    coeff: RepeatedScalarFieldContainer[float]
    stable_prod_grad: bool

class ELUParameter(_Message):
    alpha: float

class EmbedParameter(_Message):
    num_output: int
    input_dim: int
    bias_term: bool
    weight_filler: FillerParameter
    bias_filler: FillerParameter

class ExpParameter(_Message):
    base: float
    scale: float
    shift: float

class FlattenParameter(_Message):
    axis: int
    end_axis: int

class HDF5DataParameter(_Message):
    source: str
    batch_size: int
    shuffle: bool

class HDF5OutputParameter(_Message):
    file_name: str

class HingeLossParameter(_Message):
    Norm: EnumTypeWrapper
    L1: int
    L2: int
    norm: int

class ImageDataParameter(_Message):
    source: str
    batch_size: int
    rand_skip: int
    shuffle: bool
    new_height: int
    new_width: int
    is_color: bool
    scale: float
    mean_file: str
    crop_size: int
    mirror: bool
    root_folder: str
    label_dim: int

class InfogainLossParameter(_Message):
    source: str
    axis: int

class InnerProductParameter(_Message):
    num_output: int
    bias_term: bool
    weight_filler: FillerParameter
    bias_filler: FillerParameter
    axis: int
    transpose: bool

class InputParameter(_Message):
    shape: RepeatedCompositeFieldContainer[BlobShape]

class LogParameter(_Message):
    base: float
    scale: float
    shift: float

class LRNParameter(_Message):
    NormRegion: EnumTypeWrapper
    ACROSS_CHANNELS: int
    WITHIN_CHANNEL: int
    Engine: EnumTypeWrapper
    DEFAULT: int
    CAFFE: int
    CUDNN: int
    local_size: int
    alpha: float
    beta: float
    norm_region: int
    k: float
    engine: int

class MemoryDataParameter(_Message):
    batch_size: int
    channels: int
    height: int
    width: int

class MVNParameter(_Message):
    normalize_variance: bool
    across_channels: bool
    eps: float

class ParameterParameter(_Message):
    shape: BlobShape

class PoolingParameter(_Message):
    PoolMethod: EnumTypeWrapper
    MAX: int
    AVE: int
    STOCHASTIC: int
    Engine: EnumTypeWrapper
    DEFAULT: int
    CAFFE: int
    CUDNN: int
    RoundMode: EnumTypeWrapper
    CEIL: int
    FLOOR: int
    pool: int
    pad: int
    pad_h: int
    pad_w: int
    kernel_size: int
    kernel_h: int
    kernel_w: int
    stride: int
    stride_h: int
    stride_w: int
    engine: int
    global_pooling: bool
    round_mode: int
    kernel_shape: BlobShape
    stride_shape: BlobShape
    pad_shape: BlobShape

class PowerParameter(_Message):
    power: float
    scale: float
    shift: float

class PReLUParameter(_Message):
    filler: FillerParameter
    channel_shared: bool

class PythonParameter(_Message):
    module: str
    layer: str
    param_str: str
    share_in_parallel: bool

class RecurrentParameter(_Message):
    num_output: int
    weight_filler: FillerParameter
    bias_filler: FillerParameter
    debug_info: bool
    expose_hidden: bool

class ReductionParameter(_Message):
    ReductionOp: EnumTypeWrapper
    SUM: int
    ASUM: int
    SUMSQ: int
    MEAN: int
    operation: int
    axis: int
    coeff: float

class ReLUParameter(_Message):
    Engine: EnumTypeWrapper
    DEFAULT: int
    CAFFE: int
    CUDNN: int
    negative_slope: float
    engine: int

class ReshapeParameter(_Message):
    shape: BlobShape
    axis: int
    num_axes: int

class ScaleParameter(_Message):
    axis: int
    num_axes: int
    filler: FillerParameter
    bias_term: bool
    bias_filler: FillerParameter

class SigmoidParameter(_Message):
    Engine: EnumTypeWrapper
    DEFAULT: int
    CAFFE: int
    CUDNN: int
    engine: int

class SliceParameter(_Message):
    axis: int
    slice_point: RepeatedScalarFieldContainer[int]
    slice_dim: int

class SoftmaxParameter(_Message):
    Engine: EnumTypeWrapper
    DEFAULT: int
    CAFFE: int
    CUDNN: int
    engine: int
    axis: int

class SPPParameter(_Message):
    PoolMethod: EnumTypeWrapper
    MAX: int
    AVE: int
    STOCHASTIC: int
    Engine: EnumTypeWrapper
    DEFAULT: int
    CAFFE: int
    CUDNN: int
    pyramid_height: int
    pool: int
    engine: int

class SwishParameter(_Message):
    beta: float

class TanHParameter(_Message):
    Engine: EnumTypeWrapper
    DEFAULT: int
    CAFFE: int
    CUDNN: int
    engine: int

class ThresholdParameter(_Message):
    threshold: float

class TileParameter(_Message):
    axis: int
    tiles: int

class WindowDataParameter(_Message):
    source: str
    scale: float
    mean_file: str
    batch_size: int
    crop_size: int
    mirror: bool
    fg_threshold: float
    bg_threshold: float
    fg_fraction: float
    context_pad: int
    crop_mode: str
    cache_images: bool
    root_folder: str

class AnnotatedDataParameter(_Message):
    AnnotationType: EnumTypeWrapper
    BBOX: int
    batch_sampler: RepeatedCompositeFieldContainer[BatchSampler]
    label_map_file: str
    anno_type: int

class BatchSampler(_Message):
    use_original_image: bool
    sampler: Sampler
    sample_constraint: SampleConstraint
    max_sample: int
    max_trials: int

class BNParameter(_Message):
    BNMode: EnumTypeWrapper
    LEARN: int
    INFERENCE: int
    Engine: EnumTypeWrapper
    DEFAULT: int
    CAFFE: int
    CUDNN: int
    scale_filler: FillerParameter
    shift_filler: FillerParameter
    bn_mode: int
    slope_filler: FillerParameter
    bias_filler: FillerParameter
    momentum: float
    eps: float
    frozen: bool
    engine: int

class CenterLossParameter(_Message):
    num_output: int
    center_filler: FillerParameter
    axis: int

class DetectionEvaluateParameter(_Message):
    num_classes: int
    background_label_id: int
    overlap_threshold: float
    evaluate_difficult_gt: bool
    name_size_file: str
    resize_param: ResizeParameter

class DetectionOutputParameter(_Message):
    num_classes: int
    share_location: bool
    background_label_id: int
    nms_param: NonMaximumSuppressionParameter
    save_output_param: SaveOutputParameter
    code_type: int
    keep_top_k: int
    variance_encoded_in_target: bool
    confidence_threshold: float
    clip: bool

class DistortionParameter(_Message):
    brightness_prob: float
    brightness_delta: float
    contrast_prob: float
    contrast_lower: float
    contrast_upper: float
    hue_prob: float
    hue_delta: float
    saturation_prob: float
    saturation_lower: float
    saturation_upper: float
    random_order_prob: float

class EmitConstraint(_Message):
    EmitType: EnumTypeWrapper
    CENTER: int
    MIN_OVERLAP: int
    emit_type: int
    emit_overlap: float

class ExpansionParameter(_Message):
    prob: float
    max_expand_ratio: float

class InterpParameter(_Message):
    height: int
    width: int
    zoom_factor: int
    shrink_factor: int
    pad_beg: int
    pad_end: int

class L1LossParameter(_Message):
    l2_per_location: bool
    l2_prescale_by_channels: bool
    normalize_by_num_entries: bool
    epsilon: float
    plateau: float

class MultiBoxLossParameter(_Message):
    LocLossType: EnumTypeWrapper
    L2: int
    SMOOTH_L1: int
    ConfLossType: EnumTypeWrapper
    SOFTMAX: int
    LOGISTIC: int
    MatchType: EnumTypeWrapper
    BIPARTITE: int
    PER_PREDICTION: int
    MiningType: EnumTypeWrapper
    NONE: int
    MAX_NEGATIVE: int
    HARD_EXAMPLE: int
    loc_loss_type: int
    conf_loss_type: int
    loc_weight: float
    num_classes: int
    share_location: bool
    match_type: int
    overlap_threshold: float
    use_prior_for_matching: bool
    background_label_id: int
    use_difficult_gt: bool
    do_neg_mining: bool
    neg_pos_ratio: float
    neg_overlap: float
    code_type: int
    encode_variance_in_target: bool
    map_object_to_agnostic: bool
    ignore_cross_boundary_bbox: bool
    bp_inside: bool
    mining_type: int
    nms_param: NonMaximumSuppressionParameter
    sample_size: int
    use_prior_for_nms: bool

class NoiseParameter(_Message):
    prob: float
    hist_eq: bool
    inverse: bool
    decolorize: bool
    gauss_blur: bool
    jpeg: float
    posterize: bool
    erode: bool
    saltpepper: bool
    saltpepper_param: SaltPepperParameter
    clahe: bool
    convert_to_hsv: bool
    convert_to_lab: bool

class NonMaximumSuppressionParameter(_Message):
    nms_threshold: float
    top_k: int
    eta: float

class NormalizeParameter(_Message):
    across_spatial: bool
    scale_filler: FillerParameter
    channel_shared: bool
    eps: float

class PermuteParameter(_Message):
    order: RepeatedScalarFieldContainer[int]

class PriorBoxParameter(_Message):
    CodeType: EnumTypeWrapper
    CORNER: int
    CENTER_SIZE: int
    CORNER_SIZE: int
    min_size: RepeatedScalarFieldContainer[float]
    max_size: RepeatedScalarFieldContainer[float]
    aspect_ratio: RepeatedScalarFieldContainer[float]
    flip: bool
    clip: bool
    variance: RepeatedScalarFieldContainer[float]
    img_size: int
    img_h: int
    img_w: int
    step: float
    step_h: float
    step_w: float
    offset: float

class ProposalParameter(_Message):
    feat_stride: int
    base_size: int
    min_size: int
    ratio: RepeatedScalarFieldContainer[float]
    scale: RepeatedScalarFieldContainer[float]
    pre_nms_topn: int
    post_nms_topn: int
    nms_thresh: float

class PSROIPoolingParameter(_Message):
    spatial_scale: float
    output_dim: int
    group_size: int

class ReorgParameter(_Message):
    stride: int
    reverse: bool

class ResizeParameter(_Message):
    Resize_mode: EnumTypeWrapper
    WARP: int
    FIT_SMALL_SIZE: int
    FIT_LARGE_SIZE_AND_PAD: int
    Pad_mode: EnumTypeWrapper
    CONSTANT: int
    MIRRORED: int
    REPEAT_NEAREST: int
    Interp_mode: EnumTypeWrapper
    LINEAR: int
    AREA: int
    NEAREST: int
    CUBIC: int
    LANCZOS4: int
    prob: float
    resize_mode: int
    height: int
    width: int
    pad_mode: int
    pad_value: RepeatedScalarFieldContainer[float]
    interp_mode: RepeatedScalarFieldContainer[int]
    height_scale: int
    width_scale: int

class ReverseParameter(_Message):
    axis: int

class ROIPoolingParameter(_Message):
    pooled_h: int
    pooled_w: int
    spatial_scale: float

class SaltPepperParameter(_Message):
    fraction: float
    value: RepeatedScalarFieldContainer[float]

class SampleConstraint(_Message):
    min_jaccard_overlap: float
    max_jaccard_overlap: float
    min_sample_coverage: float
    max_sample_coverage: float
    min_object_coverage: float
    max_object_coverage: float

class Sampler(_Message):
    min_scale: float
    max_scale: float
    min_aspect_ratio: float
    max_aspect_ratio: float

class SaveOutputParameter(_Message):
    output_directory: str
    output_name_prefix: str
    output_format: str
    label_map_file: str
    name_size_file: str
    num_test_image: int
    resize_param: ResizeParameter

class SegAccuracyParameter(_Message):
    AccuracyMetric: EnumTypeWrapper
    PixelAccuracy: int
    ClassAccuracy: int
    PixelIOU: int
    metric: int
    ignore_label: RepeatedScalarFieldContainer[int]
    reset: bool

class ShuffleChannelParameter(_Message):
    group: int

class SmoothL1LossParameter(_Message):
    sigma: float

class TransposeParameter(_Message):
    dim: RepeatedScalarFieldContainer[int]

class TripletLossParameter(_Message):
    margin: float

class UpsampleParameter(_Message):
    scale: int
    scale_h: int
    scale_w: int
    pad_out_h: bool
    pad_out_w: bool
    upsample_h: int
    upsample_w: int

class LabelMapItem(_Message):
    name: str
    label: int
    display_name: str

class LabelMap(_Message):
    item: RepeatedCompositeFieldContainer[LabelMapItem]

class SolverParameter(_Message):
    SnapshotFormat: EnumTypeWrapper
    HDF5: int
    BINARYPROTO: int
    SolverMode: EnumTypeWrapper
    CPU: int
    GPU: int
    SolverType: EnumTypeWrapper
    SGD: int
    NESTEROV: int
    ADAGRAD: int
    RMSPROP: int
    ADADELTA: int
    ADAM: int
    net: str
    net_param: NetParameter
    train_net: str
    test_net: RepeatedScalarFieldContainer[str]
    train_net_param: NetParameter
    test_net_param: RepeatedCompositeFieldContainer[NetParameter]
    train_state: NetState
    test_state: RepeatedCompositeFieldContainer[NetState]
    test_iter: RepeatedScalarFieldContainer[int]
    test_interval: int
    test_compute_loss: bool
    test_initialization: bool
    base_lr: float
    display: int
    average_loss: int
    max_iter: int
    iter_size: int
    lr_policy: str
    gamma: float
    power: float
    momentum: float
    weight_decay: float
    regularization_type: str
    stepsize: int
    stepvalue: RepeatedScalarFieldContainer[int]
    clip_gradients: float
    snapshot: int
    snapshot_prefix: str
    snapshot_diff: bool
    snapshot_format: int
    solver_mode: int
    device_id: int
    random_seed: int
    type: str
    delta: float
    momentum2: float
    rms_decay: float
    debug_info: bool
    snapshot_after_train: bool
    solver_type: int
    layer_wise_reduce: bool
    weights: RepeatedScalarFieldContainer[str]
    warmup_iter: int
    warmup_start_lr: float
    min_lr: float
    max_lr: float
    period: int
    p_mult: float
    lr_mult: float
    plateau_winsize: RepeatedScalarFieldContainer[int]
    eval_type: str
    ap_version: str
    show_per_class_result: bool

class SolverState(_Message):
    iter: int
    learned_net: str
    history: RepeatedCompositeFieldContainer[BlobProto]
    current_step: int

class V1LayerParameter(_Message):
    LayerType: EnumTypeWrapper
    NONE: int
    ABSVAL: int
    ACCURACY: int
    ARGMAX: int
    BNLL: int
    CONCAT: int
    CONTRASTIVE_LOSS: int
    CONVOLUTION: int
    DATA: int
    DECONVOLUTION: int
    DROPOUT: int
    DUMMY_DATA: int
    EUCLIDEAN_LOSS: int
    ELTWISE: int
    EXP: int
    FLATTEN: int
    HDF5_DATA: int
    HDF5_OUTPUT: int
    HINGE_LOSS: int
    IM2COL: int
    IMAGE_DATA: int
    INFOGAIN_LOSS: int
    INNER_PRODUCT: int
    LRN: int
    MEMORY_DATA: int
    MULTINOMIAL_LOGISTIC_LOSS: int
    MVN: int
    POOLING: int
    POWER: int
    RELU: int
    SIGMOID: int
    SIGMOID_CROSS_ENTROPY_LOSS: int
    SILENCE: int
    SOFTMAX: int
    SOFTMAX_LOSS: int
    SPLIT: int
    SLICE: int
    TANH: int
    WINDOW_DATA: int
    THRESHOLD: int
    BN: int
    INTERP: int
    L1_LOSS: int
    NORMALIZE: int
    PERMUTE: int
    RELU6: int
    REVERSE: int
    ROI_POOLING: int
    SEG_ACCURACY: int
    SMOOTH_L1_LOSS: int
    TRANSPOSE: int
    TRIPLET_LOSS: int
    UPSAMPLE: int
    DimCheckMode: EnumTypeWrapper
    STRICT: int
    PERMISSIVE: int
    bottom: RepeatedScalarFieldContainer[str]
    top: RepeatedScalarFieldContainer[str]
    name: str
    include: RepeatedCompositeFieldContainer[NetStateRule]
    exclude: RepeatedCompositeFieldContainer[NetStateRule]
    type: int
    blobs: RepeatedCompositeFieldContainer[BlobProto]
    param: RepeatedScalarFieldContainer[str]
    blob_share_mode: RepeatedScalarFieldContainer[int]
    blobs_lr: RepeatedScalarFieldContainer[float]
    weight_decay: RepeatedScalarFieldContainer[float]
    loss_weight: RepeatedScalarFieldContainer[float]
    accuracy_param: AccuracyParameter
    argmax_param: ArgMaxParameter
    concat_param: ConcatParameter
    contrastive_loss_param: ContrastiveLossParameter
    convolution_param: ConvolutionParameter
    data_param: DataParameter
    dropout_param: DropoutParameter
    dummy_data_param: DummyDataParameter
    eltwise_param: EltwiseParameter
    exp_param: ExpParameter
    hdf5_data_param: HDF5DataParameter
    hdf5_output_param: HDF5OutputParameter
    hinge_loss_param: HingeLossParameter
    image_data_param: ImageDataParameter
    infogain_loss_param: InfogainLossParameter
    inner_product_param: InnerProductParameter
    lrn_param: LRNParameter
    memory_data_param: MemoryDataParameter
    mvn_param: MVNParameter
    pooling_param: PoolingParameter
    power_param: PowerParameter
    relu_param: ReLUParameter
    sigmoid_param: SigmoidParameter
    softmax_param: SoftmaxParameter
    slice_param: SliceParameter
    tanh_param: TanHParameter
    threshold_param: ThresholdParameter
    window_data_param: WindowDataParameter
    transform_param: TransformationParameter
    loss_param: LossParameter
    layer: V0LayerParameter
    bn_param: BNParameter
    interp_param: InterpParameter
    l1_loss_param: L1LossParameter
    norm_param: NormalizeParameter
    permute_param: PermuteParameter
    relu6_param: ReLUParameter
    reverse_param: ReverseParameter
    roi_pooling_param: ROIPoolingParameter
    seg_accuracy_param: SegAccuracyParameter
    smooth_l1_loss_param: SmoothL1LossParameter
    transpose_param: TransposeParameter
    triplet_loss_param: TripletLossParameter
    upsample_param: UpsampleParameter

class V0LayerParameter(_Message):
    PoolMethod: EnumTypeWrapper
    MAX: int
    AVE: int
    STOCHASTIC: int
    name: str
    type: str
    num_output: int
    biasterm: bool
    weight_filler: FillerParameter
    bias_filler: FillerParameter
    pad: int
    kernelsize: int
    group: int
    stride: int
    pool: int
    dropout_ratio: float
    local_size: int
    alpha: float
    beta: float
    k: float
    source: str
    scale: float
    meanfile: str
    batchsize: int
    cropsize: int
    mirror: bool
    blobs: RepeatedCompositeFieldContainer[BlobProto]
    blobs_lr: RepeatedScalarFieldContainer[float]
    weight_decay: RepeatedScalarFieldContainer[float]
    rand_skip: int
    det_fg_threshold: float
    det_bg_threshold: float
    det_fg_fraction: float
    det_context_pad: int
    det_crop_mode: str
    new_num: int
    new_channels: int
    new_height: int
    new_width: int
    shuffle_images: bool
    concat_dim: int
    hdf5_output_param: HDF5OutputParameter
