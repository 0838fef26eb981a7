"""A record for the 3D view of the page: its stored pointmap as packed points, its cameras, boxes and prompts.

A point takes 12 bytes: three uint16 of position (little endian, ``low + step * value`` metres in the first camera),
three uint8 of colour, two uint8 of its normal (octahedral, Cigolle et al., JCGT 2014), and one uint8 that names its
object, 1 being the first of ``boxes``; points of a frame lie together.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gapdata.errors import ShardError
from gapdata.geometry.boxes import box_corners
from gapdata.records.codec import member_name, record_image, record_instances, stored_pointmap
from gapdata.records.schema import Record
from gapdata.seeding import generator_for
from gapdata.view.palette import frame_color, object_color

MAX_POINTS = 16_384
"""A clip of four frames at the recipe's own stride has 12,288; a longer view is thinned to this many, at random."""
MAX_BOXES = 255
LEVELS = 65_535
POINT = np.dtype([("position", "<u2", 3), ("color", "u1", 3), ("normal", "u1", 2), ("object", "u1")])
METRE_DIGITS = 4


def cloud_members(record: Record) -> list[str]:
    """The members that :func:`record_cloud` reads."""
    frames = range(len(record))
    return ["pointmap.npy", *(member_name(frame, suffix) for frame in frames for suffix in ("jpg", "instance.png"))]


def record_cloud(record: Record) -> dict[str, Any]:
    """Plain values for the page.

    Raises:
        ShardError: a member is missing or damaged.
    """
    pointmap = stored_pointmap(record)
    if 0 in pointmap.shape:
        raise ShardError(f"record {record.key}: pointmap.npy has shape {pointmap.shape}")
    valid = np.isfinite(pointmap).all(axis=-1)
    kept = _thinned(valid, record.key)
    spacing = np.sqrt(valid.sum() / max(kept.sum(), 1))
    points, frames = pointmap[kept], np.nonzero(kept)[0]
    low = points.min(axis=0) if len(points) else np.zeros(3, dtype=np.float32)
    step = max(float((points - low).max()) / LEVELS, 1e-6) if len(points) else 1.0
    boxes = record.objects[:MAX_BOXES]
    packed = np.zeros(len(points), dtype=POINT)
    packed["position"] = np.rint((points - low) / step)
    normals = np.concatenate([_normals(record, pointmap, frame) for frame in range(len(record))])
    packed["normal"] = octahedral(normals[kept.reshape(-1)])
    packed["color"], packed["object"] = _appearance(record, kept, [item.object_id for item in boxes])
    stride = record.image_size[0] // pointmap.shape[2]
    return {
        "key": record.key,
        "image_size": list(record.image_size),
        "axes": _rounded(_upright_axes(record)),
        "center": _rounded(np.median(points, axis=0) if len(points) else np.array([0.0, 0.0, 1.0])),
        "radius": _radius(points),
        "low": [float(value) for value in low],
        "step": step,
        "frames": [
            {
                "frame_id": record.frame_ids[frame],
                "points": int((frames == frame).sum()),
                "pose": _rounded(record.camera_to_first[frame, :3].reshape(-1)),
                "intrinsics": _rounded(record.intrinsics[frame]),
                "spacing": _rounded(spacing * stride / record.intrinsics[frame, 0]),  # metres per metre of depth
                "color": list(frame_color(frame, len(record))),
            }
            for frame in range(len(record))
        ],
        "points": base64.b64encode(packed.tobytes()).decode(),
        "boxes": [
            {
                "label": item.label,
                "color": list(object_color(item.object_id)),
                "corners": _rounded(box_corners(item.center, item.size, item.rotation).reshape(-1)),
            }
            for item in boxes
        ],
        "prompts": [
            {"index": prompt.index, "frame": prompt.frame, "label": prompt.label, "point": _rounded(prompt.point)}
            for prompt in record.prompts
        ],
    }


def octahedral(normals: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Unit vectors (N, 3) to their two octahedral coordinates (N, 2), -1 ... 1 as 0 ... 254."""
    flat = normals[:, :2] / np.maximum(np.abs(normals).sum(axis=1, keepdims=True), 1e-12)
    folded = (1 - np.abs(flat[:, ::-1])) * np.where(flat >= 0, 1.0, -1.0)
    coordinates = np.where(normals[:, 2:] < 0, folded, flat)
    return np.rint(127 * (coordinates + 1)).astype(np.uint8)


def _thinned(valid: NDArray[np.bool_], key: str) -> NDArray[np.bool_]:
    """At most ``MAX_POINTS`` of the valid points, (F, h, w) bool."""
    positions = np.flatnonzero(valid)
    if len(positions) <= MAX_POINTS:
        return valid
    chosen = generator_for(0, "report", key).choice(positions, MAX_POINTS, replace=False)
    kept = np.zeros(valid.size, dtype=bool)
    kept[chosen] = True
    return kept.reshape(valid.shape)


def _normals(record: Record, pointmap: NDArray[np.float32], frame: int) -> NDArray[np.float32]:
    """(h * w, 3) unit normals towards the frame's camera; the direction to it where a neighbour is missing."""
    points = pointmap[frame]
    toward = record.camera_to_first[frame, :3, 3].astype(np.float32) - points
    normals = toward.copy()
    across, down = points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1]
    normals[1:-1, 1:-1] = np.cross(down, across)
    normals = np.where(np.isfinite(normals).all(axis=-1, keepdims=True), normals, toward)
    normals *= np.where((normals * toward).sum(axis=-1, keepdims=True) < 0, np.float32(-1), np.float32(1))
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    return (normals / np.maximum(length, 1e-12)).reshape(-1, 3).astype(np.float32)


def _appearance(
    record: Record, kept: NDArray[np.bool_], object_ids: list[int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(N, 3) colours and (N,) places in ``object_ids`` from 1 on, 0 for none, of the kept points, frame by frame."""
    _, height, width = kept.shape
    stride_v, stride_u = record.image_size[1] // height, record.image_size[0] // width
    places = np.zeros(65_536, dtype=np.uint8)
    for place, object_id in enumerate(object_ids, start=1):
        if 0 <= object_id < LEVELS:
            places[object_id + 1] = place
    colors, objects = [], []
    for frame in range(len(record)):
        rows, columns = np.nonzero(kept[frame])
        rows, columns = rows * stride_v + stride_v // 2, columns * stride_u + stride_u // 2
        colors.append(record_image(record, frame)[rows, columns])
        annotated = member_name(frame, "instance.png") in record.members
        instances = (
            record_instances(record, frame)[rows, columns] if annotated else np.zeros(len(rows), dtype=np.uint16)
        )
        objects.append(places[instances])
    return np.concatenate(colors), np.concatenate(objects)


def _upright_axes(record: Record) -> NDArray[np.float64]:
    """(3, 3) rows right, forward and up in the first camera: up is the aligned world's z where there is one, else the
    image's; forward is where the first camera looks."""
    up = np.array([0.0, -1.0, 0.0])
    if record.axis_alignment is not None:
        up = (record.axis_alignment @ record.camera_to_world[0])[2, :3]
    forward = np.array([0.0, 0.0, 1.0])
    if abs(up @ forward) > 0.95 * np.linalg.norm(up):
        forward = np.array([0.0, -1.0, 0.0])
    up = up / max(float(np.linalg.norm(up)), 1e-12)
    forward = forward - up * (up @ forward)
    forward /= max(float(np.linalg.norm(forward)), 1e-12)
    return np.stack([np.cross(forward, up), forward, up])


def _radius(points: NDArray[np.float32]) -> float:
    """Metres around the median point that hold nine tenths of the others."""
    if not len(points):
        return 1.0
    return round(float(np.percentile(np.linalg.norm(points - np.median(points, axis=0), axis=1), 90)), 3)


def _rounded(values: ArrayLike) -> Any:
    if not np.isfinite(values).all():
        raise ShardError("a camera, box or prompt has numbers that are not finite")
    return np.round(np.asarray(values, dtype=np.float64), METRE_DIGITS).tolist()
