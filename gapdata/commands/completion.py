"""The command ``completion`` of every program: a script that completes its commands, options, choices and files.

::

    eval "$(gapdata completion bash)"      # in ~/.bashrc; for zsh in ~/.zshrc, after compinit

shtab writes the script from the parser. It is plain text: pressing a key starts no Python.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gapdata.commands.argument_types import annotation_file, local, place

SHELLS = ("bash", "zsh")
PATH_TYPES: tuple[Any, ...] = (Path, local, place, annotation_file)
PATH_METAVARS = ("[NAME=]BUILD",)


def add_completion(commands: argparse._SubParsersAction[Any], program: argparse.ArgumentParser) -> None:
    """Add the command ``completion`` to a program's commands."""
    text = "Print a script for bash or zsh that completes this program's commands, options and files."
    usage = f'To keep it: put eval "$({program.prog} completion bash)" into ~/.bashrc (or zsh, ~/.zshrc).'
    parser = commands.add_parser("completion", help=text, description=f"{text} {usage}", allow_abbrev=False)
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=lambda options: print(completion_script(program, options.shell)) or 0, debug=False)


def completion_script(program: argparse.ArgumentParser, shell: str) -> str:
    """Return what ``shell`` evaluates to complete the words of a program."""
    import shtab

    for action in _arguments(program):
        if action.type in PATH_TYPES or action.metavar in PATH_METAVARS:
            action.complete = shtab.FILE  # type: ignore[attr-defined] # shtab's own way to be told
        elif isinstance(action.metavar, str) and "|" in action.metavar:
            action.choices = action.metavar.split("|")
    return shtab.complete(program, shell)


def _arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Return all arguments of a parser and of its commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _arguments(command)
        else:
            yield action
