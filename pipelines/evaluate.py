#!/usr/bin/env python3
"""``gapmodel evaluate`` as the entry point of a Ray job; it takes the same options.

ray job submit --working-dir . -- python pipelines/evaluate.py --shards /data/shards --model /data/runs/stage2
"""

import sys

from _entry import find_packages, run_script


def main() -> int:
    """Evaluate as the command line says and return the exit status."""
    from gapmodel.commands import evaluate

    example = "--shards {0}shards --model {0}runs/stage2"
    return run_script(evaluate.HELP, evaluate.add_arguments, evaluate.run, example)


if __name__ == "__main__":
    find_packages()
    sys.exit(main())
