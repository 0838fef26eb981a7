"""The command ``gapmodel``: train a model, evaluate it, look inside it.

The exit status is as ``gapdata``'s: 0 done, 1 unexpected, 2 usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from gapdata import __version__
from gapdata.commands.argument_types import Parser
from gapdata.commands.completion import add_completion
from gapdata.commands.main import INTERRUPTED, run_command
from gapdata.runtime.terminal import say
from gapmodel.commands import evaluate, inspect, train

COMMANDS = {"train": train, "evaluate": evaluate, "inspect": inspect}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return run_command("gapmodel", options)
    except KeyboardInterrupt:
        say("gapmodel: interrupted; the same command goes on where this one stopped", error=True)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="gapmodel", description="Train, evaluate and look inside a model.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"gapmodel {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        own = commands.add_parser(name, help=command.HELP, description=command.HELP, allow_abbrev=False)
        command.add_arguments(own)
        own.add_argument("--debug", action="store_true", help="show the traceback of an error")
        own.set_defaults(run=command.run)
    add_completion(commands, parser)
    return parser
