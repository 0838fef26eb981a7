"""``gapdata verify``: is a build whole and sound?"""

from __future__ import annotations

import argparse

from gapdata.commands.argument_types import place, positive
from gapdata.runtime.terminal import say_result

HELP = "Check that a build is whole and sound; exit status 4 if it is not."
DAMAGED = 4
"""Exit status where damage was found."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the build, and how thoroughly it is checked."""
    parser.add_argument("build", type=place, metavar="BUILD", help="the --out of build-shards")
    parser.add_argument(
        "--sample", type=positive, metavar="N", help="read only N records, evenly spread, and skip checksums"
    )
    parser.add_argument("--workers", type=positive, metavar="N", help="processes (default: by the number of cores)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Check the build, print the verdict and return the exit status."""
    from gapdata.audit.verify import format_verdict, verify_build
    from gapdata.runtime.cores import available_cores
    from gapdata.runtime.progress import Progress

    workers = options.workers or available_cores()
    with Progress(0, "records", "verify") as progress:
        verdict = verify_build(
            options.build, sample=options.sample, workers=workers, progress=progress, announce=progress.expect
        )
    say_result(verdict.to_dict(), format_verdict(options.build, verdict), as_json=options.json)
    return DAMAGED if verdict.defects else 0
