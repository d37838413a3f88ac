"""`pycaffe-lite convert-mnist`: MNIST's IDX files into a database."""

from __future__ import annotations

import click

from pycaffe_lite import log
from pycaffe_lite_cli.options import backend_option, quiet_option, start
from pycaffe_lite_cli.terminal import progress


@click.command()
@click.argument("images", metavar="IMAGES", type=click.Path())
@click.argument("labels", metavar="LABELS", type=click.Path())
@click.argument("database", metavar="DBNAME", type=click.Path())
@backend_option
@quiet_option
def convert_mnist(images: str, labels: str, database: str, backend: str, quiet: bool) -> None:
    """Put the images and labels of two IDX files into a new LMDB or LevelDB, as Caffe's convert_mnist_data.

    The files may be gzipped. A Data layer with backend: IDX reads them as they are, too.

    \b
    Example:
      pycaffe-lite convert-mnist train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz mnist_train_lmdb
    """
    from pycaffe_lite.tools.databases import check_new, write_database
    from pycaffe_lite.tools.mnist import read_mnist

    start(None, None, quiet)
    check_new(database)
    mnist = read_mnist(images, labels)
    count, _, rows, columns = mnist.images.shape
    log.info(f"A total of {count} items.", "convert_mnist_data.cpp:88")
    log.info(f"Rows: {rows} Cols: {columns}", "convert_mnist_data.cpp:89")
    with progress("image", count, quiet) as track:
        write_database(
            database,
            backend,
            mnist.records(track(range(count))),
            "convert_mnist_data.cpp:108",
            "convert_mnist_data.cpp:108",
        )
