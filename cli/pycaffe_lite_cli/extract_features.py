"""`pycaffe-lite extract-features`: the values of a net's blobs into databases."""

from __future__ import annotations

import contextlib
import os

import click

from pycaffe_lite import log
from pycaffe_lite_cli.options import database_type, quiet_option, start, threads_option
from pycaffe_lite_cli.terminal import progress


@click.command()
@click.argument("weights", metavar="WEIGHTS", type=click.Path())
@click.argument("model", metavar="NET", type=click.Path())
@click.argument("blobs", metavar="BLOB[,BLOB…]")
@click.argument("databases", metavar="DBNAME[,DBNAME…]")
@click.argument("batches", metavar="BATCHES", type=click.IntRange(1))
@click.argument("backend", metavar="DB_TYPE", type=database_type)
@click.argument("device", metavar="[CPU|GPU [ID]]", nargs=-1)
@threads_option
@quiet_option
def extract_features(
    weights: str,
    model: str,
    blobs: str,
    databases: str,
    batches: int,
    backend: str,
    device: tuple[str, ...],
    threads: int | None,
    quiet: bool,
) -> None:
    """Run a net's TEST phase and put the values of its blobs into new databases, as Caffe's extract_features.

    NET brings its own data layer. Each image becomes a record whose Datum has the values as float_data. DB_TYPE
    is lmdb or leveldb.

    \b
    Example:
      pycaffe-lite extract-features lenet.caffemodel train_test.prototxt ip1,ip2 ip1_lmdb,ip2_lmdb 100 lmdb
    """
    names, paths = blobs.split(","), databases.split(",")
    if len(names) != len(paths) or len(set(map(os.path.abspath, paths))) != len(paths):
        raise click.UsageError(f"Give a database of its own for each blob: got {len(names)} blobs, {databases}.")
    if not set(device[:1]) <= {"CPU", "GPU"} or len(device) > 2:
        raise click.UsageError(f"Expected CPU or GPU after DB_TYPE, got {' '.join(device)}.")
    start(device[0] if device[:1] == ("GPU",) else None, threads, quiet)
    _extract(weights, model, names, paths, batches, backend, quiet)


def _extract(
    weights: str, model: str, names: list[str], paths: list[str], batches: int, backend: str, quiet: bool
) -> None:
    from pycaffe_lite.net import Net
    from pycaffe_lite.phase import TEST
    from pycaffe_lite.tools.databases import check_new, new_database
    from pycaffe_lite.tools.features import check_blobs
    from pycaffe_lite.tools.features import extract_features as extract

    for path in paths:
        check_new(path)
    with contextlib.closing(Net(model, phase=TEST, weights=weights)) as net, contextlib.ExitStack() as stack:
        check_blobs(net, names)
        net.plan(keep=names)
        writers = [stack.enter_context(new_database(path, backend)) for path in paths]
        log.info("Extracting Features")
        track = stack.enter_context(progress("batch", batches, quiet))
        extract(net, names, writers, track(range(batches)))
    log.info("Successfully extracted the features!")
