"""Views made by hand for questions about what frames show: depth and masks are drawn, boxes lie where one says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import relative_poses
from gapdata.records.schema import SceneLabel, ViewObject
from gapdata.tasks.spatial.kind import ask
from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.spatial.question import LETTERS, SpatialQuestion
from gapdata.tasks.spatial.view_facts import ViewFacts
from gapdata.tasks.task import QuestionOptions
from tests.support.task_records import make_object, make_record

HEIGHT, WIDTH, FOCAL = 48, 64, 50.0
LEVEL = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""The alignment of a first camera that is held level, in a world with z up."""
ENOUGH = 200  # pixels of an object that a frame shows well


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A rectangle of pixels at one depth, which shows a small box there."""

    name: str
    rows: tuple[int, int]
    columns: tuple[int, int]
    z: float  # metres, 0 where unknown


def flat(*depths: float) -> NDArray[np.float32]:
    """Frames of one depth each, (F, H, W) metres."""
    return np.stack([np.full((HEIGHT, WIDTH), depth, dtype=np.float32) for depth in depths])


def shifted(*steps: float) -> NDArray[np.float64]:
    """Poses of a camera that moves to the right, (F, 4, 4), by metres from the first."""
    poses = np.tile(np.eye(4), (len(steps), 1, 1))
    poses[:, 0, 3] = steps
    return poses


def thing(number: int, name: str, visible: Sequence[int] = (ENOUGH,), **changes: Any) -> ViewObject:
    """An object that the frames show well, unless told otherwise."""
    return make_object(number, name, tuple(visible), labels={"raw": name}, **changes)


def facts_of_view(
    objects: Sequence[ViewObject] = (),
    depth: NDArray[np.float32] | None = None,
    masks: NDArray[np.uint16] | None = None,
    poses: NDArray[np.float64] | None = None,
    scene: Mapping[str, int] | None = None,
    **changes: Any,
) -> ViewFacts:
    """A view of as many frames as there are poses; its scene has these objects, and further ones by name."""
    poses = np.eye(4)[None] if poses is None else poses
    counts = Counter(item.label for item in objects) + Counter(scene or {})
    fields: dict[str, Any] = {
        "frame_ids": tuple(range(len(poses))),
        "intrinsics": np.tile([FOCAL, FOCAL, (WIDTH - 1) / 2, (HEIGHT - 1) / 2], (len(poses), 1)),
        "camera_to_world": poses,
        "camera_to_first": relative_poses(poses),
        "scene_objects": tuple(SceneLabel(labels={"raw": name}, count=count) for name, count in counts.items()),
    }
    record = make_record(tuple(objects), **{**fields, **changes})
    if depth is not None and masks is None:
        masks = np.zeros(depth.shape, dtype=np.uint16)
    return ViewFacts(record, QuestionOptions(), depth=depth, instances=masks)


def facts_of_patches(*patches: Patch, behind: float = 9.0, **changes: Any) -> ViewFacts:
    """One frame that shows patches before a wall."""
    depth, masks = flat(behind), np.zeros((1, HEIGHT, WIDTH), dtype=np.uint16)
    objects = []
    for number, patch in enumerate(patches):
        place = (0, slice(*patch.rows), slice(*patch.columns))
        depth[place], masks[place] = patch.z, number + 1
        z = patch.z or behind
        x = (np.mean(patch.columns) - 0.5 - (WIDTH - 1) / 2) / FOCAL * z
        y = (np.mean(patch.rows) - 0.5 - (HEIGHT - 1) / 2) / FOCAL * z
        pixels = int((masks == number + 1).sum())
        objects.append(thing(number, patch.name, (pixels,), center=(x, y, z), size=(0.1, 0.1, 0.1)))
    return facts_of_view(objects, depth, masks, **changes)


def asked(facts: ViewFacts, kind: str, seeds: int = 4) -> tuple[list[SpatialQuestion], set[str]]:
    """All questions that some seeds find, and the reasons why others are refused."""
    found, reasons = [], set()
    for seed in range(seeds):
        items, refused = ask(KINDS[kind], facts, 200, np.random.default_rng(seed))
        found += items
        reasons |= set(refused)
    return found, reasons


def said(item: SpatialQuestion) -> str:
    """The text of the option that is right."""
    return item.options[LETTERS.index(item.answer)]
