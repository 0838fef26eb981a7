"""The command ``gapmodel``: train a model, evaluate it, look inside it, write it so that others can load it.

The exit status is as ``gapdata``'s: 0 done, 1 unexpected, 2 usage, 130 interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gapdata.commands.program import Command, program_parser, run_command
from gapmodel.commands import bundle, evaluate, inspect, memory, train

COMMANDS: Mapping[str, Command] = {
    "train": train,
    "evaluate": evaluate,
    "inspect": inspect,
    "bundle": bundle,
    "memory": memory,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name (by default, those of the process) and return the exit status."""
    parser = program_parser("gapmodel", "Train, evaluate, look inside and share a model.", COMMANDS)
    return run_command("gapmodel", parser.parse_args(arguments))
