"""How often does ``gapdata verify --leaks`` miss a room that was walked through twice, or take two rooms for one?

    python -m tests.benchmarks.alike_rooms --rooms 28

Each synthetic room is walked through twice, and the two walks lie in worlds that are turned against each other and
have no known vertical. Where the project's real samples lie beside the checkout, the two halves of 7-Scenes' kitchen
are a room walked through twice, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics, transform
from gapdata.geometry.pointmap import first_frame_pointmap
from gapdata.geometry.room_shape import ALIKE, RoomShape, likeness, room_shape, upward
from gapdata.synthetic.render import camera_rays, cast
from gapdata.synthetic.scene import PATH, Scene, build_scene, generator
from gapdata.synthetic.trajectory import free_floor, walk
from tests.conftest import SAMPLES

CAMERA = Intrinsics(fx=58.0, fy=58.0, cx=31.5, cy=23.5, width=64, height=48)
FRAMES, STEP = 600, 25
NOISE = 0.01  # of the depth
WALKS = (20, 21)
"""Numbers of walks that no build of a synthetic room uses."""


def walked(scene: Scene, number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a walk through a room sees: pointmaps (F, H, W, 3) in the room's level world, and poses (F, 4, 4)."""
    random = generator(scene.seed, scene.index, PATH, number)
    floor = free_floor(scene.plan, scene.claims)
    poses = np.linalg.inv(scene.axis_alignment) @ walk(scene.plan, scene.claims, floor, FRAMES, random)[::STEP]
    rays = np.stack([camera_rays(CAMERA, pose) for pose in poses])
    distance = cast(scene, rays.reshape(-1, 6)).distance.reshape(rays.shape[:-1])
    distance = np.where(distance < 6, distance * (1 + NOISE * random.normal(size=distance.shape)), np.nan)
    return rays[..., :3] + rays[..., 3:] * distance[..., None], poses


def shape_in_another_world(
    points: NDArray[np.float64], poses: NDArray[np.float64], random: np.random.Generator
) -> RoomShape | None:
    """The shape of a room whose world was turned and moved in any way, so that its vertical must be found."""
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    move = np.eye(4)
    move[:3, :3], move[:3, 3] = turn * np.sign(np.linalg.det(turn)), random.uniform(-5, 5, 3)
    moved = transform(move, points)
    return room_shape(moved.reshape(-1, 3), upward(moved, -(move @ poses)[:, :3, 1].mean(axis=0)))


def kitchen_halves(folder: Path) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The two halves of a real capture of a kitchen: pointmaps (F, H, W, 3) in its world, and poses (F, 4, 4)."""
    from gapdata.sources.rgbd import RgbdFolder

    dataset = RgbdFolder.open(folder)
    with dataset.open_scan(dataset.scene_ids[0]) as scan:
        frames = np.flatnonzero(scan.present)
        for half in (frames[: len(frames) // 2], frames[len(frames) // 2 :]):
            chosen = half[::4]
            depth = np.stack([scan.depth(int(frame))[::8, ::8] for frame in chosen]) / scan.depth_units_per_metre
            camera = scan.depth_intrinsics.resized(depth.shape[2], depth.shape[1])
            poses = scan.camera_to_world[chosen]
            first = first_frame_pointmap(
                depth.astype(np.float32), [camera] * len(chosen), np.linalg.inv(poses[0]) @ poses
            )
            yield transform(poses[0], first.astype(np.float64)), poses


def measure(rooms: int) -> list[str]:
    """The figures as lines."""
    random = np.random.default_rng(0)
    shapes: dict[tuple[int, int], RoomShape] = {}
    for index in range(rooms):
        scene = build_scene(index % 2 * 7, index // 2)
        for number in WALKS:
            shape = shape_in_another_world(*walked(scene, number), random)
            if shape is not None:
                shapes[index, number] = shape
    names = list(shapes)
    pairs = [(a, b) for at, a in enumerate(names) for b in names[at + 1 :] if a[1] != b[1]]
    values = np.array([likeness(shapes[a], shapes[b]) for a, b in pairs])
    same = np.array([a[0] == b[0] for a, b in pairs])
    lines = [
        f"{rooms} synthetic rooms, {len(shapes)} of {2 * rooms} walks show enough of theirs",
        *(figures(values, same, threshold) for threshold in (ALIKE - 0.1, ALIKE - 0.05, ALIKE, ALIKE + 0.05)),
        f"likeness of a room with itself {spread(values[same])}, with another {spread(values[~same])}",
    ]
    if (kitchen := SAMPLES / "7scenes-redkitchen").is_dir():
        halves = [shape_in_another_world(*half, random) for half in kitchen_halves(kitchen)]
        known = [shape for shape in halves if shape is not None]
        others = [likeness(known[0], shape) for shape in shapes.values()]
        lines.append(
            f"7-Scenes' kitchen: its halves {likeness(known[0], known[-1]):.2f},"
            f" with synthetic rooms at most {max(others):.2f}"
        )
    return lines


def figures(values: NDArray[np.float64], same: NDArray[np.bool_], threshold: float) -> str:
    """How often a threshold misses, and how often it raises a false alarm."""
    missed, alarms = int((values[same] < threshold).sum()), int((values[~same] >= threshold).sum())
    return (
        f"at {threshold:.2f}: misses {missed} of {same.sum()} ({missed / same.sum():.1%}),"
        f" false alarms {alarms} of {(~same).sum()} ({alarms / (~same).sum():.2%})"
    )


def spread(values: NDArray[np.float64]) -> str:
    """The middle and the range of some values."""
    return f"{np.median(values):.2f} ({values.min():.2f} to {values.max():.2f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rooms", type=int, default=28)
    print("\n".join(measure(parser.parse_args().rooms)))
