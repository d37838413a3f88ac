"""`pycaffe-lite classify`: what images show, by Caffe's classify.py."""

from __future__ import annotations

import os
from math import prod
from typing import Any

import click

from pycaffe_lite import log
from pycaffe_lite_cli.options import (
    IMAGENET_MEAN,
    batch_option,
    image_net_options,
    imagenet_mean,
    mean_file_option,
    numbers,
    quiet_option,
    start,
    threads_option,
)
from pycaffe_lite_cli.terminal import encodable, progress

LABELS = "data/ilsvrc12/synset_words.txt"


@click.command()
@click.argument("input_file", metavar="INPUT", type=click.Path())
@click.argument("output_file", metavar="[OUTPUT]", required=False, type=click.Path())
@image_net_options
@mean_file_option(IMAGENET_MEAN, imagenet_mean)
@batch_option("Images")
@click.option("--images_dim", metavar="H,W", default="256,256", show_default=True, callback=numbers(2, 1),
              help="Height and width that images are resized to before they are cropped to the input.")  # fmt: skip
@click.option("--center_only", is_flag=True, help="Take the centre crop alone, not the mean of ten crops.")
@click.option("--ext", default="jpg", show_default=True, help="The extension of the images in a folder.")
@click.option("--labels_file", metavar="FILE", help=f"What the classes are called, one a line.  [default: {LABELS}, "
              "if it is there]")  # fmt: skip
@click.option("--print_results", is_flag=True, help="Print the best classes, as is done without an OUTPUT.")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="How many classes to print.")
@threads_option
@quiet_option
def classify(input_file: str, output_file: str | None, gpu: bool, threads: int | None, **options: Any) -> None:
    """Classify INPUT, an image, a folder of images, or an .npy file of N x H x W x K.

    OUTPUT gets the value of each class for each image: as an .npy file, N x classes, or as .csv with the images'
    names. The defaults are those of Caffe's classify.py, from Caffe's root folder.

    \b
    Example:
      pycaffe-lite classify cat.jpg --model_def deploy.prototxt --pretrained_model net.caffemodel --mean_file ''
    """
    start("0" if gpu else None, threads, options["quiet"])
    _classify(input_file, output_file, **options)


def _classify(input_file: str, output_file: str | None, **options: Any) -> None:
    import numpy as np

    from pycaffe_lite.pycaffe.classifier import Classifier
    from pycaffe_lite.pycaffe.image_inputs import image_inputs
    from pycaffe_lite.pycaffe.preprocessing import channel_means, set_up
    from pycaffe_lite.writing import check_output, write_output

    if output_file is not None:
        output_file = _with_extension(output_file)
        check_output(output_file)
    mean = channel_means(options["mean_file"]) if options["mean_file"] else None
    scales = {"input_scale": options["input_scale"], "raw_scale": options["raw_scale"]}
    classifier = Classifier(options["model_def"], options["pretrained_model"], options["images_dim"], mean, **scales)
    classifier.inner.plan()
    batch = set_up(classifier, options["channel_swap"], options["batch"])
    channels = classifier.transformer.inputs[classifier.inputs[0]][1]
    inputs = image_inputs(input_file, options["ext"], color=channels != 1)
    classes = prod(classifier.blobs[classifier.outputs[0]].shape[1:])
    printed = options["print_results"] or output_file is None
    labels = _labels(options["labels_file"], classes) if printed else []
    count, crops = len(inputs.names), not options["center_only"]
    log.info(f"Classifying {count} inputs.")
    parts = [range(i, min(i + batch, count)) for i in range(0, count, batch)]
    with progress("batch", len(parts), options["quiet"]) as track:
        found = [classifier.predict([inputs.load(i) for i in part], crops) for part in track(parts)]
    predictions = np.concatenate(found)
    predictions = predictions.reshape(len(predictions), -1)
    if printed:
        _print(inputs.names, predictions, labels, options["top"])
    if output_file is not None:
        log.info(f"Saving results into {output_file}")
        write_output(output_file, _contents(output_file, inputs.names, predictions))


def _with_extension(path: str) -> str:
    """As NumPy does it, what is not .csv becomes .npy."""
    return path if path.lower().endswith((".csv", ".npy")) else f"{path}.npy"


def _contents(path: str, names: list[str], predictions: Any) -> bytes:
    from pycaffe_lite.pycaffe.windows import npy_bytes, predictions_csv

    if path.lower().endswith(".csv"):
        return predictions_csv({"filename": names}, predictions)
    return npy_bytes(predictions)


def _labels(path: str | None, classes: int) -> list[str]:
    """What the classes are called: as a file has it, ImageNet's where Caffe keeps it, else by their numbers."""
    from pycaffe_lite.pycaffe.labels import read_labels

    if path or (path is None and os.path.exists(LABELS)):
        return read_labels(path or LABELS, classes)
    return [f"class {i}" for i in range(classes)]


def _print(names: list[str], predictions: Any, labels: list[str], top: int) -> None:
    from pycaffe_lite.pycaffe.labels import top_classes
    from pycaffe_lite.words import printable

    for name, prediction in zip(names, predictions, strict=True):
        click.echo(encodable(printable(name)))
        for number in top_classes(prediction, top):
            click.echo(encodable(f"  {prediction[number]:.5f}  {printable(labels[number])}"))
