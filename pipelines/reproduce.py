#!/usr/bin/env python3
"""The paper's claim in miniature, from nothing: scans, towers, both stages in several arms and seeds, table and plot.

python pipelines/reproduce.py [--size full|quick|gpu] [--out outputs/reproduce] [--set key=value] [--jobs N]

Interrupted, the same command goes on where it was. `--table` prints what the finished runs say meanwhile.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from _entry import REPOSITORY, find_packages, run_script


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the experiment."""
    parser.add_argument(
        "--size",
        choices=("full", "quick", "gpu"),
        default="full",
        help="full: manifests/miniature.toml (default); quick, gpu: with the changes of miniature-quick.toml or "
        "miniature-gpu.toml",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: outputs/reproduce-SIZE")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe field: seeds=[0,1,2,3,4]"
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="runs side by side (default: the recipe's)")
    parser.add_argument("--table", action="store_true", help="only write the table and the plot of what is finished")


def reproduce(options: argparse.Namespace) -> int:
    """Do what is not done yet, then write table and plot, and return the exit status."""
    from gapdata.files.atomic import write_atomically
    from gapmodel.commands.training_extra import require_training_extra

    require_training_extra()
    from gapmodel.experiments.miniature.experiment import perform
    from gapmodel.experiments.miniature.plot import draw
    from gapmodel.experiments.miniature.recipe import read_miniature
    from gapmodel.experiments.miniature.summary import as_dict, as_markdown, summarise
    from gapmodel.experiments.miniature.workspace import Workspace

    jobs = [] if options.jobs is None else [f"jobs={options.jobs}"]
    recipe = read_miniature(options.size, [*options.set, *jobs])
    out = options.out or REPOSITORY / "outputs" / f"reproduce-{options.size}"
    workspace = Workspace(out=out.resolve(), recipe=recipe)
    workspace.claim()
    if not options.table:
        perform(workspace)
    summary = summarise(workspace)
    table = as_markdown(summary, recipe)
    write_atomically(workspace.out / "table.json", (json.dumps(as_dict(summary), indent=1) + "\n").encode())
    write_atomically(workspace.out / "table.md", table.encode())
    write_atomically(workspace.out / "plot.png", draw(summary))
    print(f"\n{table}\ntable and plot: {workspace.out / 'table.md'}, {workspace.out / 'plot.png'}")
    return 0


if __name__ == "__main__":
    find_packages()
    sys.exit(run_script("Reproduce the paper's claim in miniature.", add_arguments, reproduce))
