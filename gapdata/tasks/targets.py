"""The object of a description, and its box in a camera of the view."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import ShardError
from gapdata.geometry.boxes import OrientedBox
from gapdata.records.expressions import Expression
from gapdata.records.schema import Record, ViewObject
from gapdata.runtime.choices import check_choice

TargetBox = Literal["aligned", "oriented"]
"""``aligned``: ScanRefer's box, along the axes of the aligned world. ``oriented``: the record's own, smaller one."""
CaptionPoint = Literal["truth", "proposal"]
"""What captioning points at: the centre of the true box, or of the detector's proposal that overlaps it best."""


def described(record: Record, expression: Expression) -> ViewObject:
    """Return the object of a description.

    Raises:
        ShardError: the record does not list it.
    """
    item = find_described(record, expression)
    if item is None:
        raise ShardError(
            f"record {record.key}: description {expression.ann_id} is about object {expression.object_id}, "
            "which the view does not list",
            cure="ask about it in a view that shows it",
        )
    return item


def find_described(record: Record, expression: Expression) -> ViewObject | None:
    """Return the object of a description, or ``None`` where the record does not list it."""
    return next((item for item in record.objects if item.object_id == expression.object_id), None)


def aligned_camera(record: Record, frame: int) -> NDArray[np.float64]:
    """Return the (4, 4) transform from the camera of ``frame`` to the aligned world.

    Raises:
        ShardError: the record does not have the frame, or its scan does not have an axis alignment.
    """
    if not 0 <= frame < len(record):
        raise ShardError(f"record {record.key}: there is no frame {frame}, the view has {len(record)}")
    if record.axis_alignment is None:
        raise ShardError(
            f"record {record.key}: the scan has no axis alignment, so it has no aligned world",
            scene=record.scene_id,
            cure="use boxes = 'oriented'",
        )
    return np.asarray(record.axis_alignment @ record.camera_to_world[frame])


def has_box(record: Record, item: ViewObject, boxes: TargetBox) -> bool:
    """Return whether :func:`camera_box` can give that box."""
    return boxes == "oriented" or (item.aligned_box is not None and record.axis_alignment is not None)


def camera_box(record: Record, item: ViewObject, frame: int, boxes: TargetBox = "aligned") -> OrientedBox:
    """Return an object's box in the camera of ``frame``.

    Raises:
        ShardError: the record does not have the frame, or an aligned box of the object.
        UsageError: ``boxes`` is unknown.
    """
    check_choice("boxes", boxes, get_args(TargetBox))
    if boxes == "aligned":
        to_aligned = aligned_camera(record, frame)
        if item.aligned_box is None:
            raise ShardError(
                f"record {record.key}: object {item.object_id} has no aligned box",
                cure="build the shards again, or use boxes = 'oriented'",
            )
        box = OrientedBox(
            center=np.array(item.aligned_box[:3]), size=np.array(item.aligned_box[3:]), rotation=np.eye(3)
        )
        return box.transformed(np.linalg.inv(to_aligned))
    if not 0 <= frame < len(record):
        raise ShardError(f"record {record.key}: there is no frame {frame}, the view has {len(record)}")
    return item.box.transformed(np.linalg.inv(record.camera_to_first[frame]))
