"""A model's answers as an evaluation keeps them: JSON lines ``{"id", "key", "text", "build"}``, one for each question.

``FILE`` is one such file, or an evaluation's folder: the lines are then in ``predictions/part-*.jsonl`` and
``asked.json`` says how the questions were put. An id is ``pointmap/<record key>/<prompt>``, ``detection/<record key>``,
``grounding/<record key>/<description>``, ``grounding_box/<record key>/<description>/<frame>``, ... Texts are a model's:
they are read by the parsers of :mod:`gapdata.tasks` and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from gapdata.errors import UsageError
from gapdata.geometry.boxes import EulerConvention
from gapdata.runtime.counting import counted
from gapdata.tasks.labels import MissingLabel
from gapdata.tasks.targets import TargetBox
from gapdata.tasks.task import QuestionOptions
from gapdata.tasks.wordings import convention_of

FOLDER = "predictions"
ASKED_FILE = "asked.json"
MAX_LINE = 2**20
"""Longest line that is taken: an answer is a few thousand characters."""
MAX_ASKED = 2**20
PARTS_AFTER_KEY = {
    "pointmap": 1,
    "detection": 0,
    "grounding": 1,
    "grounding_frame": 1,
    "grounding_box": 2,
    "captioning": 1,
}
"""How many parts of an id follow the record's key, by the kind of question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The text that answers one question."""

    kind: str  # a key of PARTS_AFTER_KEY
    numbers: tuple[int, ...]  # what follows the record's key in the id
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How one task's questions were put, as far as it matters for reading the answers."""

    options: QuestionOptions = field(default_factory=QuestionOptions)
    frames: int = 0
    """The first so many frames of a view were shown; 0 for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Everything that a model answered, by record."""

    path: Path
    replies: Mapping[str, tuple[Reply, ...]]  # by record key
    askings: Mapping[str, Asking] = field(default_factory=dict)  # by task
    builds: frozenset[str] = frozenset()  # fingerprints of the build that was asked about: one, or of mixed files more
    notes: tuple[str, ...] = ()

    def asking(self, task: str) -> Asking:
        """How a task's questions were put; the defaults where nobody says."""
        return self.askings.get(task, Asking())

    def check(self, keys: Collection[str], what: str) -> None:
        """Make sure that there is something to show.

        Args:
            keys: of the records that are shown.
            what: what they are, for the message.

        Raises:
            UsageError: no answer is about any of them.
        """
        if not any(key in self.replies for key in keys):
            some = ", ".join(list(self.replies)[:3])
            more = f" and {len(self.replies) - 3} more" if len(self.replies) > 3 else ""
            raise UsageError(
                f"has no answer about {what}", path=self.path, cure=f"it answers about {some or 'nothing'}{more}"
            )


def read_predictions(path: Path) -> Predictions:
    """Read a file of predictions, or an evaluation's folder; of two answers to a question the first counts.

    A last line that a killed evaluation cut off is left out and noted.

    Raises:
        UsageError: the place holds no predictions, or a line is none; the message names the line.
    """
    files = sorted((path / FOLDER).glob("part-*.jsonl")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        problem = "is a folder without predictions/part-*.jsonl" if path.is_dir() else "does not exist"
        raise UsageError(problem, path=path, cure="give a .jsonl file of predictions, or the --out of an evaluation")
    texts: dict[str, str] = {}
    builds: set[str] = set()
    notes: list[str] = []
    for file in files:
        _read_lines(file, texts, builds, notes)
    replies: dict[str, list[Reply]] = {}
    unknown = []
    for name, text in texts.items():
        parsed = _split_id(name)
        if parsed is None:
            unknown.append(name)
        else:
            key, kind, numbers = parsed
            replies.setdefault(key, []).append(Reply(kind=kind, numbers=numbers, text=text))
    if unknown:
        notes.append(f"{counted(len(unknown), 'answer')} with ids that name no question, the first {unknown[0][:60]!r}")
    askings, build, said = _read_asked(path)
    return Predictions(
        path=path,
        replies={key: tuple(items) for key, items in replies.items()},
        askings=askings,
        builds=frozenset(builds if build is None else builds | {build}),
        notes=(*notes, *said),
    )


def _read_lines(path: Path, texts: dict[str, str], builds: set[str], notes: list[str]) -> None:
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), start=1):
            if len(line) > MAX_LINE:
                raise _damaged(path, number, f"longer than {MAX_LINE} bytes")
            if not line.strip():
                continue
            try:
                item = json.loads(line)
                texts.setdefault(str(item["id"]), str(item["text"]))
                if isinstance(item.get("build"), str):
                    builds.add(item["build"])
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                if not line.endswith(b"\n"):
                    notes.append(f"line {number} of {path.name} is cut off and left out")
                    return
                reason = f"no {error}" if isinstance(error, KeyError) else "no JSON object"
                raise _damaged(path, number, reason) from error


def _damaged(path: Path, number: int, reason: str) -> UsageError:
    return UsageError(
        f"line {number} is no prediction: {reason}",
        path=path,
        cure='a line is a JSON object with "id" and "text"; delete it and evaluate again, or give another file',
    )


def _split_id(name: str) -> tuple[str, str, tuple[int, ...]] | None:
    kind, _, rest = name.partition("/")
    if kind not in PARTS_AFTER_KEY or not rest:
        return None
    parts = PARTS_AFTER_KEY[kind]
    key, *numbers = rest.rsplit("/", parts) if parts else [rest]
    if len(numbers) != parts or not key or not all(number.isascii() and number.isdigit() for number in numbers):
        return None
    return key, kind, tuple(int(number[:18]) for number in numbers)


def _read_asked(path: Path) -> tuple[dict[str, Asking], str | None, list[str]]:
    """How questions were put, the build's fingerprint, and what is to be noted where nobody says."""
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
        raise ValueError("a limit is no number")
    for value, choices in (
        (options.convention, (None, *get_args(EulerConvention))),
        (options.missing_label, get_args(MissingLabel)),
        (options.boxes, get_args(TargetBox)),
    ):
        if value not in choices:
            raise ValueError(f"{value!r} is unknown")
    return Asking(options=options, frames=int(item.get("frames", 0)))
