"""A spatial question with its provenance, and the two forms of its answer: a number, or a letter."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gapdata.tasks.chat import Mark, Question, Unparsable, image_placeholders

Metric = Literal["number", "letter"]
LETTERS = "ABCDEFGH"
MAX_CHARACTERS = 10_000
"""Longest answer that is read: a bare number or letter has a few characters."""
NUMBER = re.compile(r"[-+\u2212]?\d{1,12}(?:\.\d{0,12})?")
LETTER = re.compile(r"\(?([A-Ha-h])(?:[).:]|\b)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpatialQuestion:
    """One question about a view, with what it is about and how sure its answer is."""

    kind: str
    """The type of question, a key of :data:`gapdata.tasks.spatial.kinds.KINDS`."""
    form: str = ""
    """Which form of the type it is, where the type has several, such as ``quarters`` of a direction."""
    text: str
    """The question, without the placeholders of the frames."""
    answer: str
    """The bare number, rounded once, or the letter."""
    value: float
    """Of a number the unrounded answer; of a letter the figure that decides it, such as a distance or an angle."""
    margin: float
    """How far ``value`` may be off, in its own unit, before the answer is another one; 0 for a number, whose error is
    scored as it is."""
    options: tuple[str, ...] = ()
    """Of a letter: the texts of A, B, ..."""
    object_ids: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    """The names of objects in the question, in the order of ``object_ids``; of a count the one name of them all."""
    frames: tuple[int, ...] = ()
    """Positions in the view that the question names; empty where it is about all frames."""
    marks: tuple[Mark, ...] = ()
    mesh_value: float | None = None
    """Of a distance of boxes: the distance of the objects' meshes, metres; ``None`` where it is not known."""

    @property
    def fewest_frames(self) -> int:
        """The frames that a view has at least if it has all that the question names or marks."""
        return 1 + max((*self.frames, *(mark.frame for mark in self.marks)), default=-1)

    def to_question(self, frames: int) -> Question:
        """Return the question as a model reads it, about a view of so many frames."""
        return Question(text=image_placeholders(frames) + self.text, answer=self.answer, marks=self.marks)


def number_text(value: float, decimals: int) -> str:
    """Write a number answer: plain decimals, and never a negative zero."""
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def with_letters(text: str, options: Sequence[str]) -> str:
    """Return a question with its options below, one a line, and the request for a letter."""
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return "\n".join([text, *lines, "Answer with the letter."])


def shuffled(right: str, wrong: Sequence[str], rng: np.random.Generator) -> tuple[tuple[str, ...], str]:
    """Return options in random order, and the letter of the right one: every letter is right equally often."""
    texts = [right, *wrong]
    order = rng.permutation(len(texts)).tolist()
    return tuple(texts[place] for place in order), LETTERS[order.index(0)]


def frame_name(frame: int) -> str:
    """Return how questions name a frame by its position in the view: from 1, as people count."""
    return f"frame {frame + 1}"


def parse_number(text: str) -> float | Unparsable:
    """Read a model's number: the first one in its text. Never raises."""
    found = NUMBER.search(text[:MAX_CHARACTERS].replace(",", ""))
    if found is None:
        return Unparsable("no number")
    value = float(found[0].replace("\u2212", "-"))
    return value if math.isfinite(value) else Unparsable("no finite number")


def parse_letter(text: str) -> str | Unparsable:
    """Read a model's letter: the first capital letter that stands alone, with or without a bracket. Never raises."""
    found = LETTER.match(text[:MAX_CHARACTERS].lstrip(" \t\r\n*_`\"'"))
    return Unparsable("does not begin with a letter") if found is None else found[1].upper()
