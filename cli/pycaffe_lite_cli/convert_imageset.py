"""`pycaffe-lite convert-imageset`: image files into a database."""

from __future__ import annotations

import click

from pycaffe_lite import log
from pycaffe_lite_cli.options import backend_option, quiet_option, start, threads_option
from pycaffe_lite_cli.terminal import progress


@click.command()
@click.argument("folder", metavar="ROOTFOLDER", type=click.Path())
@click.argument("list_path", metavar="LISTFILE", type=click.Path())
@click.argument("database", metavar="DBNAME", type=click.Path())
@click.option("--gray", is_flag=True, help="Read the images as gray ones.")
@click.option("--shuffle", is_flag=True, help="Put them in a random order, as in Caffe another each time.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    metavar="N",
    help="With --shuffle: Caffe's order for this seed, the same each time.",
)
@backend_option
@click.option(
    "--label-dim",
    type=click.IntRange(1, 10000),
    metavar="K",
    help="Real numbers that end each line, its labels; without it one whole number, or none for 0. Several, or any "
    "that are not whole, are stored as floats, as forks of Caffe have them: Caffe itself reads 0.",
)
@click.option("--resize_width", type=int, default=0, metavar="N", help="Resize to this width; with --resize_height.")
@click.option("--resize_height", type=int, default=0, metavar="N", help="Resize to this height; with --resize_width.")
@click.option("--check_size", is_flag=True, help="Refuse images of different sizes.")
@click.option("--encoded", is_flag=True, help="Store image files in place of pixels.")
@click.option("--encode_type", default="", metavar="TYPE", help="Store image files of this type, png, jpg, …")
@threads_option
@quiet_option
def convert_imageset(
    folder: str,
    list_path: str,
    database: str,
    gray: bool,
    shuffle: bool,
    seed: int | None,
    backend: str,
    label_dim: int | None,
    resize_width: int,
    resize_height: int,
    check_size: bool,
    encoded: bool,
    encode_type: str,
    threads: int | None,
    quiet: bool,
) -> None:
    """Put the image files of a list into a new LMDB or LevelDB, as Caffe's convert_imageset.

    LISTFILE has lines like "cat/one.jpg 3": a file in ROOTFOLDER, and its label; with --label-dim 3, lines like
    "one.jpg 0 1 0.5". Images that cannot be read are left out and named.

    \b
    Examples:
      pycaffe-lite convert-imageset images/ train.txt train_lmdb --resize_width 256 --resize_height 256
      pycaffe-lite convert-imageset / list.txt test_leveldb --backend leveldb --gray --encode_type png
    """
    if seed is not None and not shuffle:
        raise click.UsageError("--seed needs --shuffle.")
    from pycaffe_lite.data.sources.image_list import find_folder, read_image_list, shuffled
    from pycaffe_lite.rng import Generator
    from pycaffe_lite.tools.databases import check_new, write_database
    from pycaffe_lite.tools.image_set import ImageSet

    start(None, threads, quiet)
    check_new(database)
    images = read_image_list(list_path, label_dim)
    image_set = ImageSet(
        find_folder(folder), gray, max(0, resize_height), max(0, resize_width), check_size, encoded, encode_type
    )
    if shuffle:
        log.info("Shuffling data", "convert_imageset.cpp:86")
        images = shuffled(images, Generator(seed))
    log.info(f"A total of {len(images)} images.", "convert_imageset.cpp:89")
    if encode_type and not encoded:
        log.info("encode_type specified, assuming encoded=true.", "convert_imageset.cpp:92")
    if (resize_height > 0) != (resize_width > 0):
        log.warning("Only one of --resize_height and --resize_width is above 0: images keep their size, as in Caffe.")
    with progress("image", len(images), quiet) as track:
        write_database(
            database, backend, image_set.records(track(images)), "convert_imageset.cpp:147", "convert_imageset.cpp:153"
        )
