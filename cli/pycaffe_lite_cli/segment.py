"""`pycaffe-lite segment`: the classes of an image's pixels, as a colour map."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from pycaffe_lite_cli.find_boxes import HEAD, check_png, image_paths, paths_in, preparation, read_image
from pycaffe_lite_cli.options import image_net_options, mean_file_option, mean_value_option, start, threads_option
from pycaffe_lite_cli.terminal import encodable


@click.command()
@click.argument("input_path", metavar="INPUT", type=click.Path())
@click.argument("output_path", metavar="OUTPUT", type=click.Path())
@image_net_options
@mean_file_option("none")
@mean_value_option
@click.option("--palette", type=click.Choice(["voc", "cityscapes"]), default="voc", show_default=True,
              help="Which colour a class has.")  # fmt: skip
@click.option("--overlay", metavar="ALPHA", type=click.FloatRange(0, 1), default=1.0, show_default=True,
              help="The share of the colours; the rest is the image.")  # fmt: skip
@click.option("--label-map", metavar="FILE", help="What the classes are called: a label map, or a name a line.")
@click.option("--format", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="How the classes' pixels are printed.")  # fmt: skip
@threads_option
def segment(input_path: str, output_path: str, gpu: bool, threads: int | None, **options: Any) -> None:
    """Say of each pixel of INPUT, an image or a folder of images, what it shows.

    OUTPUT, a .png or for a folder a folder, gets the colours of the classes. How many pixels each class has is printed.

    \b
    Example:
      pycaffe-lite segment cat.jpg cat.png --model_def fcn.prototxt --pretrained_model fcn.caffemodel
    """
    start("0" if gpu else None, threads, True)
    _segment(input_path, output_path, **options)


def _segment(input_path: str, output_path: str, **options: Any) -> None:
    import numpy as np

    from pycaffe_lite.net.net import Net
    from pycaffe_lite.phase import TEST
    from pycaffe_lite.tools.detections import image_input
    from pycaffe_lite.tools.drawing import png
    from pycaffe_lite.tools.label_map import read_label_map
    from pycaffe_lite.tools.segmentation import colored, palette, score_output, segment
    from pycaffe_lite.writing import check_output, write_output
    from pycaffe_lite_cli.table import to_text

    paths, many = image_paths(input_path), os.path.isdir(os.path.expanduser(input_path))
    if not many:
        check_png(output_path)
        check_output(output_path)
    net = Net(options["model_def"], TEST, weights=options["pretrained_model"])
    count = net.blobs[score_output(net)].shape[1]
    net.plan()
    names = [f"class {i}" for i in range(count)]
    if options["label_map"]:
        names = read_label_map(options["label_map"], count)
    color, colors = net.blobs[image_input(net)].shape[1] == 3, palette(options["palette"])
    prepare = preparation(options)
    pictures = paths_in(output_path, paths, ".png") if many else [output_path]
    rows = []
    for path, target in zip(paths, pictures, strict=True):
        image = read_image(path, color)
        classes = segment(net, image, prepare)
        write_output(target, png(colored(classes, colors, image, options["overlay"])))
        pixels = np.bincount(classes.ravel(), minlength=count)
        rows += [(path, i, names[i], int(n), int(n) / classes.size) for i, n in enumerate(pixels) if n]
    head = (*HEAD[:3], "pixels", "share")
    if options["format"] == "json":
        click.echo(encodable(json.dumps([dict(zip(head, row, strict=True)) for row in rows], indent=1)))
        return
    cells = [(path, str(i), name, str(n), f"{share:.4f}") for path, i, name, n, share in rows]
    click.echo(encodable(to_text(head, cells, [False, True, False, True, True])))
