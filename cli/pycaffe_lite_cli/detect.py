"""`pycaffe-lite detect`: what windows of images show, by Caffe's detect.py."""

from __future__ import annotations

import time
from typing import Any

import click

from pycaffe_lite import log
from pycaffe_lite_cli.options import image_net_options, quiet_option, start, threads_option


@click.command()
@click.argument("input_file", metavar="INPUT", type=click.Path())
@click.argument("output_file", metavar="OUTPUT", type=click.Path())
@image_net_options
@click.option("--crop_mode", type=click.Choice(["list", "selective_search"]), help="Where windows are from: INPUT's "
              "own list, or Selective Search.  [default: list for a .csv]")  # fmt: skip
@click.option("--context_pad", type=click.IntRange(0), default=16, show_default=True,
              help="How many pixels at each edge of the input show what lies around the window.")  # fmt: skip
@threads_option
@quiet_option
def detect(input_file: str, output_file: str, gpu: bool, threads: int | None, **options: Any) -> None:
    """Classify the windows of INPUT and write the value of each class for each of them to OUTPUT.

    INPUT is a .csv file with the columns filename, ymin, xmin, ymax and xmax; or for Selective Search a .txt file
    with the names of images. OUTPUT is .csv, or .npy with records. The defaults are those of Caffe's detect.py, from
    Caffe's root folder.

    \b
    Example:
      pycaffe-lite detect list.csv out.csv --model_def deploy.prototxt --pretrained_model net.caffemodel --mean_file ''
    """
    if not output_file.lower().endswith((".csv", ".npy")):
        raise click.UsageError(f"OUTPUT is a .csv or an .npy file, got {output_file}.")
    if not input_file.lower().endswith((".csv", ".txt")):
        raise click.UsageError(f"INPUT is a .csv file of windows or a .txt file of images, got {input_file}.")
    start("0" if gpu else None, threads, options["quiet"])
    _detect(input_file, output_file, **options)


def _detect(input_file: str, output_file: str, **options: Any) -> None:
    from pycaffe_lite.pycaffe import windows
    from pycaffe_lite.pycaffe.detector import Detector
    from pycaffe_lite.pycaffe.preprocessing import channel_means, set_up
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
