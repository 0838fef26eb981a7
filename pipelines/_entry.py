"""The entry points' common part: finding the packages, and running a command under the script's own name."""

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


def run_script(
    description: str,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], int],
    example: str | None = None,
) -> int:
    """Run a command under the script's name and return its exit status.

    Args:
        description: of the script, for its help.
        add_arguments: adds the command's options to a parser.
        run: the command; returns its exit status.
        example: options for the examples in the help; ``{0}`` stands before each path. A script with an example prints
            its whole help if there are no arguments, because that teaches more than the name of a missing option.
    """
    from gapdata.commands.argument_types import Parser
    from gapdata.commands.program import run_command

    script = Path(sys.argv[0]).name
    parser = Parser(
        prog=script,
        description=description,
        epilog=None if example is None else _examples(script, example),
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


def _examples(script: str, options: str) -> str:
    here, there = (f"python pipelines/{script} {options.format(folder)}" for folder in ("", "/data/"))
    return f"examples:\n  {here}\n  ray job submit --working-dir . -- {there}"
