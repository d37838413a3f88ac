"""`pycaffe-lite convert-cifar`: CIFAR's binary files into databases."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import click

from pycaffe_lite import log
from pycaffe_lite_cli.options import backend_option, database_type, quiet_option, start
from pycaffe_lite_cli.terminal import progress

if TYPE_CHECKING:
    from pycaffe_lite.tools.cifar import Cifar


@click.command()
@click.argument("folder", metavar="INPUT_FOLDER", type=click.Path())
@click.argument("output", metavar="OUTPUT_FOLDER", type=click.Path())
@click.argument("db_type", metavar="[DB_TYPE]", required=False, type=database_type)
@backend_option
@click.option(
    "--labels",
    type=click.Choice(["fine", "coarse"]),
    default="fine",
    show_default=True,
    help="CIFAR-100's 100 or 20 classes.",
)
@quiet_option
def convert_cifar(folder: str, output: str, db_type: str | None, backend: str, labels: str, quiet: bool) -> None:
    """Put CIFAR's binary version into new LMDBs or LevelDBs, as Caffe's convert_cifar_data.

    Writes cifar10_train_lmdb, cifar10_test_lmdb and mean.binaryproto, the mean of the training images, into
    OUTPUT_FOLDER; for CIFAR-100 cifar100_train_lmdb, cifar100_test_lmdb and cifar100_mean.binaryproto.

    \b
    Examples:
      pycaffe-lite convert-cifar cifar-10-batches-bin examples/cifar10 lmdb
      pycaffe-lite convert-cifar cifar-100-binary . --labels coarse
    """
    from pycaffe_lite.tools.cifar import find_cifar
    from pycaffe_lite.tools.databases import check_new

    start(None, None, quiet)
    cifar = find_cifar(folder, labels)
    backend = db_type or backend
    train, test = (os.path.join(output, f"{cifar.name}_{part}_{backend}") for part in ("train", "test"))
    check_new(train)
    check_new(test)
    mean_name = "mean.binaryproto" if cifar.name == "cifar10" else f"{cifar.name}_mean.binaryproto"
    _convert(cifar, train, test, backend, os.path.join(output, mean_name), quiet)


def _convert(cifar: Cifar, train: str, test: str, backend: str, mean_path: str, quiet: bool) -> None:
    from pycaffe_lite.tools.databases import new_database, write_records
    from pycaffe_lite.tools.means import MeanImage, log_channel_means, mean_bytes
    from pycaffe_lite.writing import write_output

    mean = MeanImage()
    with contextlib.ExitStack() as stack:
        train_db, test_db = (stack.enter_context(new_database(path, backend)) for path in (train, test))
        track = stack.enter_context(progress("image", None, quiet))
        log.info("Writing Training data")
        write_records(train_db, track(cifar.records(cifar.train, mean)))
        log.info("Writing Testing data")
        write_records(test_db, track(cifar.records(cifar.test)))
    log.info(f"Write to {mean_path}")
    write_output(mean_path, mean_bytes(mean.result()))
    log_channel_means(mean.result())
