"""`pycaffe-lite detect`: the boxes that a detector finds, or what windows of images show, by Caffe's detect.py."""

from __future__ import annotations

import time
from typing import Any

import click

from pycaffe_lite import log
from pycaffe_lite_cli.find_boxes import find_boxes_command
from pycaffe_lite_cli.options import (
    IMAGENET_MEAN,
    batch_option,
    image_net_options,
    imagenet_mean,
    mean_file_option,
    mean_value_option,
    quiet_option,
    start,
    threads_option,
)


@click.command()
@click.argument("input_file", metavar="INPUT", type=click.Path())
@click.argument("output_file", metavar="[OUTPUT]", required=False, type=click.Path())
@image_net_options
@mean_file_option(f"none for boxes; {IMAGENET_MEAN} for windows")
@mean_value_option
@batch_option("Windows")
@click.option("--crop_mode", type=click.Choice(["list", "selective_search"]), help="Where windows are from: INPUT's "
              "own list, or Selective Search.  [default: list for a .csv]")  # fmt: skip
@click.option("--context_pad", type=click.IntRange(0), default=16, show_default=True,
              help="How many pixels at each edge of the input show what lies around the window.")  # fmt: skip
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="Boxes: leave out those of a lower score.")  # fmt: skip
@click.option("--label-map", metavar="FILE", help="Boxes: what the classes are called, SSD's label map or a text file "
              "with a name a line.")  # fmt: skip
@click.option("--format", type=click.Choice(["table", "json", "csv", "xml"]), default="table", show_default=True,
              help="Boxes: how they are printed; xml is PASCAL VOC's.")  # fmt: skip
@click.option("-o", "--draw", metavar="PATH", type=click.Path(), help="Boxes: draw them into a .png, or each image's "
              "into a folder if INPUT is one; with --format xml the folder gets their .xml instead.")  # fmt: skip
@click.option("--shortest", type=click.IntRange(1), default=600, show_default=True,
              help="Faster R-CNN: scale images so that their shortest side is this.")  # fmt: skip
@click.option("--longest", type=click.IntRange(1), default=1000, show_default=True,
              help="Faster R-CNN: but their longest at most this.")  # fmt: skip
@threads_option
@quiet_option
def detect(input_file: str, output_file: str | None, gpu: bool, threads: int | None, **options: Any) -> None:
    """Find objects in INPUT, an image or a folder of images, and print their boxes; or classify windows.

    Boxes are found by a net that ends in DetectionOutput (SSD), or has im_info, rois, cls_prob and bbox_pred (Faster
    R-CNN, R-FCN).

    With an OUTPUT, a .csv, or an .npy with records, it is Caffe's detect.py: the values of each class for the windows
    of INPUT, a .csv file with the columns filename, ymin, xmin, ymax and xmax; or for Selective Search a .txt file
    with the names of images. Defaults are then detect.py's, from Caffe's root folder.

    \b
    Examples:
      pycaffe-lite detect cat.jpg --model_def ssd.prototxt --pretrained_model ssd.caffemodel -o cat.png
      pycaffe-lite detect list.csv out.csv --model_def deploy.prototxt --pretrained_model net.caffemodel --mean_file ''
    """
    listed = input_file.lower().endswith((".csv", ".txt"))
    if output_file is None:
        if listed:
            raise click.UsageError(
                f"INPUT {input_file} is a list, for R-CNN's nets that classify windows, and wants an OUTPUT, .csv or "
                ".npy; nets that find boxes take an image or a folder of images."
            )
        start("0" if gpu else None, threads, True)
        find_boxes_command(input_file, options)
        return
    if not listed:
        raise click.UsageError(
            f"With an OUTPUT, INPUT is a .csv file of windows or a .txt file of images, got {input_file}; without one, "
            "boxes are found in images and printed, as --format says."
        )
    if not output_file.lower().endswith((".csv", ".npy")):
        raise click.UsageError(f"OUTPUT is a .csv or an .npy file, got {output_file}.")
    if options["mean_value"]:
        raise click.UsageError("--mean-value is for boxes; for windows give the mean as a --mean_file.")
    options["mean_file"] = imagenet_mean(click.get_current_context(), None, options["mean_file"])
    start("0" if gpu else None, threads, options["quiet"])
    _detect(input_file, output_file, **options)


def _detect(input_file: str, output_file: str, **options: Any) -> None:
    from pycaffe_lite.errors import CaffeError
    from pycaffe_lite.pycaffe import windows
    from pycaffe_lite.pycaffe.detector import Detector
    from pycaffe_lite.pycaffe.preprocessing import channel_means, set_up
    from pycaffe_lite.tools.detections import finds_boxes
    from pycaffe_lite.writing import check_output, write_output

    check_output(output_file)
    listed = input_file.lower().endswith(".csv")
    mode = options["crop_mode"] or ("list" if listed else "selective_search")
    if mode == "list" and not listed:
        raise click.UsageError(f"A list of windows is a .csv file; {input_file} names images alone.")
    images_windows = windows.read_windows(input_file) if listed else []
    names = [name for name, _ in images_windows] or windows.read_names(input_file)
    mean = channel_means(options["mean_file"]) if options["mean_file"] else None
    scales = {"input_scale": options["input_scale"], "raw_scale": options["raw_scale"]}
    begun = time.perf_counter()
    detector = Detector(options["model_def"], options["pretrained_model"], mean, **scales)
    if finds_boxes(detector.inner):
        raise CaffeError(
            f"{options['model_def']}: expected a net that classifies the windows of {input_file}, got one that finds "
            "boxes itself; give it an image or a folder of images as INPUT, and no OUTPUT."
        )
    detector.inner.plan()
    set_up(detector, options["channel_swap"], options["batch"])
    detector.configure_crop(options["context_pad"])
    if mode == "list":
        detections = detector.detect_windows(images_windows)
    else:
        detections = detector.detect_selective_search(names)
    log.info(f"Processed {len(detections)} windows in {time.perf_counter() - begun:.3f} s.")
    columns, predictions = windows.detections_table(detections)
    csv = output_file.lower().endswith(".csv")
    contents = windows.predictions_csv if csv else windows.detections_npy
    write_output(output_file, contents(columns, predictions))
    log.info(f"Saved to {output_file}")
