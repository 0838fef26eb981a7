"""Facts about a scene of which only the boxes are known, so that the types that need no more can be asked about it.

Benchmarks publish their scenes' boxes without frames. Here one camera, far to the side and level, sees all of them:
every object counts as seen, and nothing is hidden. Only the types of :data:`TYPES` make sense then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from gapdata.geometry.boxes import OrientedBox
from gapdata.records.schema import Record, SceneLabel, ViewObject
from gapdata.tasks.spatial.view_facts import ViewFacts
from gapdata.tasks.task import QuestionOptions

TYPES = ("count", "distance", "nearest", "size", "direction", "imagined_view")
"""The types that need boxes and their names alone."""
FAR = 100.0
"""Distance of the camera from the middle of the boxes, as a multiple of the width of what it sees."""
SIDE = 1024  # pixels of its image


def facts_of_boxes(
    scene_id: str, boxes: Sequence[tuple[str, OrientedBox]], options: QuestionOptions | None = None
) -> ViewFacts:
    """Return what questions need to know of a scene of boxes.

    Args:
        scene_id: its name; random choices depend on it.
        boxes: the names of all objects of the scene and their boxes, metres, in a world with z up; object i of the view
            is the i-th of them.
        options: as for records.

    Raises:
        ValueError: there is no box.
    """
    if not boxes:
        raise ValueError(f"scene {scene_id} has no boxes")
    corners = np.concatenate([box.corners for _, box in boxes])
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    width = 2 * float(np.linalg.norm(corners - middle, axis=1).max())
    to_world = np.eye(4)
    to_world[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]  # looks along y, its own y points down
    to_world[:3, 3] = middle - [0, FAR * width, 0]
    names = Counter(name for name, _ in boxes)
    return ViewFacts(
        Record(
            key=f"{scene_id}-scene-0",
            scene_id=scene_id,
            source="boxes",
            split="",
            view="scene",
            frame_ids=(0,),
            image_size=(SIDE, SIDE),
            intrinsics=np.array([[0.9 * FAR * SIDE, 0.9 * FAR * SIDE, (SIDE - 1) / 2, (SIDE - 1) / 2]]),
            camera_to_world=to_world[None],
            camera_to_first=np.eye(4)[None],
            axis_alignment=np.eye(4),
            objects=tuple(
                _seen(number, name, box.transformed(np.linalg.inv(to_world)))
                for number, (name, box) in enumerate(boxes)
            ),
            scene_objects=tuple(SceneLabel(labels={"raw": name}, count=count) for name, count in names.items()),
        ),
        QuestionOptions() if options is None else options,
    )


def _seen(number: int, name: str, box: OrientedBox) -> ViewObject:
    x, y, z = box.center.tolist()
    width, depth, height = box.size.tolist()
    return ViewObject(
        object_id=number,
        label=name,
        labels={"raw": name},
        center=(x, y, z),
        size=(width, depth, height),
        rotation=tuple((float(a), float(b), float(c)) for a, b, c in box.rotation),
        visible_pixels=(SIDE * SIDE,),
    )
