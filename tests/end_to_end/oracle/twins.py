"""Other views of which the answers follow: records and true rooms that are mirrored, moved, scaled, reversed, jittered.

Each function takes a record, or the room behind it, and returns its twin; the same change is done to both, by code of
its own for each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import relative_poses
from gapdata.records.codec import encode_png, member_name
from gapdata.records.schema import Record, ViewObject
from tests.end_to_end.oracle.key.lens import Lens
from tests.end_to_end.oracle.key.true_room import TrueRoom
from tests.end_to_end.oracle.key.upright_boxes import Boxes

Floats = NDArray[np.float64]
MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


def mirrored(record: Record) -> Record:
    """Return the record of the room seen in a mirror: x becomes -x in the world, in every camera and in every image."""
    width = record.image_size[0]
    intrinsics = record.intrinsics.copy()
    intrinsics[:, 2] = width - 1 - intrinsics[:, 2]
    assert record.axis_alignment is not None
    room = record.room
    if room is not None:
        right = room.free_origin[0] + room.free.shape[1] * 0.05
        room = replace(
            room,
            outline=(room.outline * [-1, 1])[::-1],
            free=room.free[:, ::-1],
            free_origin=(-right, room.free_origin[1]),
        )
    return replace(
        record,
        intrinsics=intrinsics,
        camera_to_world=MIRROR @ record.camera_to_world @ MIRROR,
        camera_to_first=MIRROR @ record.camera_to_first @ MIRROR,
        axis_alignment=MIRROR @ record.axis_alignment @ MIRROR,
        objects=tuple(_mirrored_object(item) for item in record.objects),
        room=room,
        members=_repainted(record, lambda image: image[:, ::-1]),
    )


def _mirrored_object(item: ViewObject) -> ViewObject:
    turn = MIRROR[:3, :3]
    aligned = None if item.aligned_box is None else (-item.aligned_box[0], *item.aligned_box[1:])
    return replace(
        item,
        center=(-item.center[0], *item.center[1:]),
        rotation=_rows(turn @ np.array(item.rotation) @ turn),
        aligned_box=aligned,
    )


def mirrored_room(room: TrueRoom) -> TrueRoom:
    """Return the room in a mirror."""
    flip = np.array([-1.0, 1.0, 1.0])
    return _moved_room(
        room,
        points=lambda points: points * flip,
        poses=MIRROR @ room.poses @ MIRROR,
        boxes=Boxes(center=room.boxes.center * flip, half=room.boxes.half, yaw=-room.boxes.yaw),
    )


def mirrored_lens(lens: Lens) -> Lens:
    """Return the camera of a mirrored image."""
    return replace(lens, cx=lens.width - 1 - lens.cx)


def moved(record: Record, matrix: Floats) -> Record:
    """Return the record in another world: its aligned world and all that cameras see stay as they were."""
    assert record.axis_alignment is not None
    return replace(
        record,
        camera_to_world=matrix @ record.camera_to_world,
        axis_alignment=record.axis_alignment @ np.linalg.inv(matrix),
    )


def turned(record: Record, matrix: Floats) -> Record:
    """Return the record with another aligned world, of which z stays up; rooms are given in it, and are left out."""
    assert record.axis_alignment is not None
    return replace(record, axis_alignment=matrix @ record.axis_alignment, room=None)


def scaled(record: Record, factor: int) -> Record:
    """Return the record of a room that is larger by a factor in all directions."""
    room = record.room
    if room is not None:
        room = replace(
            room,
            outline=room.outline * factor,
            area=room.area * factor**2,
            height=room.height * factor,
            free=np.kron(room.free, np.ones((factor, factor), dtype=bool)),
            free_origin=(room.free_origin[0] * factor, room.free_origin[1] * factor),
        )
    assert record.axis_alignment is not None
    distances = record.mesh_distances
    return replace(
        record,
        mesh_distances=None if distances is None else replace(distances, metres=distances.metres * factor),
        camera_to_world=_farther(record.camera_to_world, factor),
        camera_to_first=_farther(record.camera_to_first, factor),
        axis_alignment=_farther(record.axis_alignment, factor),
        objects=tuple(_scaled_object(item, factor) for item in record.objects),
        room=room,
        members=_repainted(record, lambda image: image * np.uint16(factor), ("depth.png",)),
    )


def _scaled_object(item: ViewObject, factor: int) -> ViewObject:
    x, y, z = (factor * value for value in item.center)
    length, width, height = (factor * value for value in item.size)
    aligned = None if item.aligned_box is None else tuple(factor * value for value in item.aligned_box)
    slack = None if item.box_slack is None else (factor * item.box_slack[0], factor * item.box_slack[1])
    return replace(item, center=(x, y, z), size=(length, width, height), aligned_box=aligned, box_slack=slack)


def scaled_room(room: TrueRoom, factor: int) -> TrueRoom:
    """Return the room, larger by a factor."""
    return _moved_room(
        room,
        points=lambda points: points * factor,
        poses=_farther(room.poses, factor),
        boxes=Boxes(center=room.boxes.center * factor, half=room.boxes.half * factor, yaw=room.boxes.yaw),
    )


def reversed_clip(record: Record, frames: int) -> Record:
    """Return the record of the same walk played backwards, of a scan with so many frames."""
    count = len(record)
    back = list(range(count))[::-1]
    poses = record.camera_to_world[back]
    to_new_first = np.linalg.inv(record.camera_to_first[-1])
    members = {
        member_name(count - 1 - int(name[:2]), name[3:]): data
        for name, data in record.members.items()
        if name[:2].isdigit()
    }
    return replace(
        record,
        frame_ids=tuple(frames - 1 - record.frame_ids[place] for place in back),
        intrinsics=record.intrinsics[back],
        camera_to_world=poses,
        camera_to_first=relative_poses(poses),
        objects=tuple(item.transformed(to_new_first).seen_in(back) for item in record.objects),
        prompts=(),
        members=members,
    )


def reversed_walk(room: TrueRoom) -> TrueRoom:
    """Return the room with the walk played backwards."""
    return replace(room, poses=room.poses[::-1], _sights={}, seen={})


def jittered(record: Record, rng: np.random.Generator, *, poses: float, boxes: float, eroded: int) -> Record:
    """Return the record with cameras moved and boxes' sides shifted by so many metres, and smaller masks."""
    import cv2

    ways = rng.normal(size=(len(record), 3))
    step = poses * ways / np.linalg.norm(ways, axis=1, keepdims=True)
    camera_to_world = record.camera_to_world.copy()
    camera_to_world[:, :3, 3] += step
    objects = []
    for item in record.objects:
        low, high = rng.uniform(-boxes, boxes, (2, 3))
        center = np.array(item.center) + np.array(item.rotation) @ ((low + high) / 2)
        size = np.maximum(np.array(item.size) + high - low, 0.002)
        objects.append(replace(item, center=tuple(center.tolist()), size=tuple(size.tolist())))
    kernel = np.ones((2 * eroded + 1, 2 * eroded + 1), np.uint8)

    def shrunk(mask: NDArray[np.uint16]) -> NDArray[np.uint16]:
        same = cv2.erode(mask, kernel) == cv2.dilate(mask, kernel)
        return np.where(same, mask, 0).astype(np.uint16)

    return replace(
        record,
        camera_to_world=camera_to_world,
        camera_to_first=relative_poses(camera_to_world),
        objects=tuple(objects),
        members=_repainted(record, shrunk, ("instance.png",)),
    )


def flown(record: Record, camera_to_room: Floats) -> Record:
    """Return the record with other cameras (F, 4, 4): what its images show does not belong to them."""
    assert record.axis_alignment is not None
    poses = np.linalg.inv(record.axis_alignment) @ camera_to_room
    return replace(record, camera_to_world=poses, camera_to_first=relative_poses(poses), objects=(), members={})


def _moved_room(room: TrueRoom, *, points: Callable[[Floats], Floats], poses: Floats, boxes: Boxes) -> TrueRoom:
    import open3d as o3d

    vertices = points(room.vertices)
    caster = o3d.t.geometry.RaycastingScene(nthreads=1)
    caster.add_triangles(o3d.core.Tensor(vertices.astype(np.float32)), o3d.core.Tensor(room.faces.astype(np.uint32)))
    corners = points(np.concatenate([room.corners, np.zeros((len(room.corners), 1))], axis=1))[:, :2]
    return replace(
        room,
        boxes=boxes,
        corners=corners,
        poses=poses,
        points=tuple(points(cloud) for cloud in room.points),
        vertices=vertices,
        caster=caster,
        _gaps={},
        _sights={},
        seen={},
    )


def _farther(matrices: Floats, factor: float) -> Floats:
    found = matrices.copy()
    found[..., :3, 3] *= factor
    return found


def _repainted(
    record: Record,
    paint: Callable[[NDArray[np.uint16]], NDArray[np.uint16]],
    suffixes: tuple[str, ...] = ("depth.png", "instance.png"),
) -> dict[str, bytes]:
    """Return the members with some of their 16-bit images changed."""
    import cv2

    members = dict(record.members)
    for name, data in record.members.items():
        if name[3:] in suffixes:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).astype(np.uint16)
            members[name] = encode_png(np.ascontiguousarray(paint(image)))
    return members


def _rows(matrix: Floats) -> tuple[tuple[float, float, float], ...]:
    return tuple((x, y, z) for x, y, z in matrix.tolist())
