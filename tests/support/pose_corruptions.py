"""The usual mistakes in poses, depth and intrinsics, made on purpose: each changes what a scan's files say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from trimesh.creation import box
from trimesh.util import concatenate

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.pose_trials import PosedDepth, near_pairs
from tests.conftest import look_from
from tests.support.scannet_scenes import ray_cast

OPENGL, UNITY = np.diag([1.0, -1.0, -1.0, 1.0]), np.diag([1.0, -1.0, 1.0, 1.0])
KITCHEN = Intrinsics(fx=585.0, fy=585.0, cx=320.0, cy=240.0, width=640, height=480)
REDWOOD = Intrinsics(fx=525.0, fy=525.0, cx=319.5, cy=239.5, width=640, height=480)
ROOM = Intrinsics(fx=140.0, fy=140.0, cx=79.5, cy=59.5, width=160, height=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """A scan, or what is left of it after a mistake."""

    ids: NDArray[np.intp]
    depth: list[NDArray[np.uint16]]
    poses: NDArray[np.float64]
    camera: Intrinsics
    units: float = 1000.0

    def part(self, chosen: slice) -> Capture:
        """Some of its frames."""
        return replace(self, ids=self.ids[chosen], depth=self.depth[chosen], poses=self.poses[chosen])

    def posed_depth(self) -> PosedDepth:
        """The frames that a diagnosis would choose."""
        places, pairs = near_pairs(self.poses, self.ids, anchors=8, reach=60, degrees=(5.0, 10.0))
        depth = tuple(self.depth[place] for place in places)
        return PosedDepth(
            depth=depth, places=places, written=self.poses, pairs=pairs, camera=self.camera, depth_to_camera=np.eye(4)
        )


def stretched(poses: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Translations in another unit."""
    longer = poses.copy()
    longer[:, :3, 3] *= factor
    return longer


def late(poses: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    """Each frame has the pose of ``frames`` frames before it."""
    moved = np.full_like(poses, np.nan)
    moved[frames:] = poses[:-frames]
    return moved


def transposed(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotations written by column."""
    turned = poses.copy()
    turned[:, :3, :3] = np.swapaxes(poses[:, :3, :3], 1, 2)
    return turned


def shaken(poses: NDArray[np.float64], degrees: float, metres: float) -> NDArray[np.float64]:
    """Each pose off by itself, by so much."""
    rng = np.random.default_rng(5)
    moved = poses.copy()
    for pose in moved:
        axis, direction = (vector / np.linalg.norm(vector) for vector in rng.normal(size=(2, 3)))
        pose[:3, :3] = pose[:3, :3] @ cv2.Rodrigues(axis * np.deg2rad(degrees))[0]
        pose[:3, 3] += metres * direction
    return moved


def resized(camera: Intrinsics, factor: float) -> Intrinsics:
    """The intrinsics of an image ``factor`` times as large, said of this one."""
    larger = camera.resized(round(camera.width * factor), round(camera.height * factor))
    return replace(larger, width=camera.width, height=camera.height)


def inverted(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(poses))


MISTAKES: dict[str, Callable[[Capture], Capture]] = {
    "direction": lambda scan: replace(scan, poses=inverted(scan.poses)),
    "axes": lambda scan: replace(scan, poses=scan.poses @ OPENGL),
    "direction and axes": lambda scan: replace(scan, poses=inverted(scan.poses @ OPENGL)),
    "left-handed": lambda scan: replace(scan, poses=UNITY @ scan.poses @ UNITY),
    "millimetres": lambda scan: replace(scan, poses=stretched(scan.poses, 1000)),
    "centimetres": lambda scan: replace(scan, poses=stretched(scan.poses, 100)),
    "direction and millimetres": lambda scan: replace(scan, poses=stretched(inverted(scan.poses), 1000)),
    "depth doubled": lambda scan: replace(scan, units=500.0),
    "depth halved": lambda scan: replace(scan, units=2000.0),
    "depth times five": lambda scan: replace(scan, units=200.0),
    "depth of a fifth": lambda scan: replace(scan, units=5000.0),
    "depth in metres": lambda scan: replace(scan, units=1.0),
    "late by six": lambda scan: replace(scan, poses=late(scan.poses, 6)),
    "intrinsics of another size": lambda scan: replace(scan, camera=resized(scan.camera, 1.25)),
    "short focal lengths": lambda scan: replace(
        scan, camera=replace(scan.camera, fx=0.8 * scan.camera.fx, fy=0.8 * scan.camera.fy)
    ),
    "rotations by column": lambda scan: replace(scan, poses=transposed(scan.poses)),
}
"""What each does to a good scan."""


def kitchen(samples: Path) -> Capture:
    """Every fifth frame of a real scan."""
    folder = samples / "7scenes-redkitchen"
    ids = np.array(sorted(int(path.name[6:12]) for path in folder.glob("*.pose.txt")), dtype=np.intp)
    depth = [cv2.imread(str(folder / f"frame-{k:06d}.depth.png"), cv2.IMREAD_UNCHANGED) for k in ids]
    poses = np.stack([np.loadtxt(folder / f"frame-{k:06d}.pose.txt") for k in ids])
    return Capture(ids=ids, depth=depth, poses=poses, camera=KITCHEN)


def redwood(samples: Path) -> Capture:
    """Five real frames that are three degrees apart."""
    folder = samples / "redwood-rgbd"
    rows = [line.split() for line in (folder / "trajectory.log").read_text().splitlines() if len(line.split()) == 4]
    poses = np.array(rows, dtype=np.float64).reshape(-1, 4, 4)
    depth = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((folder / "depth").iterdir())]
    return Capture(ids=np.arange(len(depth)), depth=depth, poses=poses, camera=REDWOOD)


def room() -> Capture:
    """A synthetic room without noise, in which the camera turns and walks."""
    boxes = [((6, 5, 2.6), (0, 0, 1.3)), ((0.8, 0.6, 1.0), (1.5, 0.5, 0.5)), ((0.5, 0.5, 0.7), (1.2, -0.7, 0.35))]
    meshes = [box(extents=size).apply_translation(center) for size, center in boxes]
    meshes[0].invert()
    mesh = concatenate(meshes)
    poses = np.stack(
        [look_from((-1.0 + 0.04 * k, 0.5 * np.sin(k / 9), 1.4 + 0.1 * np.sin(k / 5)), 0.05 * k, 0.3) for k in range(40)]
    )
    depth = [ray_cast(mesh, ROOM, pose) for pose in poses]
    return Capture(ids=np.arange(0, 200, 5), depth=depth, poses=poses, camera=ROOM)
