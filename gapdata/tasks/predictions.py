"""The predictions of an evaluation: what a model has answered, question by question.

::

    asked.json                   {"model", "build", "records", "asking": {task: how its questions were put}}
    predictions/part-003.jsonl   what worker 3 answered: {"id", "key", "text", "build"}, a line for each question

A question's id is its kind, the key of its record and numbers (:func:`question_id`): ``pointmap/<key>/<prompt>``,
``detection/<key>``, ``grounding/<key>/<description>``, ``grounding_box/<key>/<description>/<frame>``,
``distance/<key>/<number>``, ``vsi-bench/<key>/<conversation>``, ... ``build`` is the fingerprint of the build, so that
a file names its build wherever it is copied. Of two answers to one question the first counts. Texts are written by a
model, so only the parsers of :mod:`gapdata.tasks` read them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from gapdata.errors import UsageError
from gapdata.geometry.boxes import EulerConvention
from gapdata.runtime.counting import counted
from gapdata.tasks.labels import MissingLabel
from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.targets import TargetBox
from gapdata.tasks.task import QuestionOptions
from gapdata.tasks.wordings import convention_of

FOLDER = "predictions"
ASKED_FILE = "asked.json"
MAX_LINE = 2**20
"""Longest line that is read: an answer has a few thousand characters."""
MAX_ASKED = 2**20
BENCHMARKS = ("vsi-bench", "spar-bench", "scanqa", "sqa3d")
"""The published benchmarks whose questions an evaluation asks, as conversations name them."""
NUMBERS_OF_AN_ID = {
    "pointmap": 1,
    "detection": 0,
    "grounding": 1,
    "grounding_frame": 1,
    "grounding_box": 2,
    "captioning": 1,
    **dict.fromkeys((*KINDS, *BENCHMARKS), 1),
}
"""How many numbers follow the record's key in an id, by the kind of question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How the questions of one task are put."""

    split: str = "val"
    view: str = "clip"
    """Kind of view that pointmap and detection are asked about."""
    language_view: str = "scene"
    """Kind of view that the other tasks are asked about; where the split has none of these, ``view``."""
    frames: int = 0
    """Pointmap and detection show this many frames of a view, from the first on; 0 for all."""
    options: QuestionOptions = field(default_factory=QuestionOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The text that answers one question."""

    kind: str  # a key of NUMBERS_OF_AN_ID
    numbers: tuple[int, ...]  # what follows the record's key in the id
    text: str


@dataclass(slots=True, kw_only=True)
class Texts:
    """The answers of some files, as they are read."""

    by_id: dict[str, str] = field(default_factory=dict)
    builds: set[str] = field(default_factory=set)  # fingerprints that the lines state
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Everything that a model answered, by record."""

    path: Path
    replies: Mapping[str, tuple[Reply, ...]]  # by record key
    askings: Mapping[str, Asking] = field(default_factory=dict)  # by task
    builds: frozenset[str] = frozenset()  # fingerprints of the build that was asked about: one, or of mixed files more
    notes: tuple[str, ...] = ()

    def asking(self, task: str) -> Asking:
        """Return how a task's questions were asked; the defaults if ``asked.json`` does not say."""
        return self.askings.get(task, Asking())

    def check(self, keys: Collection[str], what: str) -> None:
        """Make sure that there is something to show.

        Args:
            keys: of the records that are shown.
            what: what they are, for the message.

        Raises:
            UsageError: no answer is about these records.
        """
        if not any(key in self.replies for key in keys):
            some = ", ".join(list(self.replies)[:3])
            more = f" and {len(self.replies) - 3} more" if len(self.replies) > 3 else ""
            raise UsageError(
                f"has no answer about {what}", path=self.path, cure=f"it answers about {some or 'nothing'}{more}"
            )


def question_id(kind: str, key: str, *numbers: int) -> str:
    """Return the id of a question about the record of that key."""
    return "/".join((kind, key, *map(str, numbers)))


def part_file(folder: Path, worker: int) -> Path:
    """Return where a worker of an evaluation keeps its answers."""
    return folder / FOLDER / f"part-{worker:03d}.jsonl"


def part_files(folder: Path) -> list[Path]:
    """Return the files of all workers of an evaluation."""
    return sorted((folder / FOLDER).glob("part-*.jsonl"))


def read_predictions(path: Path) -> Predictions:
    """Read a file of predictions, or an evaluation's folder.

    Raises:
        UsageError: the place does not hold predictions, or a line is damaged; the message names the line.
    """
    files = part_files(path) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        problem = "is a folder without predictions/part-*.jsonl" if path.is_dir() else "does not exist"
        raise UsageError(problem, path=path, cure="give a .jsonl file of predictions, or the --out of an evaluation")
    texts = read_texts(files)
    replies: dict[str, list[Reply]] = {}
    unknown = []
    for name, text in texts.by_id.items():
        parsed = _split_id(name)
        if parsed is None:
            unknown.append(name)
        else:
            key, kind, numbers = parsed
            replies.setdefault(key, []).append(Reply(kind=kind, numbers=numbers, text=text))
    notes = list(texts.notes)
    if unknown:
        notes.append(f"{counted(len(unknown), 'answer')} with unknown ids left out, such as {unknown[0][:60]!r}")
    askings, build, said = _read_asked(path)
    return Predictions(
        path=path,
        replies={key: tuple(items) for key, items in replies.items()},
        askings=askings,
        builds=frozenset(texts.builds if build is None else texts.builds | {build}),
        notes=(*notes, *said),
    )


def read_texts(files: Iterable[Path], *, ended: bool = False) -> Texts:
    """Read the answers of files; a last line that a kill cut off is left out and noted.

    Args:
        files: in the order in which answers count.
        ended: leave out a last line without a line break even where it is whole, because its worker removes it.

    Raises:
        UsageError: a line is damaged; the message names it.
    """
    texts = Texts()
    for path in files:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), start=1):
                if line.strip() and (line.endswith(b"\n") or len(line) > MAX_LINE or not ended):
                    _read_line(line, number, path, texts)
    return texts


def _read_line(line: bytes, number: int, path: Path, texts: Texts) -> None:
    if len(line) > MAX_LINE:
        raise _damaged(path, number, f"longer than {MAX_LINE} bytes")
    try:
        item = json.loads(line)
        texts.by_id.setdefault(str(item["id"]), str(item["text"]))
        if isinstance(item.get("build"), str):
            texts.builds.add(item["build"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if not line.endswith(b"\n"):
            texts.notes.append(f"line {number} of {path.name} is cut off and left out")
            return
        reason = f"{error} is missing" if isinstance(error, KeyError) else "not a JSON object"
        raise _damaged(path, number, reason) from error


def _damaged(path: Path, number: int, reason: str) -> UsageError:
    return UsageError(
        f"line {number} is not a prediction: {reason}",
        path=path,
        cure='a line is a JSON object with "id" and "text"; delete it and evaluate again, or give another file',
    )


def _split_id(name: str) -> tuple[str, str, tuple[int, ...]] | None:
    """Return the key, the kind and the numbers of an id; ``None`` for an id that :func:`question_id` does not give."""
    kind, _, rest = name.partition("/")
    if kind not in NUMBERS_OF_AN_ID or not rest:
        return None
    count = NUMBERS_OF_AN_ID[kind]
    key, *numbers = rest.rsplit("/", count) if count else [rest]
    if len(numbers) != count or not key or not all(number.isascii() and number.isdigit() for number in numbers):
        return None
    return key, kind, tuple(int(number[:18]) for number in numbers)


def _read_asked(path: Path) -> tuple[dict[str, Asking], str | None, list[str]]:
    """Return how questions were put, the build's fingerprint, and notes on what ``asked.json`` does not say."""
    folder = path if path.is_dir() else path.parent.parent if path.parent.name == FOLDER else path.parent
    try:
        with (folder / ASKED_FILE).open("rb") as file:
            data = file.read(MAX_ASKED + 1)
        asked = json.loads(data)
        askings = {str(task): _asking(item) for task, item in asked["asking"].items()}
        build = asked.get("build")
        return askings, build if isinstance(build, str) else None, []
    except FileNotFoundError:
        return {}, None, ["no asked.json beside the predictions: boxes are read as extrinsic_zxy"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError):
        return {}, None, [f"{ASKED_FILE} cannot be read: boxes are read as extrinsic_zxy"]


def _asking(item: Mapping[str, Any]) -> Asking:
    known = {entry.name for entry in fields(QuestionOptions)}
    options = QuestionOptions(**{name: value for name, value in item["options"].items() if name in known})
    convention_of(options.wording, options.convention)
    counts = (options.min_visible_pixels, 0 if options.max_objects is None else options.max_objects)
    if not all(type(count) is int for count in counts) or not isinstance(options.taxonomy, str | None):
        raise ValueError("an option has a value of the wrong type")
    for value, choices in (
        (options.convention, (None, *get_args(EulerConvention))),
        (options.missing_label, get_args(MissingLabel)),
        (options.boxes, get_args(TargetBox)),
    ):
        if value not in choices:
            raise ValueError(f"{value!r} is unknown")
    views = {name: str(item[name]) for name in ("split", "view", "language_view") if name in item}
    return Asking(options=options, frames=int(item.get("frames", 0)), **views)
