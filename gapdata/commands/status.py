"""``gapdata status``: how far a build is."""

from __future__ import annotations

import argparse

from gapdata.commands.argument_types import place
from gapdata.runtime.terminal import say_result

HELP = "Say how far a build is; safe while it runs."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the build."""
    parser.add_argument("build", type=place, metavar="BUILD", help="the --out of build-shards")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print the state of the build and return the exit status."""
    from gapdata.audit.status import build_status, format_status

    status = build_status(options.build)
    say_result(status, format_status(options.build, status), as_json=options.json)
    return 0
