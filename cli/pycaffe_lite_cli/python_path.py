"""`pycaffe-lite python-path`: where `import caffe` is."""

from __future__ import annotations

import click

from pycaffe_lite import door


@click.command()
def python_path() -> None:
    """Print the folder that PYTHONPATH needs for `import caffe` to find this package.

    \b
    Example:
      PYTHONPATH=$(pycaffe-lite python-path) python script.py
    """
    click.echo(door.FOLDER)
