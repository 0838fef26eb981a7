"""Survey a pickle before anything is built from it: every opcode is checked, and the sizes that it states are limited.

Only the opcodes with which Python 3 writes plain data and numpy arrays are allowed (protocol 2 to 5). A pickle is a
program, and the refused opcodes call classes, import by number, load from outside or edit the stack. The survey also
notes which entries of the memo are read again: writers memoise everything, but only a handful must be kept in memory.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import Final

PROTOCOLS = (2, 3, 4, 5)
MAX_OPCODES = 400_000_000
MAX_CONTAINERS = 30_000_000
"""Most lists, dictionaries, tuples and arrays; a file with a million images has some five million."""
MAX_GLOBAL = 128  # bytes of the module's and the name's line

CODES: Final = {opcode.name: ord(opcode.code) for opcode in pickletools.opcodes}

_FIXED = {
    **dict.fromkeys(("MARK", "STOP", "NONE", "NEWTRUE", "NEWFALSE"), 0),
    **dict.fromkeys(("APPEND", "APPENDS", "SETITEM", "SETITEMS", "MEMOIZE", "STACK_GLOBAL", "BUILD"), 0),
    **dict.fromkeys(("BININT1", "BINPUT"), 1),
    **{"BININT2": 2, "BININT": 4, "LONG_BINPUT": 4, "BINFLOAT": 8, "FRAME": 8},
}
"""Bytes of the argument, by opcode."""
_CONTAINERS = ("EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "REDUCE")
_COUNTED = {
    **dict.fromkeys(("SHORT_BINUNICODE", "SHORT_BINBYTES", "LONG1"), 1),
    **dict.fromkeys(("BINUNICODE", "BINBYTES"), 4),
    **dict.fromkeys(("BINUNICODE8", "BINBYTES8", "BYTEARRAY8"), 8),
}
"""Bytes of the length in front of the argument, by opcode."""

_CONTAINER, _COUNT1, _COUNT4, _COUNT8, _READ1, _READ4, _LINES, _REFUSED = range(-1, -9, -1)


def _arguments() -> list[int]:
    """Return for each opcode the size of its fixed argument, or a negative number for the way to find it."""
    table = [_REFUSED] * 256
    for name, size in _FIXED.items():
        table[CODES[name]] = size
    for name in _CONTAINERS:
        table[CODES[name]] = _CONTAINER
    for name, width in _COUNTED.items():
        table[CODES[name]] = {1: _COUNT1, 4: _COUNT4, 8: _COUNT8}[width]
    table[CODES["BINGET"]], table[CODES["LONG_BINGET"]], table[CODES["GLOBAL"]] = _READ1, _READ4, _LINES
    return table


_ARGUMENT = _arguments()
_NAMES = {code: name for name, code in CODES.items()}


class Refused(Exception):
    """A pickle is damaged, or does something that is not allowed; the text says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The result of the survey."""

    reread: frozenset[int]  # memo entries that an opcode reads


def survey(data: bytes) -> Survey:
    """Walk over a whole pickle.

    Raises:
        Refused: it is not a pickle of protocol 2 to 5, uses another opcode, ends early, or states sizes too large.
    """
    if len(data) < 3 or data[0] != CODES["PROTO"] or data[1] not in PROTOCOLS:
        raise Refused("is not a pickle of protocol 2 to 5")
    reread: set[int] = set()
    containers = 0
    position, size, stop = 2, len(data), CODES["STOP"]
    for _ in range(MAX_OPCODES):
        if position >= size:
            raise Refused("ends before its STOP opcode")
        code = data[position]
        argument = _ARGUMENT[code]
        if argument >= 0:
            position += 1 + argument
            if code == stop:
                return Survey(reread=frozenset(reread))
        elif argument == _CONTAINER:
            position += 1
            containers += 1
            if containers > MAX_CONTAINERS:
                raise Refused(f"holds more than {MAX_CONTAINERS} lists, dictionaries, tuples and arrays")
        elif argument == _READ1:
            reread.update(data[position + 1 : position + 2])
            position += 2
        elif argument == _READ4:
            reread.add(int.from_bytes(data[position + 1 : position + 5], "little"))
            position += 5
        else:
            position = _past_argument(data, position, code, argument)
    raise Refused(f"has more than {MAX_OPCODES} opcodes")


def _past_argument(data: bytes, position: int, code: int, argument: int) -> int:
    """Return the position after an opcode with an argument of variable size."""
    if argument == _REFUSED:
        name = _NAMES.get(code, f"number {code}")
        raise Refused(f"uses opcode {name} at byte {position}, which plain data and numpy arrays do not need")
    if argument == _LINES:
        middle = data.find(b"\n", position, position + MAX_GLOBAL)
        end = data.find(b"\n", middle + 1, position + MAX_GLOBAL)
        if middle < 0 or end < 0:
            raise Refused(f"does not name a module and a function at byte {position}")
        return end + 1
    width = {_COUNT1: 1, _COUNT4: 4, _COUNT8: 8}[argument]
    count = int.from_bytes(data[position + 1 : position + 1 + width], "little")
    end = position + 1 + width + count
    if end > len(data):
        raise Refused(f"states {count} bytes at byte {position}, but only {len(data) - position} follow")
    return end
