"""The room's own axes for display: z up from the floor, x and y along its walls.

A scan's axis alignment gives them where there is one. Otherwise they are estimated: up from the surfaces that face
roughly where the cameras' upper edges point, the walls' direction from the normals of upright surfaces (rooms are
mostly rectangular).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.records.schema import Record
from gapdata.show.scene.cloud import PointCloud

NARROWING = (35.0, 20.0, 10.0, 6.0)
"""Cone half-angles (degrees) around the current guess within which surfaces vote for up: hand-held cameras pitch and
roll by up to about 35 degrees on average over a view."""


def room_frame(record: Record, cloud: PointCloud) -> NDArray[np.float64]:
    """Return ``first_to_room`` (4, 4): z up, 0 at the floor; the origin is below the first camera."""
    part = cloud.sample(50_000)
    if record.axis_alignment is not None:
        rotation = record.axis_alignment[:3, :3] @ record.camera_to_world[0, :3, :3]
        left, _, right = np.linalg.svd(rotation)
        rotation = left @ right
    else:
        up, forward = _estimated_axes(record, part.normals.astype(np.float64))
        rotation = np.stack([np.cross(forward, up), forward, up])
    room = np.eye(4)
    room[:3, :3] = rotation
    if len(cloud):
        room[2, 3] = -np.percentile(part.points @ rotation[2], 0.5)
    return room


def _estimated_axes(record: Record, normals: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    up = -record.camera_to_first[:, :3, 1].mean(axis=0)
    up = up / np.linalg.norm(up) if np.linalg.norm(up) > 1e-3 else np.array([0.0, -1.0, 0.0])
    for degrees in NARROWING:
        along = normals @ up
        votes = np.abs(along) > np.cos(np.radians(degrees))
        if votes.sum() < 50:
            break
        mean = (normals[votes] * np.sign(along[votes])[:, None]).sum(axis=0)
        up = mean / np.linalg.norm(mean)
    forward = _horizontal(np.array([0.0, 0.0, 1.0]), up)
    side = np.cross(up, forward)
    upright = np.abs(normals @ up) < 0.2
    if upright.sum() >= 50:
        angle = np.arctan2(normals[upright] @ side, normals[upright] @ forward)
        # Walls repeat every 90 degrees: four times the angle is one direction for all walls.
        heading = np.angle(np.exp(4j * angle).mean()) / 4
        forward = np.cos(heading) * forward + np.sin(heading) * side
    return up, forward


def _horizontal(direction: NDArray[np.float64], up: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = direction - (direction @ up) * up
    if np.linalg.norm(flat) < 1e-3:
        flat = np.array([0.0, -1.0, 0.0]) + up[1] * up
    return flat / np.linalg.norm(flat)
