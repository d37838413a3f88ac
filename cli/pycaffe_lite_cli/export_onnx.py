"""`pycaffe-lite export-onnx`: a net to run as an ONNX model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pycaffe_lite_cli.options import quiet_option, start

if TYPE_CHECKING:
    import numpy as np

    from pycaffe_lite.net import Net
    from pycaffe_lite.tools.export_onnx import Exported


@click.command()
@click.option("--model", metavar="FILE", help="The net to run, a prototxt; deploy makes one.")
@click.option("--weights", metavar="FILE[,FILE…]", help="Its weights, .caffemodel files.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="Where to: .onnx.")
@click.option(
    "--opset", type=click.IntRange(13, 21), default=13, show_default=True, help="The version of ONNX's operators."
)
@click.option("--fold", is_flag=True, help="Let BatchNorm, Scale and Bias become part of the convolution before them.")
@click.option("--check/--no-check", default=None, help="Compare with onnxruntime.  [default: where that is installed]")
@click.option("--input", "given", metavar="FILE", help="With --check: an .npz with values of inputs, by their names.")
@quiet_option
def export_onnx(
    model: str | None, weights: str | None, output: str | None, opset: int, fold: bool, check: bool | None,
    given: str | None, quiet: bool,
) -> None:  # fmt: skip
    """Make an ONNX model, which takes any batch size unless a shape in the net is fixed.

    What cannot be exported is said of the whole net at once, before anything is written. The check runs both on
    random inputs, or on those given, and shows the largest difference of each output, absolute and relative to the
    largest value; exit status 1 if one is above 1e-4, with the first layer that differs.

    \b
    Example:
      pycaffe-lite export-onnx --model configs/lenet/deploy.prototxt --weights lenet_iter_10000.caffemodel -o lenet.onnx
    """
    if not model:
        raise click.UsageError("Give the net to export: --model deploy.prototxt.")
    if not weights:
        raise click.UsageError("Give its weights: --weights net.caffemodel.")
    if not output or not output.endswith(".onnx"):
        raise click.UsageError(f"-o needs a file name that ends in .onnx; got {output or 'none'}.")
    from pycaffe_lite import log
    from pycaffe_lite.net import Net
    from pycaffe_lite.phase import TEST
    from pycaffe_lite.tools.export_onnx import export, has_runtime, read_inputs
    from pycaffe_lite.writing import check_output, write_atomically

    start(None, None, quiet=True)
    check_output(output)
    if check and not has_runtime():
        raise click.UsageError("--check needs onnxruntime: pip install onnxruntime; or leave it out with --no-check.")
    check = has_runtime() if check is None else check
    if given and not check:
        raise click.UsageError("--input is for the check: leave it out, or install onnxruntime and ask for --check.")
    net = Net(model, phase=TEST)
    try:
        inputs = read_inputs(given, net) if given else None
        for path in weights.split(","):
            net.copy_from(path)
        start(None, None, quiet)
        exported = export(net, opset, fold)
        write_atomically(output, [exported.model.SerializeToString()])
        log.info(f"Wrote {output}, for {'any batch size' if exported.dynamic else 'one batch size'}.")
        if check:
            _check(net, exported, inputs)
    finally:
        net.close()


def _check(net: Net, exported: Exported, inputs: dict[str, np.ndarray] | None) -> None:
    from pycaffe_lite.errors import CaffeError
    from pycaffe_lite.tools.export_onnx import compare

    found = compare(net, exported, inputs)
    for output in found.outputs:
        click.echo(f"{output.name}: largest difference {output.largest:.3g}, relative {output.relative:.3g}")
    if not found.agrees:
        where = f'; the first layer that differs is "{found.layer}"' if found.layer else ""
        raise CaffeError(f"The model's outputs differ from the net's by more than 1e-4{where}.")
