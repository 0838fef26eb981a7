"""Ways to damage a file: bytes whose meaning is not known, and trees of JSON that stay well-formed.

Every choice is drawn from the generator that is handed in, so a case is known by its number.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**60, 2**63 - 1, 2**63, 2**64 - 1)
WIDTHS = {1: "B", 2: "H", 4: "I", 8: "Q"}
DEPTH = 10_000
RAW = {
    '"@deep list@"': "[" * DEPTH + "]" * DEPTH,
    '"@deep object@"': '{"a":' * DEPTH + "1" + "}" * DEPTH,
    '"@many digits@"': "9" * 5000,
    '"@beyond floats@"': "1e999",
}
"""What ``json.dumps`` would not write, by the text that stands for it."""
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 255, 65_535, 2**31, 2**63, 2**64, -(2**70), 10**400),
    *(0.5, -0.0, 1e308, -1e308, 5e-324, math.nan, math.inf, -math.inf),
    *("", " ", "0", "nan", "\ud800", "\0", "../../../etc/passwd", "/etc/passwd", "x" * 5000, "é" * 300),
    *([], {}, [[]], [None] * 9, [0.0] * 16, [[0.0] * 4] * 4, [[1, 2], [3]], {"": None}, list(range(2000))),
    *(name.strip('"') for name in RAW),
)


def pick(rng: np.random.Generator, choices: Sequence[Any]) -> Any:
    """One of some things."""
    return choices[int(rng.integers(len(choices)))]


def damaged(data: bytes, rng: np.random.Generator, others: Sequence[bytes] = ()) -> bytes:
    """Bytes with one to four changes; ``others`` are files from which a part may come."""
    for _ in range(int(rng.integers(1, 5))):
        data = pick(rng, BYTE_CHANGES)(data, rng, others)
    return data


def _flip(data: bytes, rng: np.random.Generator, others: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        if changed:
            changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _number(data: bytes, rng: np.random.Generator, others: Sequence[bytes]) -> bytes:
    """A number of some width where a length or a count may stand: at any place, but often near the beginning."""
    width, order = pick(rng, tuple(WIDTHS)), pick(rng, "<>")
    if len(data) < width:
        return data
    place = int(rng.integers(len(data) - width + 1))
    if rng.random() < 0.5:
        place = min(place, int(rng.integers(400)))
    value = pick(rng, (*NUMBERS, len(data), len(data) - place, len(data) + 1)) % (1 << 8 * width)
    return data[:place] + struct.pack(order + WIDTHS[width], value) + data[place + width :]


def _cut(data: bytes, rng: np.random.Generator, others: Sequence[bytes]) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def _delete(data: bytes, rng: np.random.Generator, others: Sequence[bytes]) -> bytes:
    start, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 65))
    return data[:start] + data[start + length :]


def _repeat(data: bytes, rng: np.random.Generator, others: Sequence[bytes]) -> bytes:
    start, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 65))
    return data[: start + length] + data[start : start + length] * int(rng.integers(1, 20)) + data[start + length :]


def _insert(data: bytes, rng: np.random.Generator, others: Sequence[bytes]) -> bytes:
    start = int(rng.integers(len(data) + 1))
    return data[:start] + rng.bytes(int(rng.integers(1, 33))) + data[start:]


def _splice(data: bytes, rng: np.random.Generator, others: Sequence[bytes]) -> bytes:
    other = pick(rng, others) if others else data
    start, stop = int(rng.integers(len(data) + 1)), int(rng.integers(len(other) + 1))
    return data[:start] + other[stop:]


BYTE_CHANGES = (_flip, _flip, _number, _number, _number, _cut, _delete, _repeat, _insert, _splice)


def damaged_tree(tree: Any, rng: np.random.Generator, extra: Sequence[Any] = ()) -> Any:
    """A tree of lists and dictionaries with one to three changes; ``extra`` are further values to put in."""
    for _ in range(int(rng.integers(1, 4))):
        tree = _changed(tree, tree, rng, extra)
    return tree


def _changed(node: Any, root: Any, rng: np.random.Generator, extra: Sequence[Any]) -> Any:
    """The node with a change somewhere below it, or in its own place."""
    if not isinstance(node, (list, dict)) or not node or rng.random() < 0.12:
        return _replacement(node, root, rng, extra)
    if isinstance(node, list):
        place = int(rng.integers(len(node)))
        if rng.random() < 0.1:
            return pick(rng, (node[:place], node[:place] + node[place + 1 :], node + node[place:], node[::-1]))
        return [*node[:place], _changed(node[place], root, rng, extra), *node[place + 1 :]]
    name = pick(rng, tuple(node))
    if rng.random() < 0.1:
        rest = {key: value for key, value in node.items() if key != name}
        return rest if rng.random() < 0.5 else {**rest, pick(rng, ("", "\ud800", "x" * 300, "0")): node[name]}
    return {**node, name: _changed(node[name], root, rng, extra)}


def _replacement(node: Any, root: Any, rng: np.random.Generator, extra: Sequence[Any]) -> Any:
    chance = rng.random()
    if chance < 0.15:
        return _anywhere(root, rng)
    if chance < 0.25 and isinstance(node, (int, float)) and not isinstance(node, bool):
        return pick(rng, (-node, node * 1000, node + 1, str(node)[:400], [node]))
    if chance < 0.35 and isinstance(node, str):
        return pick(rng, (node[: len(node) // 2], node * 50, node + "\n" + node, node.upper(), [node]))
    return pick(rng, (*HOSTILE, *extra))


def _anywhere(node: Any, rng: np.random.Generator) -> Any:
    while isinstance(node, (list, dict)) and node and rng.random() < 0.8:
        node = node[int(rng.integers(len(node)))] if isinstance(node, list) else node[pick(rng, tuple(node))]
    return node


def written(tree: Any) -> bytes:
    """A tree as JSON, and what stands for the hostile texts of :data:`RAW` put in."""
    text = json.dumps(tree)
    for name, raw in RAW.items():
        text = text.replace(name, raw)
    return text.encode()


def damaged_json(tree: Any, rng: np.random.Generator, extra: Sequence[Any] = ()) -> bytes:
    """JSON whose content is damaged, and now and then its text, too."""
    data = written(damaged_tree(tree, rng, extra)) if rng.random() < 0.8 else written(tree)
    return damaged(data, rng) if rng.random() < 0.25 else data
