"""Shell completion: a script for bash or zsh, written from the argparse tree, so it knows every command and option.

::

    eval "$(gapdata completion bash)"      # in ~/.bashrc; for zsh in ~/.zshrc, after compinit

A value that is a path is completed as one, a value with few choices by these, any other not at all. The script is
plain text that is made once: pressing a key starts no Python.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gapdata.commands.argument_types import annotation_file, local, place

SHELLS = ("bash", "zsh")
PATH_TYPES: tuple[Any, ...] = (Path, local, place, annotation_file)


def add_completion(commands: Any, parser: argparse.ArgumentParser) -> None:
    """Add the command ``completion`` to a parser's commands."""
    text = "Print a script for bash or zsh that completes this program's commands, options and files."
    usage = f'For good: put eval "$({parser.prog} completion bash)" into ~/.bashrc (or zsh, ~/.zshrc).'
    own = commands.add_parser("completion", help=text, description=f"{text} {usage}", allow_abbrev=False)
    own.add_argument("shell", choices=SHELLS)
    own.set_defaults(run=lambda options: print(completion_script(parser, options.shell)) or 0, debug=False)


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """What ``shell`` evaluates to complete the words of ``parser.prog``."""
    return (_bash if shell == "bash" else _zsh)(parser)


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command; the program's own under the empty name."""
    found = {"": parser}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


def _summaries(parser: argparse.ArgumentParser) -> dict[str, str]:
    """What each command does, as the program's help says it."""
    shown = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return {choice.dest: choice.help or "" for action in shown for choice in action._choices_actions}


def _values(action: argparse.Action) -> list[str] | None:
    """What may follow an option, or stand at a place: its choices, nothing that can be listed, ``None`` for a path."""
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    if action.type in PATH_TYPES:
        return None
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    return metavar.split("|") if "|" in metavar else []


def _bash(parser: argparse.ArgumentParser) -> str:
    tree = _commands(parser).items()
    name = re.sub(r"\W", "_", parser.prog)
    cases = [line for command, own in tree for line in _bash_cases(command, own)]
    known = {command: [name for action in own._actions for name in action.option_strings] for command, own in tree}
    options = [f'        "{command}") options="{" ".join(names)}" ;;' for command, names in known.items()]
    places = {
        command: [value for action in own._actions if not action.option_strings for value in _values(action) or []]
        for command, own in tree
    }
    words = [f'        "{command}") words="{" ".join(values)}" ;;' for command, values in places.items() if values]
    commands = "|".join(command for command in known if command)
    return "\n".join(
        [
            f"# bash completion of {parser.prog}: no match leaves the word to the shell, which completes file names.",
            f"_{name}_completion() {{",
            '    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"',
            '    local command="" word options="" words=""',
            "    COMPREPLY=()",
            "    # Bash takes --option=value for three words.",
            '    if [ "$current" = "=" ]; then current=""; '
            'elif [ "$previous" = "=" ]; then previous="${COMP_WORDS[COMP_CWORD-2]}"; fi',
            '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
            f'        case "$word" in {commands}) command="$word"; break ;; esac',
            "    done",
            '    case "$command $previous" in',
            *cases,
            "    esac",
            '    case "$command" in',
            *options,
            "    esac",
            '    case "$command" in',
            *words,
            "    esac",
            '    case "$current" in -*) words="$options" ;; esac',
            '    COMPREPLY=($(compgen -W "$words" -- "$current"))',
            "}",
            f"complete -o bashdefault -o default -F _{name}_completion {parser.prog}",
        ]
    )


def _bash_cases(command: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    """What follows each option that takes a value: its choices, a file name (which bash completes itself), nothing."""
    free = []
    for action in parser._actions:
        if not action.option_strings or action.nargs == 0:
            continue
        values = _values(action)
        patterns = "|".join(f'"{command} {option}"' for option in action.option_strings)
        if values is None:
            yield f"        {patterns}) return ;;"
        elif values:
            yield f'        {patterns}) COMPREPLY=($(compgen -W "{" ".join(values)}" -- "$current")); return ;;'
        else:
            free.append(patterns)
    if free:
        # Bash 3 has no compopt and offers files there, which does no harm.
        yield f"        {'|'.join(free)}) compopt +o default +o bashdefault 2>/dev/null; return ;;"


def _zsh(parser: argparse.ArgumentParser) -> str:
    name = re.sub(r"\W", "_", parser.prog)
    summaries = _summaries(parser)
    listed = [f"        {_quoted(f'{_escaped(command)}:{text}')}" for command, text in summaries.items()]
    branches = []
    for command, own in _commands(parser).items():
        if command:
            specs = " \\\n".join(f"                    {spec}" for spec in _zsh_specs(own))
            branches.append(f"                {command}) _arguments \\\n{specs} ;;")
    top = " ".join(spec for spec in _zsh_specs(parser) if "->" not in spec)
    return "\n".join(
        [
            f"#compdef {parser.prog}",
            f"_{name}() {{",
            "    local context state state_descr line",
            "    typeset -A opt_args",
            "    local -a commands",
            "    commands=(",
            *listed,
            "    )",
            f"    _arguments -C {top} ': :->command' '*:: :->arguments'",
            "    case $state in",
            f"        command) _describe -t commands '{parser.prog} command' commands ;;",
            "        arguments)",
            "            case $words[1] in",
            *branches,
            "            esac ;;",
            "    esac",
            "}",
            f"compdef _{name} {parser.prog}",
        ]
    )


def _zsh_specs(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The specifications of ``_arguments`` for a command's options and places."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        values = _values(action)
        label = _escaped(str(action.metavar or action.dest))
        value = f":{label}:" + ("_files" if values is None else f"({' '.join(values)})" if values else " ")
        if not action.option_strings:
            yield _quoted(value)
            continue
        text = re.sub(r"([][:\\])", r"\\\1", (action.help or "").replace("%%", "%"))
        repeated = "*" if isinstance(action, argparse._AppendAction) or action.nargs == "+" else ""
        for option in action.option_strings:
            yield _quoted(f"{repeated}{option}[{text}]" + ("" if action.nargs == 0 else value))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", r"\:")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
