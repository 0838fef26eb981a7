#!/usr/bin/env python3
"""``gapdata build-shards`` as the entry point of a Ray job; it takes the same options.

ray job submit --working-dir . -- python pipelines/build_shards.py --scannet /data/scannet --out /data/shards

In a job the tasks of the job's cluster build the shards; all its nodes need to see both directories.
"""

import sys

from _entry import find_packages, run_script


def main() -> int:
    """Build as the command line says and return the exit status."""
    from gapdata.commands import build_shards

    example = "--scannet {0}scannet --out {0}shards"
    return run_script(build_shards.HELP, build_shards.add_arguments, build_shards.run, example)


if __name__ == "__main__":
    find_packages()
    sys.exit(main())
