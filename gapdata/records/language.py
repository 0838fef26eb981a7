"""Join the language of a scene to its objects.

Descriptions without a usable object are dropped; the marks of conversations are moved to pixels of the stored images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from gapdata.annotations.benchmark import BenchmarkQuestion
from gapdata.annotations.conversation import ConversationItem
from gapdata.annotations.scanrefer import Description
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens, behind_lens
from gapdata.records.expressions import Conversation, Expression
from gapdata.records.objects import SceneObjects

THOUSAND = 1000.0  # of a side of the image, in which SPAR places marks
OTHERS = "others"
"""ScanRefer's class of everything outside its 17 named classes."""


def scene_expressions(
    descriptions: Sequence[Description], objects: SceneObjects, duplicates: Mapping[int, int]
) -> tuple[tuple[Expression, ...], dict[str, int]]:
    """Return the descriptions of a scene's objects, and how many were dropped, by reason.

    A described object is ``unique`` when no other object of the scene that the same data set describes has its class
    among ScanRefer's 18.

    Args:
        descriptions: of this scene.
        objects: of this scene.
        duplicates: ids that the source gives to an object which has another id already.
    """
    dropped: Counter[str] = Counter()
    kept: list[tuple[Description, int]] = []
    for item in descriptions:
        object_id = duplicates.get(item.object_id, item.object_id)
        if object_id not in objects.labels:
            dropped["describes an object that the scene does not have"] += 1
        elif object_id not in objects.aligned and object_id not in objects.boxes:
            dropped["describes an object without a box"] += 1
        else:
            kept.append((item, object_id))
    classes = {object_id: objects.labels[object_id].get("scanrefer18", OTHERS) for _, object_id in kept}
    described = {(item.data_set, object_id) for item, object_id in kept}
    per_class = Counter((data_set, classes[object_id]) for data_set, object_id in described)
    expressions = tuple(
        Expression(
            object_id=object_id,
            ann_id=item.ann_id,
            object_name=item.object_name,
            text=item.text,
            unique=per_class[item.data_set, classes[object_id]] == 1,
        )
        for item, object_id in kept
    )
    return expressions, dict(sorted(dropped.items()))


def stored_question(
    given: BenchmarkQuestion, native: Intrinsics, stored: Intrinsics, lens: Lens | None = None
) -> Conversation | None:
    """Return a benchmark's question as a conversation, with its marks in pixels of the stored image.

    Args:
        given: the question, with its marks in thousandths of the native image's sides.
        native: the camera of that image.
        stored: the camera of the stored one.
        lens: of the native image.

    Returns:
        The conversation; ``None`` where the crop has cut a mark off.
    """
    marks = []
    for frame, color, place in given.marks:
        placed = _placed(place, native, stored, lens)
        if placed is None:
            return None
        marks.append((frame, color, placed))
    return Conversation(
        task=given.task,
        question=given.question,
        answer=given.answer,
        mark=None,
        source=given.source,
        index=given.index,
        benchmark=given.benchmark,
        question_type=given.question_type,
        answers=given.answers,
        options=given.options,
        id=given.id,
        object_ids=given.object_ids,
        marks=tuple(marks),
    )


def _placed(
    place: tuple[float, ...], native: Intrinsics, stored: Intrinsics, lens: Lens | None
) -> tuple[float, ...] | None:
    """Return a disc's centre or a box, cut to the stored image; ``None`` where nothing of it is left."""
    sides = np.array([native.width, native.height])
    points = [
        behind_lens(lens, native, stored, tuple(point)) for point in np.reshape(place, (-1, 2)) / THOUSAND * sides
    ]
    limits = np.array([stored.width - 1, stored.height - 1])
    inside = np.clip(points, 0, limits)
    if len(points) == 1 and np.abs(inside - points).max() > 0.5:
        return None
    if len(points) == 2 and not (inside[1] > inside[0]).all():
        return None
    return tuple(round(float(value), 3) + 0.0 for value in inside.ravel())


def stored_conversation(
    given: ConversationItem, native: Intrinsics, stored: Intrinsics, lens: Lens | None = None
) -> Conversation | None:
    """Return a conversation with its mark in pixels of the stored image.

    Args:
        given: the conversation of an annotation file, with its mark in pixels of the native image.
        native: the camera of that image.
        stored: the camera of the stored one.
        lens: of the native image.

    Returns:
        The conversation; ``None`` where the crop has cut the mark off.
    """
    mark = given.mark
    if mark is not None:
        frame, x, y = mark
        u, v = behind_lens(lens, native, stored, (x, y))
        if not (-0.5 <= u < stored.width - 0.5 and -0.5 <= v < stored.height - 0.5):
            return None
        placed = (frame, round(u, 3) + 0.0, round(v, 3) + 0.0)
    return Conversation(
        task=given.task,
        question=given.question,
        answer=given.answer,
        mark=None if mark is None else placed,
        source=given.source,
        index=given.index,
    )
