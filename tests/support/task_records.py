"""Records for the tests of the tasks: a small fixed one, and random ones whose geometry is consistent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gapdata.geometry.boxes import OrientedBox
from gapdata.geometry.camera import relative_poses
from gapdata.records.expressions import Expression
from gapdata.records.schema import Prompt, Record, ViewObject

RECORDS = 1000
"""Random records on which every task's answer makes the trip through text."""
WORDS = ("chair", "office chair", "wall", "Floor", "ceiling", "object", "trash can", "bed", "café table", "lamp")


def golden_sample(samples: Path) -> dict[str, Any]:
    """GAP-MLLM's published detection sample, from the folder of real data."""
    return json.loads((samples / "gap-detection-sample.json").read_text(encoding="utf-8"))


def make_record(objects: tuple[ViewObject, ...] = (), prompts: tuple[Prompt, ...] = (), **changes: Any) -> Record:
    """Two frames with one camera that does not move."""
    fields: dict[str, Any] = {
        "key": "room-clip-00000",
        "scene_id": "room",
        "source": "analytic",
        "split": "train",
        "view": "clip",
        "frame_ids": (0, 30),
        "image_size": (64, 48),
        "intrinsics": np.tile([50.0, 50.0, 31.5, 23.5], (2, 1)),
        "camera_to_world": np.tile(np.eye(4), (2, 1, 1)),
        "camera_to_first": np.tile(np.eye(4), (2, 1, 1)),
        "axis_alignment": None,
        "objects": objects,
        "prompts": prompts,
    }
    return Record(**{**fields, **changes})


def make_object(object_id: int, label: str, visible: tuple[int, ...], **changes: Any) -> ViewObject:
    """A box of fixed size on the optical axis."""
    fields: dict[str, Any] = {
        "object_id": object_id,
        "label": label,
        "labels": {},
        "center": (0.0, 0.0, 2.0 + object_id),
        "size": (0.5, 0.6, 0.7),
        "rotation": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        "visible_pixels": visible,
    }
    return ViewObject(**{**fields, **changes})


def make_prompt(label: str | None, index: int = 1, **changes: Any) -> Prompt:
    """A prompt in the second frame."""
    fields: dict[str, Any] = {"frame": 1, "pixel": (10, 20), "point": (1.256, -0.004, 3.0), "object_id": 4}
    return Prompt(index=index, label=label, **{**fields, **changes})


def describe(
    object_id: int, text: str = "the chair by the door.", ann_id: str = "0", name: str = "chair"
) -> Expression:
    """A description of an object."""
    return Expression(object_id=object_id, ann_id=ann_id, object_name=name, text=text, unique=True)


def random_pose(rng: np.random.Generator, spread: float = 4.0) -> np.ndarray:
    """A rigid (4, 4) transform."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    q[:, 0] *= np.linalg.det(q)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = q, rng.uniform(-spread, spread, 3)
    return pose


def about_z(angle: float) -> np.ndarray:
    """A turn about the vertical."""
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])


def random_record(rng: np.random.Generator) -> Record:
    """Upright objects in an aligned room, seen by cameras anywhere, with prompts and descriptions.

    The aligned box of an object is the axis-aligned box of its oriented one (as if its vertices were the corners).
    """
    frames = int(rng.integers(1, 6))
    camera_to_world = np.stack([random_pose(rng) for _ in range(frames)])
    alignment = np.eye(4)
    alignment[:3, :3], alignment[:3, 3] = about_z(rng.uniform(-np.pi, np.pi)), rng.uniform(-3, 3, 3)
    aligned_to_first = np.linalg.inv(alignment @ camera_to_world[0])
    objects, expressions = [], []
    for object_id in range(int(rng.integers(1, 6))):
        room = OrientedBox(
            center=rng.uniform(-5, 5, 3), size=rng.uniform(0.001, 4, 3), rotation=about_z(rng.uniform(-np.pi, np.pi))
        )
        box, corners = room.transformed(aligned_to_first), room.corners
        aligned = (*(corners.min(0) + corners.max(0)) / 2, *np.ptp(corners, axis=0))
        near = box.center + rng.normal(0, 0.1, 3)
        label = str(rng.choice(WORDS))
        objects.append(
            ViewObject(
                object_id=object_id,
                label=label,
                labels={"raw": label} | ({"nyu40": "chair"} if rng.random() < 0.5 else {}),
                center=tuple(box.center.tolist()),
                size=tuple(box.size.tolist()),
                rotation=tuple(tuple(row) for row in box.rotation.tolist()),
                visible_pixels=tuple((rng.integers(0, 400, frames) * (rng.random(frames) < 0.6)).tolist()),
                aligned_box=tuple(float(value) for value in aligned),
                proposal={
                    "center": near.tolist(),
                    "size": box.size.tolist(),
                    "rotation": box.rotation.tolist(),
                    "iou": 0.7,
                },
            )
        )
        text = f'This is a {label}, "the" one at [{object_id}]. it\'s {{near}} the dør.'
        expressions.append(describe(object_id, text, ann_id=str(object_id), name=label.replace(" ", "_")).to_fields())
    prompts = tuple(
        make_prompt(
            None if rng.random() < 0.2 else str(rng.choice(WORDS)),
            index,
            frame=int(rng.integers(frames)),
            pixel=(int(rng.integers(64)), int(rng.integers(48))),
            point=tuple(rng.uniform(-9, 9, 3).tolist()),
            object_id=int(rng.integers(len(objects))),
        )
        for index in range(1, int(rng.integers(2, 12)))
    )
    return make_record(
        tuple(objects),
        prompts,
        frame_ids=tuple(range(0, 30 * frames, 30)),
        intrinsics=np.tile([50.0, 50.0, 31.5, 23.5], (frames, 1)),
        camera_to_world=camera_to_world,
        camera_to_first=relative_poses(camera_to_world),
        axis_alignment=alignment,
        expressions=tuple(expressions),
    )
