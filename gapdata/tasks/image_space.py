"""Places in the image: questions that GAP-MLLM's base model can answer before it has learned geometry.

Qwen3-VL names objects and writes where they are in whole thousandths of the image's width and height (``point_2d``,
``bbox_2d``). A model with a random language part is taught these questions first: they have the marks, the labels, the
lists and the digits of the metric questions (:mod:`gapdata.tasks.pointmap`, :mod:`gapdata.tasks.detection`), but no
geometry.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import ShardError
from gapdata.records.schema import Prompt, Record, ViewObject
from gapdata.tasks import pointmap
from gapdata.tasks.chat import (
    Mark,
    Question,
    Unparsable,
    entries,
    fenced_list,
    finite_numbers,
    image_placeholders,
    read_json,
)
from gapdata.tasks.labels import object_label
from gapdata.tasks.task import DEFAULT, QuestionOptions

SCALE = 1000
"""Qwen3-VL's image coordinates run from 0 to this number along each side."""
POINT = 'What is at the red cross ("label"), and where in the image ("point_2d")?\nOutput a JSON dictionary.'
BOXES = (
    "Detect the 2D bounding boxes.\n"
    'Output a json list where each entry contains the object name in "label", the number of the frame that shows most '
    'of it in "frame", and its 2D bounding box there in "bbox_2d".'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePoint:
    """A point of the marked image, and what it shows."""

    label: str
    point: tuple[float, ...]  # (2,) x, y in thousandths of width and height


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBox:
    """An object's box in one frame."""

    label: str
    frame: int
    box: tuple[float, ...]  # (4,) left, top, right, bottom in thousandths of width and height


def render_point(record: Record, prompt: Prompt, options: QuestionOptions = DEFAULT) -> Question:
    """Ask what ``prompt.pixel`` of ``prompt.frame`` shows, and where it is in that image.

    Raises:
        ShardError: the prompt names a frame that the record does not have, or does not have a label.
    """
    label = pointmap.answer_of(record, prompt, options).label
    if label is None:
        raise ShardError(
            f"record {record.key}: prompt {prompt.index} has no label to ask for", cure="choose a prompt with a label"
        )
    return Question(
        text=image_placeholders(len(record)) + POINT,
        answer=point_text(ImagePoint(label=label, point=_thousandths(prompt.pixel, record.image_size))),
        marks=(Mark(frame=prompt.frame, pixel=prompt.pixel),),
    )


def render_boxes(
    record: Record,
    objects: Sequence[ViewObject],
    instances: NDArray[np.uint16],
    options: QuestionOptions = DEFAULT,
) -> Question:
    """Ask where objects of a view are, each in the frame that shows most of it.

    Args:
        record: the view.
        objects: those to list, in order (:func:`gapdata.tasks.detection.targets`); one that no mask shows is left out.
        instances: (F, H, W) object id + 1, 0 where none.
        options: the taxonomy that names them, and what happens to objects without a name there.
    """
    listed = []
    for item in objects:
        label, frame = object_label(item, options.taxonomy, options.missing_label), int(np.argmax(item.visible_pixels))
        rows, columns = np.nonzero(instances[frame] == item.object_id + 1)
        if label is not None and len(rows):
            corners = (columns.min(), rows.min()), (columns.max(), rows.max())
            box = tuple(value for corner in corners for value in _thousandths(corner, record.image_size))
            listed.append(ImageBox(label=label, frame=frame, box=box))
    return Question(text=image_placeholders(len(record)) + BOXES, answer=boxes_text(listed))


def point_text(point: ImagePoint) -> str:
    """Write the answer as the model should."""
    fields = {"label": point.label, "point_2d": [round(value) for value in point.point]}
    return f"```json\n{json.dumps(fields)}\n```"


def boxes_text(boxes: Iterable[ImageBox]) -> str:
    """Write the answer as the model should, in the form of a detection answer: one entry a line."""
    return fenced_list(
        {"label": box.label, "frame": box.frame, "bbox_2d": [round(value) for value in box.box]} for box in boxes
    )


def parse_point(text: str) -> ImagePoint | Unparsable:
    """Read a model's answer to :func:`render_point`. Never raises."""
    for entry in entries(read_json(text), ("point_2d",)):
        label, point = entry.get("label"), finite_numbers(entry.get("point_2d"), 2)
        if isinstance(label, str) and point is not None:
            return ImagePoint(label=label, point=point)
    return Unparsable("no JSON object with a label and a point_2d of two finite numbers")


def _thousandths(pixel: tuple[int, int], size: tuple[int, int]) -> tuple[float, ...]:
    """Return a pixel's centre, in thousandths of the image."""
    return tuple(SCALE * (at + 0.5) / side for at, side in zip(pixel, size, strict=True))


TEXTS = (
    POINT,
    BOXES,
    point_text(ImagePoint(label="object", point=(123.0, 456.0))),
    boxes_text([ImageBox(label="object", frame=frame, box=(7.0, 89.0, 123.0, 456.0)) for frame in (0, 1)]),
)
"""Both questions with sample answers: all their words except labels, for the training of a tokenizer."""
