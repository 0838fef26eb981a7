"""Question files: questions that were chosen once, a JSON object a line, so that all who use them ask exactly these.

A line has the question's fields (:class:`gapdata.tasks.spatial.question.SpatialQuestion`) and where it belongs
(:class:`AskedQuestion`). Fields that are empty are left out; fields that this version does not know are passed over.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gapdata.errors import UsageError
from gapdata.files.json_shape import misfit
from gapdata.prompts.marks import MAX_MARKS
from gapdata.tasks.chat import Mark
from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.spatial.question import LETTERS, SpatialQuestion

MAX_LINE = 100_000
"""Bytes of the longest line that is read; a question has some hundreds."""
CURE = "write the file again with `gapdata questions BUILD --out FILE`"
BARE_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")
_PLACED = ("id", "key", "scene_id", "split", "place")
_SHAPE = {**dict.fromkeys(("id", "key", "scene_id", "kind", "text", "answer"), str), "value": float, "margin": float}
_OPTIONAL: dict[str, Any] = {
    "split": str,
    "place": str,
    "form": str,
    "options": [str],
    "object_ids": [int],
    "names": [str],
    "frames": [int],
    "marks": [{"frame": int, "pixel": [int], "number": int}],
    "mesh_value": float,
}
"""The fields of a line that may be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedQuestion:
    """A question with the record of a build that it is about."""

    id: str
    """``<kind>/<key>/<number>``: the same for the same record and seed, whatever else is asked."""
    key: str
    """The record's."""
    scene_id: str
    split: str = ""
    place: str = ""
    """What the scene shows, by the build's plan: scans of one place have the same. Questions about one place are right
    or wrong together, so folds and intervals are made of places."""
    question: SpatialQuestion

    @property
    def place_or_scene(self) -> str:
        """The place, or the scene where no plan tells."""
        return self.place or self.scene_id

    @property
    def name(self) -> str:
        """What it is called among the questions about its record: ``<kind>-<number>``."""
        return f"{self.question.kind}-{self.id.rpartition('/')[2]}"

    @property
    def answer_text(self) -> str:
        """The text of the right option, or the number."""
        item = self.question
        return item.options[LETTERS.index(item.answer)] if item.options else item.answer

    def to_fields(self) -> dict[str, Any]:
        """Return plain values, as a line holds them."""
        fields = {name: getattr(self, name) for name in _PLACED} | dataclasses.asdict(self.question)
        return {name: value for name, value in fields.items() if value not in ((), None, "")}

    def to_line(self) -> str:
        """Return the line of a file, with its end."""
        return json.dumps(self.to_fields()) + "\n"


def read_questions(path: Path) -> tuple[AskedQuestion, ...]:
    """Read a question file.

    Raises:
        UsageError: there is no such file, or a line of it is not a question; the message says which and why.
    """
    try:
        with open(path, "rb") as file:
            found = tuple(_lines(iter(lambda: file.readline(MAX_LINE + 1), b""), path))
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", path=path, cure="give a question file") from error
    return found


def _lines(lines: Iterator[bytes], path: Path) -> Iterator[AskedQuestion]:
    seen: set[str] = set()
    for number, line in enumerate(lines, start=1):
        try:
            item = question_of_line(line)
        except ValueError as error:
            raise UsageError(f"line {number} is not a question: {error}", path=path, cure=CURE) from error
        if item.id in seen:
            raise UsageError(f"line {number} repeats the id {item.id}", path=path, cure=CURE)
        seen.add(item.id)
        yield item


def question_of_line(line: bytes) -> AskedQuestion:
    """Read one line of a question file.

    Raises:
        ValueError: it is not a question.
    """
    if len(line) > MAX_LINE:
        raise ValueError(f"it has more than {MAX_LINE} bytes")
    try:
        fields = json.loads(line)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    shape = _SHAPE | {name: kind for name, kind in _OPTIONAL.items() if isinstance(fields, dict) and name in fields}
    problem = misfit(fields, shape)
    if problem is not None:
        raise ValueError(problem)
    own = {field.name for field in dataclasses.fields(SpatialQuestion)} - {"marks"}
    parts = {name: _frozen(value) for name, value in fields.items() if name in own}
    question = SpatialQuestion(marks=tuple(_mark(mark) for mark in fields.get("marks", ())), **parts)
    _check_answer(question)
    return AskedQuestion(question=question, **{name: fields[name] for name in _PLACED if name in fields})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _mark(fields: dict[str, Any]) -> Mark:
    if len(fields["pixel"]) != 2 or fields["number"] > MAX_MARKS:
        raise ValueError(f"a mark has not two numbers as its pixel, or has a number above {MAX_MARKS}")
    return Mark(frame=fields["frame"], pixel=(fields["pixel"][0], fields["pixel"][1]), number=fields["number"])


def _check_answer(question: SpatialQuestion) -> None:
    count = len(question.options)
    if count > len(LETTERS) or count == 1:
        raise ValueError(f"it has {count} options")
    if count and question.answer not in tuple(LETTERS[:count]):
        raise ValueError("its answer is not the letter of an option")
    if not count and not BARE_NUMBER.fullmatch(question.answer):
        raise ValueError("its answer is not a bare number")
    if len(set(question.options)) < count:
        raise ValueError("two of its options are the same")
    kind = KINDS.get(question.kind)
    if kind is not None and (kind.metric == "letter") != bool(count):
        raise ValueError(f"a question of the type {question.kind} is answered with a {kind.metric}")
