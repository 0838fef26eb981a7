"""Analytic records for the model's tests: a room with coloured, turned boxes, ray-cast in numpy; no file, no engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics, relative_poses, transform
from gapdata.records.codec import encode_jpeg, encode_png, member_name
from gapdata.records.schema import Prompt, Record, ViewObject

SIZE = (128, 96)
ROOM = np.array([5.0, 4.0, 2.6])  # metres along x, y, z (up)
CLASSES = ("chair", "table", "bed", "cabinet", "lamp", "plant")
COLOURS = np.array([[60, 90, 200], [170, 120, 60], [210, 200, 190], [90, 60, 40], [230, 220, 90], [50, 150, 60]], float)
CHECKER = 0.4  # metres: the texture that gives a metric cue


def make_record(seed: int, *, frames: int = 2, boxes: int = 4, prompts: int = 8, split: str = "train") -> Record:
    """A clip of one random room. Everything follows from ``seed``."""
    rng = np.random.default_rng(seed)
    width, height = SIZE
    camera = Intrinsics(
        fx=0.9 * width, fy=0.9 * width, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height
    )
    kinds = rng.integers(len(CLASSES), size=boxes)
    sizes = rng.uniform(0.4, 1.1, size=(boxes, 3))
    yaws = rng.uniform(-np.pi, np.pi, size=boxes)
    places = np.column_stack([rng.uniform(1.8, 4.4, boxes), rng.uniform(0.6, 3.4, boxes), sizes[:, 2] / 2])
    rotations = np.stack([_yaw(yaw) for yaw in yaws])
    start = np.array([rng.uniform(0.3, 0.8), rng.uniform(1.2, 2.8), rng.uniform(1.3, 1.7)])
    heading, turn = rng.uniform(-0.3, 0.3), rng.uniform(-0.2, 0.2)
    poses = np.stack(
        [_look(start + np.array([0.15, 0.1, 0.0]) * index, heading + turn * index, 0.3) for index in range(frames)]
    )
    members: dict[str, bytes] = {}
    depths, masks = [], []
    for frame in range(frames):
        image, depth, mask = _render(camera, poses[frame], places, sizes, rotations, COLOURS[kinds])
        members[member_name(frame, "jpg")] = encode_jpeg(image, 95)
        members[member_name(frame, "depth.png")] = encode_png(np.rint(depth * 1000).astype(np.uint16))
        members[member_name(frame, "instance.png")] = encode_png(mask)
        depths.append(depth)
        masks.append(mask)
    to_first = relative_poses(poses)
    world_to_first = np.linalg.inv(poses[0])
    objects = tuple(
        ViewObject(
            object_id=index,
            label=CLASSES[kinds[index]],
            labels={},
            center=tuple(transform(world_to_first, places[index]).tolist()),
            size=tuple(sizes[index].tolist()),
            rotation=tuple(tuple(row) for row in (world_to_first[:3, :3] @ rotations[index]).tolist()),
            visible_pixels=tuple(int((mask == index + 1).sum()) for mask in masks),
        )
        for index in range(boxes)
    )
    record = Record(
        key=f"room{seed:04d}-clip-00000",
        scene_id=f"room{seed:04d}",
        source="analytic",
        split=split,
        view="clip",
        frame_ids=tuple(30 * frame for frame in range(frames)),
        image_size=SIZE,
        intrinsics=np.tile([camera.fx, camera.fy, camera.cx, camera.cy], (frames, 1)),
        camera_to_world=poses,
        camera_to_first=to_first,
        axis_alignment=None,
        objects=tuple(item for item in objects if max(item.visible_pixels) > 0),
        members=members,
    )
    chosen = _prompts(record, camera, np.stack(depths), np.stack(masks), prompts, rng)
    return Record(**{name: getattr(record, name) for name in record.__slots__ if name != "prompts"}, prompts=chosen)


def _prompts(
    record: Record,
    camera: Intrinsics,
    depths: NDArray[np.float64],
    masks: NDArray[np.uint16],
    count: int,
    rng: np.random.Generator,
) -> tuple[Prompt, ...]:
    labels = {item.object_id: item.label for item in record.objects}
    found = []
    candidates = np.argwhere(masks > 0)
    for index, (frame, v, u) in enumerate(rng.permutation(candidates)[:count].tolist(), start=1):
        object_id = int(masks[frame, v, u]) - 1
        point = camera.unproject(np.array([u, v]), depths[frame, v, u])
        found.append(
            Prompt(
                index=index,
                frame=frame,
                pixel=(u, v),
                point=tuple(transform(record.camera_to_first[frame], point).tolist()),
                object_id=object_id,
                label=labels[object_id],
            )
        )
    return tuple(found)


def _render(
    camera: Intrinsics,
    pose: NDArray[np.float64],
    places: NDArray[np.float64],
    sizes: NDArray[np.float64],
    rotations: NDArray[np.float64],
    colours: NDArray[np.float64],
) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.uint16]]:
    """Colour, z-depth in metres and instance mask of one camera: slab tests against the room and every box."""
    rays = camera.rays().reshape(-1, 3) @ pose[:3, :3].T
    origin = pose[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        walls = np.where(rays > 0, (ROOM - origin) / rays, -origin / rays)
    depth, hit = walls.min(axis=1), np.zeros(len(rays), dtype=np.uint16)
    surface = np.full((len(rays), 3), 190.0)
    for index in range(len(places)):
        local = rays @ rotations[index]
        start = (origin - places[index]) @ rotations[index]
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second = (-sizes[index] / 2 - start) / local, (sizes[index] / 2 - start) / local
        near, far = np.minimum(first, second).max(axis=1), np.maximum(first, second).min(axis=1)
        closer = (near < far) & (near > 0.05) & (near < depth)
        depth[closer], hit[closer], surface[closer] = near[closer], index + 1, colours[index]
    points = origin + rays * depth[:, None]
    checker = np.floor(points / CHECKER + 1e-3).sum(axis=1) % 2
    image = surface * (0.75 + 0.25 * checker[:, None])
    shape = (camera.height, camera.width)
    return image.clip(0, 255).astype(np.uint8).reshape(*shape, 3), depth.reshape(shape), hit.reshape(shape)


def _look(position: NDArray[np.float64], heading: float, down: float) -> NDArray[np.float64]:
    """camera_to_world of a camera that looks along ``heading`` (radians from +x), ``down`` radians below level."""
    forward = np.array([np.cos(heading) * np.cos(down), np.sin(heading) * np.cos(down), -np.sin(down)])
    right = np.array([np.sin(heading), -np.cos(heading), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.column_stack([right, np.cross(forward, right), forward])
    pose[:3, 3] = position
    return pose


def _yaw(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
