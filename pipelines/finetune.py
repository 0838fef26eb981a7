#!/usr/bin/env python3
"""``gapmodel train --stage finetune`` as the entry point of a Ray job; it takes the same options.

ray job submit --working-dir . -- python pipelines/finetune.py --shards /data/shards --init /data/runs/stage1 ...
"""

import sys
from functools import partial

from _entry import find_packages, run_script


def main() -> int:
    """Train stage 2 as the command line says and return the exit status."""
    from gapmodel.commands import train

    arguments = partial(train.add_arguments, stage="finetune")
    example = "--shards {0}shards --init {0}runs/stage1 --out {0}runs/stage2"
    return run_script(train.STAGES["finetune"], arguments, train.run, example)


if __name__ == "__main__":
    find_packages()
    sys.exit(main())
