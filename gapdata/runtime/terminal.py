"""Print text for people, without control characters that foreign text may hold.

A label, a description or the name of a file may hold escape sequences that set the title of a terminal, change colours,
or write to the clipboard. All text for people is printed by :func:`say`; JSON escapes such characters by itself.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters except tab and line feed
    "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # the direction of writing
    "\ud800-\udfff]"  # surrogates, which cannot be encoded
)


def printable(text: str) -> str:
    r"""Return the text with every character that would control a terminal as an escape, such as ``\x1b``."""
    return STEERING.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def say(text: object, *, error: bool = False) -> None:
    """Print a text for people, to standard output or, as progress and errors are, to standard error."""
    print(printable(str(text)), file=sys.stderr if error else sys.stdout, flush=error)


def say_result(facts: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print the result of a command: a JSON object for programs, or a text for people."""
    if as_json:
        print(json.dumps(facts))
    else:
        say(text)
