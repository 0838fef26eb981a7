#!/usr/bin/env python3
"""``gapdata build-shards`` as the entry point of a Ray job; it takes the same options.

ray job submit --working-dir . -- python pipelines/build_shards.py --scannet /data/scannet --out /data/shards

Inside of a job the shards are built by the tasks of the job's cluster; all its nodes need to see both directories.
Started by hand it is the same as ``gapdata build-shards``.
"""

from __future__ import annotations

import contextlib
import os
import sys
from itertools import pairwise
from pathlib import Path

from _entry import examples, find_packages


def main() -> int:
    """Run the command and return its exit status."""
    from gapdata.commands.main import main as gapdata

    if len(sys.argv) == 1:
        with contextlib.suppress(SystemExit):
            gapdata(["build-shards", "--help"])
        print("", examples("build_shards.py", "--scannet {0}scannet --out {0}shards"), sep="\n")
        return 2
    # Ray runs a job in a copy of its working directory and removes the copy afterwards.
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ and not _absolute_out(sys.argv[1:]):
        print(
            f"{Path(sys.argv[0]).name}: --out is relative to the job's temporary copy of the working directory;"
            " give an absolute path that all nodes share",
            file=sys.stderr,
        )
        return 2
    return gapdata(["build-shards", *sys.argv[1:]])


def _absolute_out(arguments: list[str]) -> bool:
    if {"-h", "--help", "--dry-run"} & set(arguments):
        return True
    following = dict(pairwise(arguments))
    given = [word.partition("=")[2] for word in arguments if word.startswith("--out=")]
    out = following.get("--out", given[-1] if given else "")
    return "://" in out or Path(out).is_absolute()


if __name__ == "__main__":
    find_packages()
    sys.exit(main())
