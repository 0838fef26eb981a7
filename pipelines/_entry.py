"""What the entry points share: they find the packages, and take a command's options under their own name."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def find_packages() -> None:
    """Make ``gapdata`` and ``gapmodel`` importable.

    An installed package wins; a script that runs from a checkout (``ray job submit --working-dir .``) uses that.
    """
    if importlib.util.find_spec("gapdata") is None and (REPOSITORY / "gapdata").is_dir():
        sys.path.insert(0, str(REPOSITORY))
    if importlib.util.find_spec("gapdata") is None:
        sys.exit("gapdata is not importable: run `pip install -e .` or pass `--working-dir .` to ray job submit")


def examples(script: str, options: str) -> str:
    """Return how an entry point is run here and on a cluster; ``{0}`` in ``options`` stands before each path."""
    here, there = (f"python pipelines/{script} {options.format(folder)}" for folder in ("", "/data/"))
    return f"examples:\n  {here}\n  ray job submit --working-dir . -- {there}"


def run_script(
    description: str,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], int],
    example: str | None = None,
) -> int:
    """Run a command under the script's name and return its exit status.

    Where there are no arguments at all, the whole help is printed, whose example teaches more than the name of the
    first option that is missing.

    Args:
        description: of the script, for its help.
        add_arguments: adds the command's options to a parser.
        run: the command; returns its exit status.
        example: options as in :func:`examples`; with one the script needs arguments.
    """
    from gapdata.commands.argument_types import Parser
    from gapdata.commands.program import run_command

    script = Path(sys.argv[0]).name
    parser = Parser(
        prog=script,
        description=description,
        epilog=None if example is None else examples(script, example),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run)
    if len(sys.argv) == 1 and example is not None:
        parser.print_help(sys.stderr)
        return 2
    return run_command(script, parser.parse_args())
