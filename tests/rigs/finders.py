"""What docs/detect.md speaks of: small forms of published nets that find boxes and classes of pixels, and images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from rigs.published_nets import NETS

FILES = {
    "SSD 300": ("ssd/deploy.prototxt", "ssd/VGG_VOC0712_SSD_300x300_iter_120000.caffemodel"),
    "MobileNet-SSD": ("mobilenet_ssd/MobileNetSSD_deploy.prototxt", "mobilenet_ssd/MobileNetSSD_deploy.caffemodel"),
    "face detector": ("face/deploy.prototxt", "face/res10_300x300_ssd_iter_140000.caffemodel"),
    "Faster R-CNN": ("faster_rcnn/test.prototxt", "faster_rcnn/VGG16_faster_rcnn_final.caffemodel"),
    "R-FCN": ("rfcn/test_agnostic.prototxt", "rfcn/resnet50_rfcn_final.caffemodel"),
    "SegNet": ("segnet/segnet_inference.prototxt", "segnet/segnet_weights.caffemodel"),
    "PSPNet-50": ("pspnet/pspnet101_cityscapes.prototxt", "pspnet/pspnet101_cityscapes.caffemodel"),
}


def write_finders(folder: Path) -> None:
    """Writes the nets, whose weights have learned nothing, street.jpg, photos/ and labelmap_voc.prototxt."""
    cv2 = pytest.importorskip("cv2")
    for name, (text, weights) in FILES.items():
        (folder / text).parent.mkdir(exist_ok=True)
        (folder / text).write_text(NETS[name].small())
        net = Net(str(folder / text), TEST)
        net.save(str(folder / weights))
        net.close()
    (folder / "photos").mkdir()
    picture = np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8)
    for path in ("street.jpg", "photos/a.jpg", "photos/b.png"):
        cv2.imwrite(str(folder / path), picture)
    items = [f'item {{ name: "n{i}" label: {i} display_name: "thing {i}" }}\n' for i in range(21)]
    (folder / "labelmap_voc.prototxt").write_text("".join(items))
