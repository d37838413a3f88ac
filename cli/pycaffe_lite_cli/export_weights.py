"""`pycaffe-lite export-weights`: parameters as npz or safetensors."""

from __future__ import annotations

import click

from pycaffe_lite_cli.options import quiet_option, start


@click.command()
@click.option("--weights", metavar="FILE", help="The parameters, a .caffemodel or HDF5 file.")
@click.option("--model", metavar="FILE", help="The net: its layers alone, and their shapes.  [default: what is there]")
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="Where to: .npz or .safetensors.")
@quiet_option
def export_weights(weights: str | None, model: str | None, output: str | None, quiet: bool) -> None:
    """Write parameters as arrays that NumPy, or whatever reads safetensors, loads without Caffe.

    The names are LAYER/0, LAYER/1, …, in the order of Caffe: weights, then biases; of BatchNorm mean, variance and the
    factor both are to be divided by.

    \b
    Examples:
      pycaffe-lite export-weights --weights lenet_iter_10000.caffemodel -o lenet.npz
      pycaffe-lite export-weights --model deploy.prototxt --weights lenet_iter_10000.caffemodel -o lenet.safetensors
    """
    from pycaffe_lite.tools.export_weights import ENDINGS
    from pycaffe_lite.tools.export_weights import export_weights as export
    from pycaffe_lite.writing import check_output

    if not weights:
        raise click.UsageError("Give the parameters: --weights net.caffemodel.")
    if not output or not output.endswith(ENDINGS):
        raise click.UsageError(f"-o needs a file name that ends in {' or '.join(ENDINGS)}; got {output or 'none'}.")
    start(None, None, quiet=True)
    check_output(output)
    count = export(weights, output, model)
    if not quiet:
        click.echo(f"Wrote {count} parameters to {output}")
