"""The colour modes: how points of a cloud and pixels of a frame are coloured, and what a colour means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gapdata.records.schema import Record
from gapdata.show.scene.cloud import PointCloud, fuse_frame, joined, with_error
from gapdata.show.scene.palette import Color, depth_colors, frame_color, frame_colors, instance_colors
from gapdata.show.scene.surfaces import camera_normals, pixel_validity

FULL_ERROR = 0.05
"""Metres at which the error's colour scale ends; fixed, so that records compare. Beyond it no pose is good."""
UNSEEN: Color = (92, 96, 104)  # no other frame sees it
VALIDITY_COLORS: tuple[Color, ...] = ((54, 58, 68), (226, 62, 62), (255, 158, 40), (84, 148, 255), (74, 196, 112))
VALIDITY_TEXT = ("outside the depth image", "hole", "edge", "grazing", "surface")
TINT = 0.7
"""Share of the mode's colour where the photograph shows through, which keeps surfaces readable."""


Swatches = tuple[tuple[str, Color], ...]
"""Names and their colours."""


def point_colors(cloud: PointCloud, mode: str, order: Sequence[int]) -> NDArray[np.uint8]:
    """Return (N, 3) uint8 RGB of a cloud in one of :data:`gapdata.show.scene.modes.MODES`.

    Args:
        cloud: with its error measured, for ``error``.
        mode: one of :data:`gapdata.show.scene.modes.MODES`.
        order: all values of ``cloud.frames``, ascending; a frame's colour is by its place here.
    """
    if mode == "error":
        return error_colors(cloud.error)
    if mode == "instance":
        return _tinted(instance_colors(cloud.instances), cloud.colors)
    if mode == "validity":
        return np.array(VALIDITY_COLORS, dtype=np.uint8)[cloud.validity]
    if mode == "frame":
        return frame_colors(np.searchsorted(np.asarray(order), cloud.frames), len(order))
    return cloud.colors


def shaded(colors: NDArray[np.uint8], normals: NDArray[np.float32], up: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Darken colours (N, 3) by how a surface lies, so that flat colours still show a room.

    Args:
        colors: (N, 3) RGB.
        normals: (N, 3) unit.
        up: (3, 3) rows: two horizontal directions and up.
    """
    light = np.array([0.35, 0.62, 0.70]) @ up
    return np.rint(colors * (0.62 + 0.38 * np.abs(normals @ light.astype(np.float32)))[:, None]).astype(np.uint8)


def error_colors(error: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Turn metres (...,) into colours (..., 3) uint8: Turbo, blue at 0, red from :data:`FULL_ERROR` on; NaN is grey."""
    import cv2

    known = np.isfinite(error)
    share = np.clip(np.where(known, error, 0.0) / FULL_ERROR, 0.0, 1.0)
    steps = np.rint(255 * (0.06 + 0.9 * np.arange(256) / 255)).astype(np.uint8)[:, None]
    table = cv2.cvtColor(cv2.applyColorMap(steps, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)[:, 0]
    colors: NDArray[np.uint8] = table[np.rint(255 * share).astype(np.uint8)]
    colors[~known] = UNSEEN
    return colors


def frame_maps(
    record: Record, frames: Sequence[int], mode: str, nearest: float, farthest: float
) -> dict[int, NDArray[np.uint8]]:
    """Return what a sheet shows below the photograph of each of ``frames``, (h, w, 3) uint8 RGB: the frame by the mode.

    The modes ``rgb`` and ``frame`` have nothing to add to a frame, so they show its depth, ``nearest`` to ``farthest``.

    Raises:
        ShardError: a member is missing or damaged.
    """
    if mode == "error":
        return {frame: error_colors(error) for frame, error in error_maps(record, frames).items()}
    if mode == "validity":
        covered = np.logical_or.reduce([record.depth(frame) > 0 for frame in range(len(record))])
    maps: dict[int, NDArray[np.uint8]] = {}
    for frame in frames:
        depth, camera = record.depth(frame), record.camera(frame)
        if mode == "instance" and record.has_instances:
            maps[frame] = _tinted(instance_colors(record.instances(frame)), record.image(frame))
        elif mode == "validity":
            found = pixel_validity(depth, camera, camera_normals(depth, camera), covered)
            maps[frame] = np.array(VALIDITY_COLORS, dtype=np.uint8)[found]
        else:
            maps[frame] = depth_colors(depth, nearest, farthest)
    return maps


def error_maps(record: Record, frames: Sequence[int], stride: int = 2) -> dict[int, NDArray[np.float32]]:
    """Measure how far each of ``frames`` disagrees with all others of the record.

    Returns:
        (H // stride, W // stride) float32 metres by frame, NaN where there is no depth or no other frame sees it.
    """
    cloud = with_error(record, joined([fuse_frame(record, frame, stride) for frame in frames]))
    maps = {}
    for frame in frames:
        # The cloud holds a frame's pixels with depth row by row.
        valid = record.depth(frame)[stride // 2 :: stride, stride // 2 :: stride] > 0
        maps[frame] = np.full(valid.shape, np.nan, dtype=np.float32)
        maps[frame][valid] = cloud.error[cloud.frames == frame]
    return maps


def legend(mode: str, order: Sequence[int]) -> Swatches:
    """Return what the colours of a mode mean; ``order`` as in :func:`point_colors`."""
    if mode == "error":
        steps = np.linspace(0.0, FULL_ERROR, 6, dtype=np.float32)
        names = [f"{step * 100:.0f}" for step in steps[:-1]] + [f"{FULL_ERROR * 100:g} cm and more"]
        colors = [(red, green, blue) for red, green, blue in error_colors(steps).tolist()]
        return (("no other frame sees it", UNSEEN), *zip(names, colors, strict=True))
    if mode == "validity":
        return tuple(zip(VALIDITY_TEXT, VALIDITY_COLORS, strict=True))[::-1]
    if mode == "frame" and len(order):
        places = sorted({0, len(order) // 2, len(order) - 1})
        return tuple((f"frame {order[at]}", frame_color(at, len(order))) for at in places)
    return ()


def _tinted(colors: NDArray[np.uint8], photograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return (TINT * colors + (1 - TINT) * photograph).astype(np.uint8)
