"""A furnished room as an in-memory record: every depth and instance pixel comes from intersecting rays with boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import OrientedBox
from gapdata.geometry.camera import Intrinsics, relative_poses, transform
from gapdata.records.codec import encode_jpeg, encode_png, member_name
from gapdata.records.schema import Prompt, Record, ViewObject

ROOM = np.array([[-2.6, -2.0, 0.0], [2.6, 3.0, 2.6]])  # lower and upper corner, metres, z up
FURNITURE = (  # label, centre, full size, colour
    ("table", (0.2, 1.6, 0.36), (1.3, 0.8, 0.72), (150, 98, 60)),
    ("cabinet", (-2.2, 1.9, 0.9), (0.6, 1.2, 1.8), (90, 120, 150)),
    ("sofa", (1.9, 0.6, 0.35), (0.9, 1.7, 0.7), (70, 130, 90)),
    ("box", (0.35, 1.5, 0.87), (0.3, 0.3, 0.3), (205, 170, 60)),
)


def room_record(
    frames: int = 4,
    size: tuple[int, int] = (512, 384),
    *,
    aligned: bool = False,
    orbit: float = 0.5,
    noise: float = 0.0,
) -> Record:
    """A clip through the room; its world is the room's axes turned by 30 degrees about the vertical.

    Args:
        frames: number of frames.
        size: (width, height) of the images.
        aligned: store the axis alignment that undoes the turn.
        orbit: how far the camera turns over the clip, radians.
        noise: standard deviation of the depth noise at 1 m, metres; it grows with the square of the distance.
    """
    width, height = size
    camera = Intrinsics(
        fx=0.9 * width, fy=0.9 * width, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height
    )
    to_world = np.eye(4)
    to_world[:2, :2] = [[np.cos(0.5236), -np.sin(0.5236)], [np.sin(0.5236), np.cos(0.5236)]]
    poses = np.stack([_pose(frame / max(frames - 1, 1), orbit) for frame in range(frames)])
    camera_to_world = to_world @ poses
    members: dict[str, bytes] = {}
    depths, masks = [], []
    for frame, pose in enumerate(poses):
        depth, mask, image = _cast(camera, pose)
        depth = depth + np.random.default_rng(frame).normal(size=depth.shape) * noise * depth**2
        depths.append(np.rint(depth * 1000) / 1000)
        masks.append(mask)
        members[member_name(frame, "jpg")] = encode_jpeg(image, 92)
        members[member_name(frame, "depth.png")] = encode_png(np.rint(depth * 1000).astype(np.uint16))
        members[member_name(frame, "instance.png")] = encode_png(mask)
    camera_to_first = relative_poses(camera_to_world)
    return Record(
        key="room0000_00-clip-00000",
        scene_id="room0000_00",
        source="scannet",
        split="train",
        view="clip" if frames <= 8 else "scene",
        frame_ids=tuple(range(0, 30 * frames, 30)),
        image_size=size,
        intrinsics=np.tile([camera.fx, camera.fy, camera.cx, camera.cy], (frames, 1)),
        camera_to_world=camera_to_world,
        camera_to_first=camera_to_first,
        axis_alignment=np.linalg.inv(to_world).astype(np.float64) if aligned else None,
        objects=_objects(np.linalg.inv(poses[0]), masks),
        prompts=_prompts(camera, camera_to_first, depths, masks),
        members=members,
    )


def part_of(record: Record, frames: Sequence[int], key: str) -> Record:
    """Another view of the same scan: some of the frames, in the camera of the first of them."""
    to_first = np.linalg.inv(record.camera_to_first[frames[0]])
    return replace(
        record,
        key=key,
        frame_ids=tuple(record.frame_ids[frame] for frame in frames),
        intrinsics=record.intrinsics[list(frames)],
        camera_to_world=record.camera_to_world[list(frames)],
        camera_to_first=relative_poses(record.camera_to_world[list(frames)]),
        objects=tuple(_moved(item, to_first, frames) for item in record.objects),
        prompts=tuple(
            replace(
                prompt, frame=frames.index(prompt.frame), point=_triple(transform(to_first, np.array(prompt.point)))
            )
            for prompt in record.prompts
            if prompt.frame in frames
        ),
        members={
            member_name(place, name.split(".", 1)[1]): data
            for place, frame in enumerate(frames)
            for name, data in record.members.items()
            if name.startswith(f"{frame:02d}.")
        },
    )


def _moved(item: ViewObject, matrix: NDArray[np.float64], frames: Sequence[int]) -> ViewObject:
    box = OrientedBox(center=np.array(item.center), size=np.array(item.size), rotation=np.array(item.rotation))
    box = box.transformed(matrix)
    return replace(
        item,
        center=_triple(box.center),
        rotation=tuple(_triple(row) for row in box.rotation),
        visible_pixels=tuple(item.visible_pixels[frame] for frame in frames),
    )


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _pose(share: float, orbit: float) -> NDArray[np.float64]:
    """Camera to room of a camera near the front wall that pans and walks a little, looking slightly down."""
    yaw, pitch = np.pi / 2 + orbit * (0.5 - share), -0.32
    ahead = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(ahead, right), ahead], axis=1)
    pose[:3, 3] = [-0.3 + 0.6 * share, -1.6 + 0.2 * share, 1.55]
    return pose


def _cast(
    camera: Intrinsics, pose: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.uint16], NDArray[np.uint8]]:
    """z-depth (H, W) metres, instance mask (H, W) and image (H, W, 3) by the slab method; rays have z = 1."""
    direction = camera.rays() @ pose[:3, :3].T
    origin = pose[:3, 3]
    with np.errstate(divide="ignore"):
        depth = np.maximum((ROOM[0] - origin) / direction, (ROOM[1] - origin) / direction).min(axis=-1)
        mask = np.zeros(depth.shape, dtype=np.uint16)
        for index, (_, center, size, _) in enumerate(FURNITURE):
            low, high = (np.array(center) + sign * np.array(size) / 2 for sign in (-1, 1))
            enter = np.minimum((low - origin) / direction, (high - origin) / direction).max(axis=-1)
            leave = np.maximum((low - origin) / direction, (high - origin) / direction).min(axis=-1)
            hit = (enter < leave) & (enter > 0) & (enter < depth)
            depth, mask = np.where(hit, enter, depth), np.where(hit, index + 1, mask).astype(np.uint16)
    hits = origin + direction * depth[..., None]
    checks = (np.floor(hits / 0.5 + 1e-6).sum(axis=-1) % 2)[..., None]
    height = hits[..., 2:]
    room = np.where(height < 0.01, [156, 120, 84], np.where(height > 2.59, [235, 235, 230], [214, 206, 190]))
    colors = np.stack([np.array(item[3], dtype=float) for item in FURNITURE])
    image = np.where(mask[..., None] > 0, colors[np.maximum(mask, 1) - 1], room) * (0.88 + 0.12 * checks)
    return depth, mask, image.astype(np.uint8)


def _objects(room_to_first: NDArray[np.float64], masks: list[NDArray[np.uint16]]) -> tuple[ViewObject, ...]:
    rotation = tuple((float(a), float(b), float(c)) for a, b, c in room_to_first[:3, :3])
    objects = []
    for index, (label, center, size, _) in enumerate(FURNITURE):
        x, y, z = (float(value) for value in transform(room_to_first, np.array(center)))
        objects.append(
            ViewObject(
                object_id=index,
                label=label,
                labels={"raw": label},
                center=(x, y, z),
                size=size,
                rotation=rotation,
                visible_pixels=tuple(int((mask == index + 1).sum()) for mask in masks),
            )
        )
    return tuple(objects)


def _prompts(
    camera: Intrinsics,
    camera_to_first: NDArray[np.float64],
    depths: list[NDArray[np.float64]],
    masks: list[NDArray[np.uint16]],
) -> tuple[Prompt, ...]:
    """One on each object, in the first frame that shows enough of it, at the pixel nearest to its mask's middle."""
    prompts: list[Prompt] = []
    for index, (label, *_) in enumerate(FURNITURE):
        frame = next((k for k, mask in enumerate(masks) if (mask == index + 1).sum() > mask.size // 200), None)
        if frame is None:
            continue
        pixels = np.argwhere(masks[frame] == index + 1)
        v, u = pixels[np.linalg.norm(pixels - np.median(pixels, axis=0), axis=1).argmin()].tolist()
        local = camera.unproject(np.array([u, v]), depths[frame][v, u])
        x, y, z = (float(value) for value in transform(camera_to_first[frame], local))
        prompts.append(
            Prompt(index=len(prompts) + 1, frame=frame, pixel=(u, v), point=(x, y, z), object_id=index, label=label)
        )
    return tuple(prompts)
