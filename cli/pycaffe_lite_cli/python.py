"""`pycaffe-lite python`: a script written for Caffe, run as it is."""

from __future__ import annotations

import os
import subprocess
import sys

import click

from pycaffe_lite import door


@click.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": ["--help"],
    }
)
@click.argument("args", nargs=-1, type=click.UNPROCESSED, metavar="[SCRIPT] [ARGS]...")
def python(args: tuple[str, ...]) -> None:
    """Run Python so that `import caffe` finds this package; arguments and exit status are Python's own.

    \b
    Examples:
      pycaffe-lite python classify.py --gpu image.jpg out.npy
      pycaffe-lite python -c "import caffe; print(caffe.layer_type_list())"
    """
    if not sys.executable:
        raise click.ClickException("Cannot tell which Python this is; use PYTHONPATH=$(pycaffe-lite python-path).")
    path = os.pathsep.join(filter(None, [door.FOLDER, os.environ.get("PYTHONPATH")]))
    command, environment = [sys.executable, *args], {**os.environ, "PYTHONPATH": path}
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execve(sys.executable, command, environment)
    sys.exit(subprocess.call(command, env=environment))
