"""What the entry points share: finding the packages, and one line for an error instead of a traceback."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def find_packages(needs: tuple[str, ...] = ("torch", "transformers")) -> None:
    """Make ``gapdata`` and ``gapmodel`` importable, and stop with a hint where something is missing.

    Args:
        needs: what the entry point imports beyond ``gapdata``'s own dependencies.

    An installed package wins; a script that runs from a checkout (``ray job submit --working-dir .``) uses that.
    """
    if importlib.util.find_spec("gapdata") is None and (REPOSITORY / "gapdata").is_dir():
        sys.path.insert(0, str(REPOSITORY))
    if importlib.util.find_spec("gapdata") is None:
        sys.exit("gapdata is not importable: run `pip install -e .` or pass `--working-dir .` to ray job submit")
    for package in needs:
        if importlib.util.find_spec(package) is None:
            sys.exit(f"{package} is not installed: run `pip install -e '.[train]'`")


def examples(script: str, options: str) -> str:
    """Return how an entry point is run here and on a cluster; ``{0}`` in ``options`` stands before each path."""
    here, there = (f"python pipelines/{script} {options.format(folder)}" for folder in ("", "/data/"))
    return f"examples:\n  {here}\n  ray job submit --working-dir . -- {there}"


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the arguments; where there is none at all, print the whole help with its example, which teaches more than
    the name of the first option that is missing, and exit with status 2.
    """
    if len(sys.argv) == 1:
        parser.print_help(sys.stderr)
        sys.exit(2)
    return parser.parse_args()


def run(main: Callable[[], None]) -> None:
    """Run an entry point; an error that is the user's to solve becomes one line and an exit status."""
    from gapdata.errors import REFUSALS, GapDataError, describe_refusal, describe_shortage
    from gapdata.runtime.terminal import printable, say

    try:
        main()
    except GapDataError as error:
        if "--debug" in sys.argv:
            raise
        say(f"{Path(sys.argv[0]).name}: {error}", error=True)
        sys.exit(error.exit_status)
    except OSError as error:
        if "--debug" in sys.argv or error.errno not in REFUSALS:
            raise
        sys.exit(printable(f"{Path(sys.argv[0]).name}: {describe_refusal(error)}"))
    except (ImportError, MemoryError) as error:
        shortage = describe_shortage(error)
        if "--debug" in sys.argv or shortage is None:
            raise
        sys.exit(printable(f"{Path(sys.argv[0]).name}: {shortage}"))
    except KeyboardInterrupt:
        sys.exit(130)
