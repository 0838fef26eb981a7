"""A question of a published benchmark about a scan, and how its fields are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from gapdata.annotations.kept_rows import KeptRows, LeftOut
from gapdata.files.checked_values import MAX_ID, MAX_TEXT, NAME_CHARACTERS, number, text

Benchmark = Literal["vsi-bench", "spar-bench", "spar-7m", "scanqa", "sqa3d"]
BENCHMARKS: tuple[str, ...] = get_args(Benchmark)
TASK = "benchmark"
"""The ``task`` of a stored conversation that asks a benchmark's question; how it is scored follows from ``benchmark``
and ``question_type``."""
IMAGE = "<image>"
ColorMark = tuple[int, str, tuple[float, ...]]
"""A disc or a box that a question points with: the position of its frame, its colour, and x and y of its centre, or
left, top, right and bottom."""
SHORT_ANSWER = "Answer the question using a single word or phrase."
"""The end of ScanQA's and SQA3D's questions in the data of Chat-Scene and LLaVA-3D; these benchmarks, which were made
for classifiers, have no wording of their own, and their scores compare whole answers."""
MAX_OPTIONS = 26
MAX_ANSWERS = 100
NUMBER_CHARACTERS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkQuestion:
    """A question as a model reads it, without the placeholders of the frames, and what its benchmark accepts."""

    scene_id: str
    benchmark: Benchmark
    question: str
    answer: str
    source: str  # the file's name
    index: int  # position of the question in its file
    question_type: str | None = None  # the benchmark's own name
    answers: tuple[str, ...] = ()  # all that are accepted, of which ``answer`` is one
    options: tuple[str, ...] = ()  # of a choice, as the file has them
    id: str | None = None
    frame_ids: tuple[int, ...] = ()
    """Raw frames that the question is about, in its order; empty: it is about the whole scan."""
    object_ids: tuple[int, ...] = ()  # objects that the file says it is about
    marks: tuple[ColorMark, ...] = ()  # in thousandths of the image's sides

    @property
    def task(self) -> str:
        """The task of the conversation that asks it."""
        return TASK

    @property
    def key(self) -> tuple[Any, ...]:
        """What no other question has: the benchmark's id, or what is asked of which frames where ids repeat."""
        if self.id is not None and not self.frame_ids:
            return self.benchmark, self.id
        return self.benchmark, self.question_type, self.question, self.frame_ids, self.marks

    @property
    def repeated(self) -> tuple[str, Any]:
        """The reason why a second one with this key is left out, and its id."""
        return "repeated_question", self.id


Questions = KeptRows[BenchmarkQuestion]
"""The questions of one file by scene."""


def asked(value: Any, what: str = "question") -> str:
    """Return the text of a question, or of the part of it that ``what`` names.

    Raises:
        LeftOut: it is not text, or has placeholders of frames, which would be taken for frames.
    """
    question = text(value, MAX_TEXT)
    if question is None:
        raise LeftOut(f"{what}_is_not_text", value)
    if IMAGE in question:
        raise LeftOut(f"{what}_holds_an_image_placeholder", value)
    return question


def question_id(value: Any) -> str:
    """Return a question's id, a number or a text.

    Raises:
        LeftOut: it is neither.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return str(value)
    found = text(value, NAME_CHARACTERS)
    if found is None:
        raise LeftOut("question_without_id", value)
    return found


def texts(value: Any, reason: str, most: int, characters: int = MAX_TEXT) -> tuple[str, ...]:
    """Return one or more texts of a list.

    Raises:
        LeftOut: it is not a list of 1 to ``most`` texts; for ``reason``.
    """
    if not isinstance(value, list) or not 0 < len(value) <= most:
        raise LeftOut(reason, len(value) if isinstance(value, list) else value)
    found = [text(item, characters) for item in value]
    if None in found:
        raise LeftOut(reason, next(item for item, kept in zip(value, found, strict=True) if kept is None))
    return tuple(item for item in found if item is not None)


def number_text(value: Any) -> str:
    """Return a true answer that is a number, as the file writes it.

    Raises:
        LeftOut: it is not a finite number, or a huge one.
    """
    written = value if isinstance(value, str) else repr(value) if number(value) is not None else None
    if written is None or len(written) > NUMBER_CHARACTERS:
        raise LeftOut("true_answer_is_not_a_number", value)
    try:
        found = float(written)
    except ValueError:
        raise LeftOut("true_answer_is_not_a_number", value) from None
    if not 0 <= abs(found) <= MAX_ID:  # NaN is not
        raise LeftOut("true_answer_is_not_a_number", value)
    return written


def letter(value: Any, options: tuple[str, ...]) -> str:
    """Return a true answer that is the letter of an option.

    Raises:
        LeftOut: it is not.
    """
    if not isinstance(value, str) or len(value) != 1 or not 0 <= ord(value) - ord("A") < len(options):
        raise LeftOut("true_answer_is_not_an_option", value)
    return value
