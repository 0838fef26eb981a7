"""``gapdata verify``: is a build whole and sound, and do builds evaluate on what others train on?"""

from __future__ import annotations

import argparse

from gapdata.commands.argument_types import place, positive
from gapdata.errors import UsageError
from gapdata.runtime.terminal import say_result

HELP = "Check that a build is whole and sound, or that builds share no place across splits; exit status 4 if not."
DAMAGED = 4
"""Exit status where damage was found."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the build, and how thoroughly it is checked."""
    parser.add_argument("build", type=place, nargs="+", metavar="BUILD", help="the --out of build-shards")
    parser.add_argument(
        "--leaks",
        action="store_true",
        help="compare the scenes of all the builds instead: is a place both trained and evaluated on? Names of places "
        "decide; where they cannot, rooms that look alike are a warning",
    )
    parser.add_argument(
        "--sample", type=positive, metavar="N", help="read only N records, evenly spread, and skip checksums"
    )
    parser.add_argument("--workers", type=positive, metavar="N", help="processes (default: by the number of cores)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Check the build, or compare builds, print the verdict and return the exit status.

    Raises:
        UsageError: several builds are named without ``--leaks``, or a place does not hold a build.
        ShardError: a build that is compared is damaged.
    """
    if options.leaks:
        return _run_leaks(options)
    if len(options.build) > 1:
        raise UsageError(
            "several builds are named", cure="verify one after the other, or compare their scenes with --leaks"
        )
    from gapdata.audit.verify import format_verdict, verify_build
    from gapdata.runtime.cores import available_cores
    from gapdata.runtime.progress import Progress

    workers, build = options.workers or available_cores(), options.build[0]
    with Progress(0, "records", "verify") as progress:
        verdict = verify_build(
            build, sample=options.sample, workers=workers, progress=progress, announce=progress.expect
        )
    say_result(verdict.to_dict(), format_verdict(build, verdict), as_json=options.json)
    return DAMAGED if verdict.defects else 0


def _run_leaks(options: argparse.Namespace) -> int:
    from gapdata.audit.find_leaks import find_leaks
    from gapdata.runtime.progress import Progress

    if options.sample or options.workers:
        raise UsageError("--sample and --workers do not go with --leaks", cure="leave them out")
    with Progress(0, "scenes and pairs", "leaks") as progress:
        leaks = find_leaks(options.build, progress=progress, announce=progress.expect)
    say_result(leaks.to_dict(), "\n".join(leaks.lines()), as_json=options.json)
    return DAMAGED if leaks.shared else 0
