#!/usr/bin/env python3
"""``gapmodel train --stage pretrain`` as the entry point of a Ray job; it takes the same options.

ray job submit --working-dir . -- python pipelines/pretrain.py --shards /data/shards --out /data/runs/stage1
"""

import sys
from functools import partial

from _entry import find_packages, run_script


def main() -> int:
    """Train stage 1 as the command line says and return the exit status."""
    from gapmodel.commands import train

    arguments = partial(train.add_arguments, stage="pretrain")
    return run_script(train.STAGES["pretrain"], arguments, train.run, "--shards {0}shards --out {0}runs/stage1")


if __name__ == "__main__":
    find_packages()
    sys.exit(main())
