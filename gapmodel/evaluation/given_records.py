"""Other people's questions as records with their truth, so that they are asked and scored as ours are.

A row of GAP-MLLM's or VG-LLM's evaluation files becomes one record: its question verbatim, its true boxes in the
file's own numbers, and for grounding and captioning one described object with the box, the references and the overlap
that the row states.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import UsageError
from gapdata.files.checked_values import finite
from gapdata.geometry.boxes import EulerConvention, box_corners
from gapdata.geometry.camera import transform
from gapdata.records.expressions import Expression
from gapdata.records.schema import Prompt, Record, ViewObject
from gapdata.shards.records import RecordList
from gapdata.tasks import conversation, detection, grounding, pointmap
from gapdata.tasks.box_text import box_of
from gapdata.tasks.chat import IMAGE, Mark, Question, Unparsable
from gapdata.tasks.detection import TextBox

TASKS_OF: Mapping[str, tuple[str, ...]] = {
    "recons": ("pointmap",),
    "det": ("detection",),
    "scanrefer": ("grounding", "grounding_two_stage"),
    "scanrefer1": ("grounding_two_stage",),
    "scan2cap": ("captioning",),
}
"""The tasks that score a row of each kind. The second stage alone (``scanrefer2``) has no published score."""
OBJECT = 0
"""Id of the one object that a row is about."""


class UnusableRow(Exception):
    """A row cannot be asked or scored."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class GivenRecord(Record):
    """The frames of one row, with the row's question and truth."""

    kind: str  # a key of TASKS_OF
    question: Question
    true_boxes: tuple[TextBox, ...] = ()
    paths: tuple[Path, ...] = ()
    """The images; empty where the members hold them."""
    proposals: NDArray[np.float64] = dataclasses.field(default_factory=lambda: np.zeros((0, 6)))
    """(P, 6) centre and size of the detector's boxes of the whole scene, aligned world, metres."""

    def image(self, frame: SupportsIndex) -> NDArray[np.uint8]:
        """Return a frame, (H, W, 3) uint8 RGB, as Pillow reads it, which does not turn it as its EXIF says.

        Raises:
            UsageError: the file cannot be read.
        """
        if not self.paths:
            return Record.image(self, frame)
        return read_image(self.paths[self._position(frame)])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GivenRow:
    """What a row says, wherever it was read."""

    kind: str
    question: str
    answer: str
    mark: Mark | None = None
    boxes: tuple[TextBox, ...] = ()  # unrounded, where the row lists them
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class GivenRecords(RecordList):
    """Rows in a fixed sequence, with the methods of a build's reader."""

    convention: EulerConvention = "extrinsic_zxy"
    angles_from = "the authors' own, as nothing says otherwise"
    split = "val"
    source = ""
    """What they were read from, for messages."""

    def __init__(self, records: Sequence[GivenRecord], left_out: Mapping[str, int]) -> None:
        super().__init__(records)
        self.given = tuple(records)
        self.left_out = dict(left_out)

    @property
    def around(self) -> Mapping[str, int]:
        """The positions of the views of a frame and its neighbours, by their keys."""
        return {}

    def refuse_nothing(self, cure: str) -> None:
        """Make sure that there is something to ask.

        Raises:
            UsageError: no row can be asked.
        """
        if not self.given:
            why = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items()) or "it has no rows"
            raise UsageError(f"holds no question that can be asked: {why}", path=self.source, cure=cure)


def given_record(row: GivenRow, base: Record, convention: EulerConvention, paths: Sequence[Path] = ()) -> GivenRecord:
    """Return the record of a row.

    Args:
        row: what it says.
        base: key, scene, frames and cameras.
        convention: of its angles.
        paths: of its images.

    Raises:
        UnusableRow: the row lacks what its score needs; the text says what.
    """
    if row.kind not in TASKS_OF:
        raise UnusableRow("no score for questions of this kind alone")
    placeholders = row.question.count(IMAGE)
    text = row.question if placeholders else IMAGE * len(base) + row.question
    if not row.question.strip():
        raise UnusableRow("no question")
    marks = (row.mark,) if row.mark is not None else ()
    fields = {field.name: getattr(base, field.name) for field in dataclasses.fields(Record)}
    made = GivenRecord(
        **fields,
        kind=row.kind,
        question=Question(text=text, answer=row.answer, marks=marks),
        paths=tuple(paths),
    )
    if row.kind == "recons":
        return dataclasses.replace(made, prompts=(_prompt(row, base),))
    if row.kind == "det":
        return dataclasses.replace(made, true_boxes=row.boxes or _answered_boxes(row))
    expressions, item = _described(row, base, convention)
    return dataclasses.replace(made, objects=(item,), expressions=tuple(e.to_fields() for e in expressions))


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image as RGB.

    Raises:
        UsageError: it cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"is not an image that can be read: {error}", path=path, cure="copy it again") from error


def _prompt(row: GivenRow, base: Record) -> Prompt:
    read = pointmap.parse(row.answer)
    if isinstance(read, Unparsable):
        raise UnusableRow("the answer holds no point")
    if row.mark is None:
        raise UnusableRow("no marked pixel")
    u, v = row.mark.pixel
    if u >= base.image_size[0] or v >= base.image_size[1]:
        raise UnusableRow("the marked pixel is outside of the image")
    return Prompt(index=1, frame=row.mark.frame, pixel=(u, v), point=read.point, object_id=None, label=read.label)


def _answered_boxes(row: GivenRow) -> tuple[TextBox, ...]:
    read = conversation.parse("det", row.answer)
    if not isinstance(read, detection.DetectionAnswer):
        raise UnusableRow("neither boxes nor an answer that lists them")
    return tuple(read.boxes)


def _described(row: GivenRow, base: Record, convention: EulerConvention) -> tuple[list[Expression], ViewObject]:
    """Return what is said about the row's object, and the object."""
    about = row.metadata.get("metadata")
    about = about if isinstance(about, Mapping) else {}
    name = str(row.metadata.get("target") or about.get("object_name") or "object")
    if row.kind == "scan2cap":
        said = _references(row)
        overlap = row.metadata.get("iou", 1.0)
        if isinstance(overlap, bool) or not isinstance(overlap, int | float) or not 0 <= overlap <= 1 + 1e-6:
            raise UnusableRow("iou is not a number from 0 to 1")
        visible, box, proposal = (1,) * len(base), None, {"iou": float(overlap)}
    else:
        said = [_text_of(row.question)]
        visible, box, proposal = *_true_box(row, base, convention), None
    unique = {"unique": True, "multiple": False}.get(str(about.get("question_type")))
    expressions = [
        Expression(object_id=OBJECT, ann_id=str(number), object_name=name, text=text, unique=unique)
        for number, text in enumerate(said)
    ]
    item = ViewObject(
        object_id=OBJECT,
        label=name,
        labels={},
        center=(0.0, 0.0, 0.0),
        size=(1.0, 1.0, 1.0),
        rotation=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        visible_pixels=visible,
        aligned_box=box,
        proposal=proposal,
    )
    return expressions, item


def _references(row: GivenRow) -> list[str]:
    found = row.metadata.get("annotations", [row.answer])
    if not isinstance(found, list) or not found or not all(isinstance(text, str) for text in found):
        raise UnusableRow("annotations are not texts")
    return found


def _text_of(question: str) -> str:
    """Return the description in a question about it, as the authors' script takes it out."""
    *_, after = question.partition("Text:")
    said = after.partition("Output a JSON")[0].strip()
    if not said:
        raise UnusableRow("the question holds no description")
    return said


def _true_box(row: GivenRow, base: Record, convention: EulerConvention) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return which frame the row calls the best, as visible pixels, and the true box in the aligned world."""
    if base.axis_alignment is None:
        raise UnusableRow("no cameras, without which boxes of different frames cannot be compared")
    read = grounding.parse(row.answer, len(base))
    frame = read.frame if isinstance(read, grounding.GroundingAnswer) else None
    if frame is None:
        first = conversation.parse("scanrefer1", row.answer)
        frame = first if isinstance(first, int) and first < len(base) else None
    if frame is None:
        raise UnusableRow("the answer names no frame of the view")
    visible = tuple(int(index == frame) for index in range(len(base)))
    if (given := finite(row.metadata.get("gt_bbox"), (9,))) is not None:
        if np.abs(given[6:]).max() > 1e-6:
            raise UnusableRow("gt_bbox is turned, and ScanRefer's boxes are not")
        return visible, tuple(given[:6].tolist())
    if not isinstance(read, grounding.GroundingAnswer):
        raise UnusableRow("no true box")
    box = box_of(read.values, convention)
    corners = box_corners(box.center, box.size, box.rotation)
    world = transform(base.axis_alignment @ base.camera_to_world[frame], corners)
    low, high = world.min(axis=0), world.max(axis=0)
    return visible, (*((low + high) / 2).tolist(), *(high - low).tolist())


def counted_reasons(left_out: Counter[str]) -> dict[str, int]:
    """Return reasons in their order, most frequent first."""
    return dict(sorted(left_out.items(), key=lambda item: (-item[1], item[0])))
