"""What captures of phones have in common: a camera that refocuses, confidence, ARKit's world, and a list of boxes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import OrientedBox, axis_aligned_box
from gapdata.geometry.camera import Intrinsics, transform
from gapdata.geometry.upright import Turn
from gapdata.synthetic.formats.walk import Walk

PORTRAIT: Turn = 90
"""A phone that is held upright stores images that must be turned clockwise."""
SENSOR = Intrinsics(fx=1597.8, fy=1597.8, cx=957.3, cy=721.6, width=1920, height=1440)
FOCUS = 0.001
"""Share by which the focal length moves to either side of its mean, as in a real capture of 37 s."""
FOCUS_FRAMES = 9.0
UP_FROM_Z = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""(4, 4) from a world with z up to ARKit's, with y up."""
GL_AXES = np.diag([1.0, -1.0, -1.0, 1.0])
SMEAR = 5  # pixels of depth
FLAT = 0.001
"""Metres that a carpet is high."""
STEP = 0.1
"""Share by which depth of neighbouring pixels differs at an edge, where confidence is low."""


def room_name(walk: Walk) -> str:
    """Return the name of a walk's folder."""
    return f"room{walk.scene.index:02d}"


def phone_camera(frame: int, width: int) -> Intrinsics:
    """Return the camera of a frame, of an image of ``width`` and three quarters of it; it differs by frame."""
    camera = SENSOR.resized(width, width * 3 // 4)
    factor = 1 + FOCUS * np.sin(frame / FOCUS_FRAMES)
    return replace(camera, fx=float(camera.fx * factor), fy=float(camera.fy * factor))


def arkit_pose(camera_to_room: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a pose (4, 4) with OpenCV axes in a world with z up as ARKit has it: OpenGL axes, y up."""
    return np.asarray(UP_FROM_Z @ camera_to_room @ GL_AXES)


def confidence_of(depth: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return confidence (H, W) of depth in millimetres: 0 at edges and without a reading, 1 around them, else 2."""
    import cv2

    near = depth.astype(np.float32)
    low, high = cv2.erode(near, np.ones((3, 3))), cv2.dilate(near, np.ones((3, 3)))
    edge = ((high - low > STEP * high) | (depth == 0)).astype(np.uint8)
    around: NDArray[np.uint8] = cv2.dilate(edge, np.ones((3, 3)))
    return np.asarray(2 - edge - around, dtype=np.uint8)


def smeared(depth: NDArray[np.uint16], confidence: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return depth (H, W) whose readings of low confidence lie between those around them, as a phone fills them in."""
    import cv2

    around = cv2.blur(depth.astype(np.float32), (SMEAR, SMEAR))
    return np.where((confidence == 0) & (depth > 0), around.round(), depth).astype(np.uint16)


def room_boxes(walk: Walk) -> dict[int, OrientedBox]:
    """Return the box of each object along the room's axes, in the walk's world, by object id."""
    scene = walk.scene
    to_room = scene.axis_alignment
    back = np.linalg.inv(to_room)
    points = {
        item: transform(to_room, scene.mesh.vertices[scene.vertex_object == item]) for item in range(len(scene.labels))
    }
    return {item: axis_aligned_box(found).transformed(back) for item, found in points.items() if len(found)}


def objects_json(walk: Walk, *, y_up: bool = False) -> str:
    """Return ``objects.json`` with the boxes of the room.

    Args:
        walk: through the room.
        y_up: give boxes in ARKit's world, of which the capture does not say where up is.
    """
    items = []
    for item, box in room_boxes(walk).items():
        center, size = (transform(UP_FROM_Z, box.center), box.size[[0, 2, 1]]) if y_up else (box.center, box.size)
        heading = float(np.degrees(np.arctan2(box.rotation[1, 0], box.rotation[0, 0])))
        items.append(
            {
                "id": item,
                "label": walk.scene.labels[item],
                "center": [round(float(value), 4) for value in center],
                "size": [max(round(float(value), 4), FLAT) for value in size],
                "heading": round(heading, 3),
            }
        )
    world = {"world": "scan", "up": [0, 1, 0]} if y_up else {"world": "aligned"}
    return json.dumps({**world, "objects": items}, indent=1) + "\n"
