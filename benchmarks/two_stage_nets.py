"""Published deploy nets that find boxes in two stages: Faster R-CNN and R-FCN."""

from __future__ import annotations

from deploy_writer import DeployWriter, vgg16

ANCHORS = 9


def propose(net: DeployWriter, bottom: str, param: str) -> str:
    """A region proposal network, which ends in the Python layer of py-faster-rcnn."""
    x = net.conv("rpn_conv/3x3", bottom, 512, 3, pad=1, top="rpn/output")
    x = net.layer("rpn_relu/3x3", "ReLU", [x], top=x)
    scores = net.predict("rpn_cls_score", x, 2 * ANCHORS)
    shifts = net.predict("rpn_bbox_pred", x, 4 * ANCHORS)
    scores = net.reshape("rpn_cls_score_reshape", scores, 0, 2, -1, 0)
    scores = net.layer("rpn_cls_prob", "Softmax", [scores])
    scores = net.reshape("rpn_cls_prob_reshape", scores, 0, 2 * ANCHORS, -1, 0)
    python = f"""python_param {{ module: 'rpn.proposal_layer' layer: 'ProposalLayer' param_str: "{param}" }}"""
    return net.layer("proposal", "Python", [scores, shifts, "im_info"], python, top="rois")


def faster_rcnn(height: int = 224, width: int = 224, classes: int = 21, factor: float = 1) -> str:
    """Faster R-CNN on VGG-16, as py-faster-rcnn tests it on PASCAL VOC (Ren et al. 2015)."""
    net = DeployWriter("VGG_ILSVRC_16_layers", {"data": (1, 3, height, width), "im_info": (1, 3)}, classes, factor)
    _, body = vgg16(net, "data")
    rois = propose(net, body, "'feat_stride': 16")
    param = "roi_pooling_param { pooled_w: 7 pooled_h: 7 spatial_scale: 0.0625 }"
    x = net.layer("roi_pool5", "ROIPooling", [body, rois], param, top="pool5")
    for name in ("fc6", "fc7"):
        x = net.dropout(net.relu(net.fc(name, x, 4096)))
    net.scores("cls_score", x)
    net.layer("bbox_pred", "InnerProduct", [x], f"inner_product_param {{ num_output: {4 * classes} "
              'weight_filler { type: "gaussian" std: 0.001 } }')  # fmt: skip
    net.layer("cls_prob", "Softmax", ["cls_score"])
    return net.text()


def _bottleneck(net: DeployWriter, block: str, bottom: str, mid: int, stride: int, project: bool, dilation: int) -> str:
    """A block of ResNet-50 as its authors name its layers."""

    def conv(branch: str, below: str, outputs: int, kernel: int, step: int = 1) -> str:
        name, spread = f"res{block}_branch{branch}", dilation if kernel > 1 else 1
        pad = spread * (kernel // 2)
        x = net.conv(name, below, outputs, kernel, step, pad, bias=False, dilation=spread)
        return net.norm(x, f"bn{block}_branch{branch}", f"scale{block}_branch{branch}")

    short = conv("1", bottom, 4 * mid, 1, stride) if project else bottom
    x = net.relu(conv("2a", bottom, mid, 1, stride))
    x = conv("2c", net.relu(conv("2b", x, mid, 3)), 4 * mid, 1)
    return net.relu(net.add(f"res{block}", [short, x]))


def rfcn(height: int = 224, width: int = 224, classes: int = 21, factor: float = 1) -> str:
    """R-FCN on ResNet-50, boxes for all classes alike, as py-R-FCN tests it on PASCAL VOC (Dai et al. 2016)."""
    net = DeployWriter("ResNet50", {"data": (1, 3, height, width), "im_info": (1, 3)}, classes, factor)
    x = net.relu(net.norm(net.conv("conv1", "data", 64, 7, 2, 3), "bn_conv1", "scale_conv1"))
    x, tops = net.pool("pool1", x, "MAX", 3, 2), {}
    for stage, (count, mid, stride, dilation) in enumerate(
        [(3, 64, 1, 1), (4, 128, 2, 1), (6, 256, 2, 1), (3, 512, 1, 2)], 2
    ):
        for i in range(count):
            x = _bottleneck(net, f"{stage}{'abcdef'[i]}", x, mid, 1 if i else stride, not i, dilation)
        tops[stage] = x
    rois = propose(net, tops[4], "'feat_stride': 16")
    x = net.relu(net.conv("conv_new_1", x, 1024, 1))
    outputs = {"cls": classes, "bbox": 8}
    for kind, count in outputs.items():
        net.predict(f"rfcn_{kind}", x, 49 * count)
    for kind, pooled, top in (("cls", "cls", "cls_score"), ("bbox", "loc", "bbox_pred_pre")):
        param = f"psroi_pooling_param {{ spatial_scale: 0.0625 output_dim: {outputs[kind]} group_size: 7 }}"
        y = net.layer(f"psroipooled_{pooled}_rois", "PSROIPooling", [f"rfcn_{kind}", rois], param)
        name = "ave_cls_score_rois" if kind == "cls" else "ave_bbox_pred_rois"
        net.layer(name, "Pooling", [y], "pooling_param { pool: AVE kernel_size: 7 stride: 7 }", top=top)
    net.layer("cls_prob", "Softmax", ["cls_score"], top="cls_prob_pre")
    net.reshape("cls_prob_reshape", "cls_prob_pre", -1, classes, top="cls_prob")
    net.reshape("bbox_pred_reshape", "bbox_pred_pre", -1, 8, top="bbox_pred")
    return net.text()
