"""A command line of several commands: its parser, and its errors as one line and an exit status each.

A command is a file with ``HELP``, ``add_arguments(parser)`` and ``run(options) -> int``; heavy imports stay inside
``run``, so that help answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from typing import Protocol

from gapdata import __version__
from gapdata.commands.argument_types import Parser
from gapdata.commands.completion import add_completion
from gapdata.errors import GapDataError, describe_refusal, describe_shortage
from gapdata.runtime.terminal import say

INTERRUPTED = 130


class Command(Protocol):
    """What the file of a command defines."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Add the arguments besides ``--debug``."""
        ...

    def run(self, options: argparse.Namespace, /) -> int:
        """Do what the command line asks for and return the exit status."""
        ...


def program_parser(name: str, description: str, commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """Return the parser of a program with these commands, and ``completion`` besides."""
    parser = Parser(prog=name, description=description, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"{name} {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command_name, command in commands.items():
        own = subparsers.add_parser(command_name, help=command.HELP, description=command.HELP, allow_abbrev=False)
        own.add_argument("--debug", action="store_true", help="show the traceback of an error")
        own.set_defaults(run=command.run)
        command.add_arguments(own)
    add_completion(subparsers, parser)
    return parser


def run_command(program: str, options: argparse.Namespace) -> int:
    """Run ``options.run`` and return the exit status; an error becomes one line, or a traceback with ``--debug``."""
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        say(f"{program}: interrupted; the same command goes on where this one stopped", error=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has seen enough (`gapdata ... | head`); the interpreter must not complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (GapDataError, OSError, ImportError, MemoryError) as error:
        line = _line(error)
        if options.debug or line is None:
            raise
        say(f"{program}: {line}", error=True)
        return error.exit_status if isinstance(error, GapDataError) else 1


def _line(error: GapDataError | OSError | ImportError | MemoryError) -> str | None:
    """Return an error in one line; ``None`` for an import error that the user cannot do anything about."""
    if isinstance(error, GapDataError):
        return str(error)
    return describe_refusal(error) if isinstance(error, OSError) else describe_shortage(error)
