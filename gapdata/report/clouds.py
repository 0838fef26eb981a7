"""A record for the 3D view of the page: thinned depth and colour of its frames, cameras, boxes and prompts.

The page computes the first-frame pointmap from them.

Depth on a grid deflates to a tenth of what packed points take, and neighbours on the grid give the page normals.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gapdata.errors import ShardError
from gapdata.records.codec import (
    MILLIMETRES_PER_METRE,
    encode_jpeg,
    member_name,
)
from gapdata.records.schema import Record
from gapdata.show.scene.palette import frame_color, object_color

MAX_POINTS = 50_000
"""Of a record: 128 x 96 of each frame of a clip. More makes the page larger and the picture no clearer."""
MAX_BOXES = 255
JPEG_QUALITY = 85
METRE_DIGITS = 4
UPRIGHT_COSINE = 0.95
"""Beyond this cosine between up and the first camera's view, its view tells no heading."""


def cloud_members(record: Record) -> list[str]:
    """Return the names of the members that :func:`record_cloud` reads."""
    suffixes = ("jpg", "depth.png", "instance.png")
    return ["pointmap.npy", *(member_name(frame, suffix) for frame in range(len(record)) for suffix in suffixes)]


def record_cloud(record: Record) -> dict[str, Any]:
    """Return a record as plain values for the page.

    With h x w the size of the thinned grid, where pixel (i, j) is (stride * i + stride // 2, stride * j + stride // 2)
    of the stored image:

    ``depth``: (F, h, w) uint16 millimetres as differences to the left neighbour modulo 2^16, all low bytes before all
    high ones; ``objects``: (F, h, w) uint8 place in ``boxes`` from 1 on, 0 for none; both deflated, base64. ``photo``:
    the frames below each other, (F * h, w), a JPEG. ``axes``: rows right, forward and up for the viewpoint; they and
    all else in metres in the first camera.

    Raises:
        ShardError: a member is missing or damaged, or a camera, box or prompt is not finite.
    """
    boxes = record.objects[:MAX_BOXES]
    stride = _stride(record)
    depth, photo, objects = _grids(record, stride, [item.object_id for item in boxes])
    pointmap = record.stored_pointmap().reshape(-1, 3)
    points = pointmap[np.isfinite(pointmap).all(axis=1)].astype(np.float64)
    center = np.median(points, axis=0) if len(points) else np.array([0.0, 0.0, 1.0])
    return {
        "key": record.key,
        "image_size": list(record.image_size),
        "stride": stride,
        "grid": [depth.shape[2], depth.shape[1]],
        "axes": _rounded(_upright_axes(record)),
        "center": _rounded(center),
        "radius": _rounded(np.percentile(np.linalg.norm(points - center, axis=1), 90) if len(points) else 1.0),
        "frames": [
            {
                "frame_id": record.frame_ids[frame],
                "pose": _rounded(record.camera_to_first[frame, :3].reshape(-1)),
                "intrinsics": _rounded(record.intrinsics[frame]),
                "color": list(frame_color(frame, len(record))),
            }
            for frame in range(len(record))
        ],
        "depth": _deflated(_split_differences(depth)),
        "objects": _deflated(objects),
        "photo": f"data:image/jpeg;base64,{base64.b64encode(photo).decode()}",
        "boxes": [
            {
                "label": item.label,
                "color": list(object_color(item.object_id)),
                "corners": _rounded(item.box.corners.reshape(-1)),
            }
            for item in boxes
        ],
        "prompts": [
            {"index": prompt.index, "label": prompt.label, "point": _rounded(prompt.point)} for prompt in record.prompts
        ],
    }


def _stride(record: Record) -> int:
    """Return the stride that keeps the record just below :data:`MAX_POINTS`."""
    width, height = record.image_size
    stride = max(1, math.isqrt(max(len(record) * width * height, 0) // MAX_POINTS))
    while len(record) * (width // stride) * (height // stride) > MAX_POINTS:
        stride += 1
    if min(width // stride, height // stride, len(record)) < 1:
        raise ShardError(
            f"record {record.key}: {len(record)} frames of {width}x{height} cannot be thinned to 3D points"
        )
    return stride


def _grids(
    record: Record, stride: int, object_ids: Sequence[int]
) -> tuple[NDArray[np.uint16], bytes, NDArray[np.uint8]]:
    """Return thinned depth (F, h, w) in millimetres, photos as one JPEG, places of objects (F, h, w)."""
    import cv2

    width, height = (side // stride for side in record.image_size)
    rows = (np.arange(height) * stride + stride // 2)[:, None]
    columns = (np.arange(width) * stride + stride // 2)[None, :]
    places = np.zeros(65_536, dtype=np.uint8)  # of object id + 1
    for place, object_id in enumerate(object_ids, start=1):
        if 0 <= object_id < len(places) - 1:
            places[object_id + 1] = place
    depth = np.zeros((len(record), height, width), dtype=np.uint16)
    objects = np.zeros((len(record), height, width), dtype=np.uint8)
    photos = []
    for frame in range(len(record)):
        depth[frame] = np.rint(record.depth(frame)[rows, columns] * MILLIMETRES_PER_METRE)
        covered = record.image(frame)[: height * stride, : width * stride]
        photos.append(cv2.resize(covered, (width, height), interpolation=cv2.INTER_AREA))
        if member_name(frame, "instance.png") in record.members:
            objects[frame] = places[record.instances(frame)[rows, columns]]
    return depth, encode_jpeg(np.concatenate(photos), JPEG_QUALITY), objects


def _split_differences(depth: NDArray[np.uint16]) -> NDArray[np.uint8]:
    difference = np.diff(depth, axis=2, prepend=np.uint16(0))
    return np.stack([difference & 255, difference >> 8]).astype(np.uint8)


def _deflated(values: NDArray[np.uint8]) -> str:
    return base64.b64encode(zlib.compress(values.tobytes(), 9)).decode()


def _upright_axes(record: Record) -> NDArray[np.float64]:
    """Return (3, 3) rows right, forward and up in the first camera.

    Up is the aligned world's z where there is one, else the image's; forward is where the first camera looks.
    """
    up = np.array([0.0, -1.0, 0.0])
    if record.axis_alignment is not None:
        up = (record.axis_alignment @ record.camera_to_world[0])[2, :3]
    up = up / max(float(np.linalg.norm(up)), 1e-12)
    forward = np.array([0.0, 0.0, 1.0] if abs(up[2]) < UPRIGHT_COSINE else [0.0, -1.0, 0.0])
    forward = forward - up * (up @ forward)
    forward /= max(float(np.linalg.norm(forward)), 1e-12)
    return np.stack([np.cross(forward, up), forward, up])


def _rounded(values: ArrayLike) -> Any:
    if not np.isfinite(values).all():
        raise ShardError("a camera, box or prompt has a number that is not finite")
    return np.round(np.asarray(values, dtype=np.float64), METRE_DIGITS).tolist()
