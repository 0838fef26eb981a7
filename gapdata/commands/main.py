"""The command ``gapdata``: results go to standard output, progress and errors to standard error.

Exit status: 0 complete; 1 unexpected; 2 usage, recipe or fingerprint; 3 complete, but something was quarantined, or a
scene or the whole build is empty because its depth is; 4 damaged shards; 130 and 143 stopped in order by SIGINT and
SIGTERM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gapdata.commands import build_shards, export, inspect, questions, report, sources, status, synth, verify, view
from gapdata.commands.program import Command, program_parser, run_command

COMMANDS: Mapping[str, Command] = {
    "build-shards": build_shards,
    "synth": synth,
    "sources": sources,
    "inspect": inspect,
    "questions": questions,
    "status": status,
    "verify": verify,
    "view": view,
    "report": report,
    "export": export,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name (by default, those of the process) and return the exit status."""
    parser = program_parser("gapdata", "Raw RGB-D scans in, training-ready WebDataset shards out.", COMMANDS)
    return run_command("gapdata", parser.parse_args(arguments))
