"""Join the language of a scene to its objects.

Descriptions without a usable object are dropped; the marks of conversations are moved to pixels of the stored images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from gapdata.annotations.benchmark import BenchmarkQuestion
from gapdata.annotations.conversation import ConversationItem
from gapdata.annotations.scanrefer import Description
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens, behind_lens
from gapdata.records.expressions import Conversation, Expression
from gapdata.records.objects import SceneObjects

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


def stored_question(given: BenchmarkQuestion) -> Conversation:
    """Return a benchmark's question as a conversation."""
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
    )


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
