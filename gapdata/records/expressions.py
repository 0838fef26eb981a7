"""Read the language of a record: descriptions of its objects, and conversations out of annotation files.

``Record.expressions`` holds plain JSON dictionaries; these functions return them typed. Each has a ``kind``:

* ``description``: ``object_id, ann_id, object_name, text, unique``, about one object (ScanRefer, Scan2Cap);
* ``conversation``: ``task, question, answer, mark, source, index``, question and answer exactly as in the annotation
  file, and the marked pixel ``[frame position, u, v]`` of the stored image or null. Questions of published benchmarks
  also have ``benchmark, question_type, answers, options, id, object_ids, marks``, as far as their file says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gapdata.annotations.benchmark import ColorMark
from gapdata.errors import ShardError
from gapdata.prompts.colored_shapes import COLOR_NAMES
from gapdata.records.schema import Record

KINDS = ("description", "conversation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A description of one object. ``unique``: no other described object of the scene has the same class."""

    object_id: int
    ann_id: str
    object_name: str  # as in the file, e.g. "office_chair"
    text: str
    unique: bool | None = None  # None where it is not known

    def to_fields(self) -> dict[str, Any]:
        """Return the dictionary that a record stores."""
        return {
            "kind": "description",
            "object_id": self.object_id,
            "ann_id": self.ann_id,
            "object_name": self.object_name,
            "text": self.text,
            "unique": self.unique,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A question and its answer from an annotation file, verbatim.

    The last seven fields say how a published benchmark asks and scores its question.
    """

    task: str
    question: str
    answer: str
    mark: tuple[int, float, float] | None  # position in the view, u, v in pixels of the stored image
    source: str  # name of the file
    index: int  # position in it
    benchmark: str | None = None  # such as "vsi-bench"; None: the file is not a benchmark's
    question_type: str | None = None  # the benchmark's own name of it, such as "object_rel_direction_easy"
    answers: tuple[str, ...] = ()  # all that are accepted, of which ``answer`` is one
    options: tuple[str, ...] = ()  # of a question with a choice, as the file has them
    id: str | None = None  # the question's own, in its benchmark
    object_ids: tuple[int, ...] = ()  # objects of the scene that the file says it is about
    marks: tuple[ColorMark, ...] = ()  # SPAR's discs and boxes, in pixels of the stored images

    def to_fields(self) -> dict[str, Any]:
        """Return the dictionary that a record stores; fields of benchmarks only where they say something."""
        of_benchmark = {
            "benchmark": self.benchmark,
            "question_type": self.question_type,
            "answers": list(self.answers),
            "options": list(self.options),
            "id": self.id,
            "object_ids": list(self.object_ids),
            "marks": [[frame, color, *place] for frame, color, place in self.marks],
        }
        return {
            "kind": "conversation",
            "task": self.task,
            "question": self.question,
            "answer": self.answer,
            "mark": None if self.mark is None else list(self.mark),
            "source": self.source,
            "index": self.index,
            **{name: value for name, value in of_benchmark.items() if value},
        }


def descriptions(record: Record) -> tuple[Expression, ...]:
    """Return the descriptions of a record, in its order.

    Raises:
        ShardError: an expression is of a kind that this version does not know, or lacks a field.
    """
    return tuple(item for item in _read(record) if isinstance(item, Expression))


def conversations(record: Record) -> tuple[Conversation, ...]:
    """Return the conversations of a record, in its order.

    Raises:
        ShardError: an expression is of a kind that this version does not know, or lacks a field.
    """
    return tuple(item for item in _read(record) if isinstance(item, Conversation))


def _read(record: Record) -> list[Expression | Conversation]:
    found = []
    for position, fields in enumerate(record.expressions):
        try:
            found.append(_expression(fields))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ShardError(
                f"record {record.key}: expression {position} is malformed: {type(error).__name__} {error}",
                cure="upgrade gapmllm, or run `gapdata verify` on the build",
            ) from error
    return found


def _expression(fields: Mapping[str, Any]) -> Expression | Conversation:
    kind = fields.get("kind")
    if kind == "description":
        unique = fields.get("unique")
        return Expression(
            object_id=int(fields["object_id"]),
            ann_id=str(fields["ann_id"]),
            object_name=str(fields["object_name"]),
            text=str(fields["text"]),
            unique=None if unique is None else bool(unique),
        )
    if kind == "conversation":
        return Conversation(
            task=str(fields["task"]),
            question=str(fields["question"]),
            answer=str(fields["answer"]),
            mark=_mark(fields["mark"]),
            source=str(fields["source"]),
            index=int(fields["index"]),
            benchmark=_name(fields.get("benchmark")),
            question_type=_name(fields.get("question_type")),
            answers=tuple(map(str, _listed(fields.get("answers")))),
            options=tuple(map(str, _listed(fields.get("options")))),
            id=_name(fields.get("id")),
            object_ids=tuple(map(int, _listed(fields.get("object_ids")))),
            marks=tuple(map(_color_mark, _listed(fields.get("marks")))),
        )
    raise ValueError(f"kind {kind!r} is not one of {', '.join(KINDS)}")


def _name(value: Any) -> str | None:
    return None if value is None else str(value)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list | None):
        raise TypeError(f"{type(value).__name__} instead of a list")
    return value or []


def _mark(value: Any) -> tuple[int, float, float] | None:
    if value is None:
        return None
    frame, u, v = value
    return int(frame), float(u), float(v)


def _color_mark(value: Any) -> ColorMark:
    frame, color, *place = value
    if color not in COLOR_NAMES or len(place) not in (2, 4):
        raise ValueError(f"{str(value)[:60]} is not a disc or a box")
    return int(frame), str(color), tuple(map(float, place))
