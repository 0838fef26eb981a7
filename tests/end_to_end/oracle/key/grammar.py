"""A grammar of spatial questions: a text is read into what it asks, and what it asks is written as the same text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

CLOSING = "Answer with the letter."
LETTERS = "ABCDEFGH"
NAME = r"[a-z0-9][a-z0-9 '/&-]*?"
FRAME = r"frame [1-9][0-9]*"
STAND = "I stand at the {name} and face the {name}. "
IMAGINE = "Imagine that I stand at the {name}, face the {name} and hold my head level. "
SIGHT = "In {frame}, as the camera sees it, is the {name} "
MOVE = "From {frame} to {frame}, how far does the camera move "
TURN = "From {frame} to {frame}, by how many degrees does the camera turn "


class NotUnderstood(ValueError):
    """A text that the grammar does not have."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question asks."""

    kind: str
    form: str
    """Which of the kind's sentences it is; empty where there is one."""
    names: tuple[str, ...] = ()  # of objects, in the order of the sentence
    frames: tuple[int, ...] = ()  # positions in the view, from 0
    options: tuple[str, ...] = field(default=())  # of a letter


@dataclass(frozen=True, slots=True)
class Sentence:
    """A form of a kind: literal text with slots ``{name}`` and ``{frame}``."""

    kind: str
    form: str
    text: str
    options: tuple[int, int] = (0, 0)
    """The fewest and the most options below it; none where the answer is a number."""


SENTENCES = (
    Sentence("count", "", "How many objects of the kind {name} are in this room? Answer with the number."),
    Sentence(
        "distance",
        "",
        "What is the distance between the {name} and the {name}, measured between their nearest points? "
        "Answer in metres.",
    ),
    Sentence("nearest", "", "Which of these is nearest to the {name}, measured between nearest points?", (2, 4)),
    Sentence(
        "size",
        "",
        "How long is the longest side (length, width or height) of the {name}? Answer in centimetres.",
    ),
    Sentence("room", "", "How large is the floor of this room? Answer in square metres."),
    Sentence("direction", "sides", STAND + "Is the {name} to my left or to my right?", (2, 2)),
    Sentence(
        "direction",
        "thirds",
        STAND
        + "Is the {name} to my left, to my right or behind me, where behind means a turn of at least 135 degrees?",
        (3, 3),
    ),
    Sentence("direction", "quarters", STAND + "In which quarter is the {name}?", (4, 4)),
    Sentence("order", "", "In which order do these appear first in the frames?", (2, 4)),
    Sentence(
        "camera_distance",
        "",
        "In {frame}, how far is the camera from the nearest point of the {name}? Answer in metres.",
    ),
    Sentence(
        "pixel_depth",
        "depth",
        "In {frame}, how far is the point at the red cross from the camera, measured along the viewing direction? "
        "Answer in metres.",
    ),
    Sentence(
        "pixel_depth",
        "distance",
        "In {frame}, how far is the point at the red cross from the camera, in a straight line? Answer in metres.",
    ),
    Sentence("depth_order", "", "Which of the numbered crosses in {frame} is nearest to the camera?", (2, 4)),
    Sentence("relation", "side", SIGHT + "to the left or to the right of the {name}?", (2, 2)),
    Sentence("relation", "height", SIGHT + "above or below the {name}?", (2, 2)),
    Sentence("relation", "depth", SIGHT + "nearer or farther than the {name}?", (2, 2)),
    Sentence(
        "correspondence",
        "",
        "Cross 1 in {frame} marks a point. Which cross in {frame} marks the same point?",
        (2, 4),
    ),
    *(
        Sentence("camera_motion", way, f"{MOVE}{way}, in metres, negative for {back}? Answer in metres.")
        for way, back in (("right", "left"), ("up", "down"), ("forward", "backward"))
    ),
    *(
        Sentence("camera_motion", f"turn {way}", f"{TURN}{way}, negative for {back}? Answer in degrees.")
        for way, back in (("right", "left"), ("up", "down"))
    ),
    Sentence("camera_direction", "", "From {frame} to {frame}, in which direction does the camera move most?", (2, 6)),
    Sentence("imagined_view", "side", IMAGINE + "Is the {name} to the left or to the right of the {name}?", (2, 2)),
    Sentence("imagined_view", "depth", IMAGINE + "Is the {name} nearer or farther than the {name}?", (2, 2)),
    Sentence(
        "route",
        "",
        STAND
        + "I walk to the {name}, then turn and walk to the {name}. How do I turn at the {name}, where back means a "
        "turn of at least 135 degrees, and straight on one of at most 45?",
        (3, 4),
    ),
)
KINDS = tuple(dict.fromkeys(sentence.kind for sentence in SENTENCES))
SLOT = re.compile(r"\{(name|frame)\}")


def parse(text: str) -> Asked:
    """Read a question.

    Raises:
        NotUnderstood: no sentence, or more than one, reads like this, or its options are not in order.
    """
    head, *below = text.split("\n")
    options: tuple[str, ...] = ()
    if below:
        if below[-1] != CLOSING:
            raise NotUnderstood(f"does not end with {CLOSING!r}: {text!r}")
        for letter, line in zip(LETTERS, below[:-1], strict=False):
            if not line.startswith(f"{letter}. ") or line != line.strip():
                raise NotUnderstood(f"option {letter} is not in its place: {text!r}")
        options = tuple(line[3:] for line in below[:-1])
    read = [asked for sentence in SENTENCES if (asked := _read(sentence, head, options)) is not None]
    if len(read) != 1:
        raise NotUnderstood(f"{len(read)} sentences read like {text!r}")
    return read[0]


def render(asked: Asked) -> str:
    """Write a question."""
    sentence = _sentence(asked.kind, asked.form)
    names, frames = iter(_repeated(sentence, asked.names)), iter(asked.frames)
    head = SLOT.sub(
        lambda slot: next(names) if slot[1] == "name" else f"frame {next(frames) + 1}",
        sentence.text,
    )
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, asked.options, strict=False)]
    return "\n".join([head, *lines, CLOSING]) if lines else head


def _sentence(kind: str, form: str) -> Sentence:
    return next(sentence for sentence in SENTENCES if (sentence.kind, sentence.form) == (kind, form))


def _repeated(sentence: Sentence, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of all slots: a route names the place of its turn three times."""
    if sentence.kind != "route":
        return names
    start, way, end = names
    return start, way, way, end, way


def _read(sentence: Sentence, head: str, options: tuple[str, ...]) -> Asked | None:
    fewest, most = sentence.options
    found = _pattern(sentence).fullmatch(head)
    if found is None or not fewest <= len(options) <= most or len(set(options)) != len(options):
        return None
    slots = SLOT.findall(sentence.text)
    names = tuple(text for slot, text in zip(slots, found.groups(), strict=True) if slot == "name")
    frames = tuple(int(text[6:]) - 1 for slot, text in zip(slots, found.groups(), strict=True) if slot == "frame")
    if sentence.kind == "route":
        start, way, again, end, once_more = names
        if not way == again == once_more:
            return None
        names = (start, way, end)
    return Asked(sentence.kind, sentence.form, names, frames, options)


@cache
def _pattern(sentence: Sentence) -> re.Pattern[str]:
    pieces = SLOT.split(sentence.text)
    slots = {"name": f"({NAME})", "frame": f"({FRAME})"}
    return re.compile("".join(slots[piece] if place % 2 else re.escape(piece) for place, piece in enumerate(pieces)))
