"""Write walks as ARKitScenes: captures of 8 digits with a trajectory of their own, a camera for each frame, and boxes.

Four kinds of captures take turns: 3dod held sideways; 3dod held upright with raw's confidence beside it; raw at 60 Hz
held upside down, with confidence; and 3dod that nobody annotated.

Its traps: file names whose order as text is not that of time (999.9, 1000.0), a camera file named a millisecond later,
a trajectory from the world to the camera, one row of it in another moment than its image and one missing, focal lengths
that change, a ``sky_direction`` that is wrong, boxes once more in centimetres in another frame, ``objectId`` that
repeats, a label with a slash, a confidence image missing, and a visit with captures in both folds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import upright_box
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.upright import Turn
from gapdata.synthetic.annotation_files import ply_bytes
from gapdata.synthetic.formats.image_files import png
from gapdata.synthetic.formats.motion import poses_at, rotation_vectors
from gapdata.synthetic.formats.walk import Walk
from gapdata.synthetic.scene import FRAMES, generator

CAMERA = Intrinsics(fx=212.088, fy=212.088, cx=127.4, cy=98.6992, width=256, height=192)
DRIFT = 0.002
"""Share by which the focal length changes in a walk."""
CLOCK = 1000.0
"""Seconds that the tablet has been on in the middle of a walk."""
LATE_ROW = 0.03  # s
STREAM = 5  # of random numbers
LABELS = {
    **{name: name for name in ("cabinet", "refrigerator", "stove", "bed", "sink", "bathtub", "stool", "chair")},
    **{"table": "table", "couch": "sofa", "tv": "tv/monitor", "monitor": "tv/monitor", "bookshelf": "shelf"},
    **{"office chair": "chair", "armchair": "chair", "coffee table": "table", "desk": "table", "end table": "table"},
    **{"kitchen cabinet": "cabinet", "file cabinet": "cabinet", "dresser": "cabinet", "wardrobe": "cabinet"},
}
"""Names of the room's categories that ARKitScenes has boxes of."""
HELD: dict[Turn, str] = {0: "Up", 90: "Left", 180: "Down", 270: "Right"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureKind:
    """How a capture is written."""

    turn: Turn
    """By which its images are turned to become upright."""
    fold: str
    raw: bool = False
    """Whether it has raw's 60 images a second instead of 3dod's 10."""
    confidence: bool = False
    skipped: bool = False
    """Whether nobody annotated it."""
    sky: str | None = None
    """What ``sky_direction`` says, if not the truth."""

    @property
    def every(self) -> int:
        """Frames of the walk from an image to the next."""
        return 1 if self.raw else 3

    @property
    def step(self) -> float:
        """Seconds from an image to the next."""
        return 1 / 60 if self.raw else 0.1

    @property
    def package(self) -> str:
        """The folder of the download."""
        return "raw" if self.raw else "3dod"


KINDS = (
    CaptureKind(turn=90, fold="Training"),
    CaptureKind(turn=0, fold="Validation", confidence=True, sky="Left"),
    CaptureKind(turn=180, fold="Training", raw=True, confidence=True),
    CaptureKind(turn=90, fold="Training", skipped=True),
)


def write(out: Path, walks: Iterable[Walk]) -> list[str]:
    """Write ``3dod/`` and ``raw/`` with their folds and ``metadata.csv``, and return the ids of the captures."""
    rows = [_write_walk(out, walk) for walk in walks]
    heading = "video_id,visit_id,sky_direction,fold,has_laser_scanner_point_clouds,is_in_upsampling,is_in_threedod"
    for package in {kind.package for kind in KINDS}:
        (out / package).mkdir(exist_ok=True)
        (out / package / "metadata.csv").write_text("\n".join([heading, *rows]) + "\n")
    return [row.partition(",")[0] for row in rows]


def capture_id(index: int) -> str:
    """Return the id of a walk's capture."""
    return f"{41000000 + 137 * index}"


def kind_of(index: int) -> CaptureKind:
    """Return how a walk is written; the kinds take turns."""
    return KINDS[index % len(KINDS)]


def visit_id(index: int) -> str:
    """Return the visit of a walk's capture: two captures each, of which 1 and 2 are in different folds."""
    return f"{381878 + (index + 1) // 2}"


def without_row(images: int) -> int:
    """Return the image whose row of the trajectory is missing, so that it has no pose."""
    return 2 * images // 3


def with_late_row(images: int) -> int:
    """Return the image whose row is of another moment, so that its pose is interpolated."""
    return images // 3


def _write_walk(out: Path, walk: Walk) -> str:
    capture, kind = capture_id(walk.scene.index), kind_of(walk.scene.index)
    home = out / kind.package / kind.fold / capture
    frames = home if kind.raw else home / f"{capture}_frames"
    shown = list(range(0, len(walk.poses), kind.every))
    times = np.array([CLOCK + (place - len(shown) // 2) * kind.step + 0.0003 for place in range(len(shown))])
    depths = _write_images(frames, walk, kind, shown, times)
    if kind.confidence:
        folder = (home if kind.raw else out / "raw" / kind.fold / capture) / "confidence"
        _write_confidence(folder, capture, depths, times)
    (frames / "lowres_wide.traj").write_text(_trajectory(walk, kind, shown, times))
    (home / f"{capture}_3dod_mesh.ply").write_bytes(ply_bytes(walk.scene))
    boxes = {"data": [] if kind.skipped else _boxes(walk), "skipped": kind.skipped, "stats": {}, "comment": ""}
    (home / f"{capture}_3dod_annotation.json").write_text(json.dumps({**boxes, "confirm": False}))
    visit = "NA" if kind.skipped else visit_id(walk.scene.index)
    return f"{capture},{visit},{kind.sky or HELD[kind.turn]},{kind.fold},False,False,{not kind.raw}"


def _write_images(
    folder: Path, walk: Walk, kind: CaptureKind, shown: Sequence[int], times: NDArray[np.float64]
) -> list[NDArray[np.uint16]]:
    """Write colour, depth and cameras, and return the depth images."""
    capture = capture_id(walk.scene.index)
    for part in ("lowres_wide", "lowres_depth", "lowres_wide_intrinsics"):
        (folder / part).mkdir(parents=True)
    depths = []
    for place, (frame, time) in enumerate(zip(shown, times, strict=True)):
        camera = _camera(walk, place / len(shown))
        depths.append(walk.depth(frame, camera, kind.turn))
        stem = f"{capture}_{time:.3f}"
        (folder / "lowres_wide" / f"{stem}.png").write_bytes(png(walk.color(frame, camera, kind.turn)))
        (folder / "lowres_depth" / f"{stem}.png").write_bytes(png(depths[-1]))
        values = (camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy)
        late = f"{capture}_{time + 0.001 * (place % 4 == 1):.3f}.pincam"
        (folder / "lowres_wide_intrinsics" / late).write_text(" ".join(f"{value:g}" for value in values) + "\n")
    return depths


def _camera(walk: Walk, share: float) -> Intrinsics:
    """Return the camera at a share of the walk, with the six digits that its file has."""
    width = walk.options.width
    base = CAMERA.resized(width, width * 3 // 4)
    focal = 1 + DRIFT * np.sin(2 * np.pi * share)
    fx, fy, cx, cy = (float(f"{value:g}") for value in (base.fx * focal, base.fy * focal, base.cx, base.cy))
    return replace(base, fx=fx, fy=fy, cx=cx, cy=cy)


def _write_confidence(
    folder: Path, capture: str, depths: Sequence[NDArray[np.uint16]], times: NDArray[np.float64]
) -> None:
    """Write confidence: low at edges and where there is no depth, medium far away; one image is missing."""
    import cv2

    folder.mkdir(parents=True)
    for place, (depth, time) in enumerate(zip(depths, times, strict=True)):
        if place == 1:
            continue
        near, far = (operation(depth, np.ones((3, 3), np.uint8)) for operation in (cv2.erode, cv2.dilate))
        level = np.where(depth > 3500, 1, 2)
        level[(depth == 0) | (far.astype(int) - near > 0.05 * depth)] = 0
        (folder / f"{capture}_{time:.3f}.png").write_bytes(png(level.astype(np.uint8)))


def _trajectory(walk: Walk, kind: CaptureKind, shown: Sequence[int], times: NDArray[np.float64]) -> str:
    """Return the rows, 10 a second, of the camera as it was held: world to camera."""
    held = np.array([walk.held(frame, kind.turn) for frame in shown])
    moments = times[:: 6 if kind.raw else 1].copy()
    if not kind.raw:
        moments[with_late_row(len(moments))] += LATE_ROW
        moments = np.asarray(np.delete(moments, without_row(len(moments))))
    world_to_camera = np.asarray(np.linalg.inv(poses_at(times, held, moments)), dtype=np.float64)
    values = np.concatenate([rotation_vectors(world_to_camera), world_to_camera[:, :3, 3]], axis=1)
    rows = (
        f"{moment:.8f} "
        + " ".join(repr(float(value)) for value in row[:3])
        + " "
        + " ".join(f"{v:.7g}" for v in row[3:])
        for moment, row in zip(moments, values, strict=True)
    )
    return "\n".join(rows) + "\n"


def _boxes(walk: Walk) -> list[dict[str, object]]:
    """Return the annotated objects of the room that ARKitScenes has categories for."""
    scene, rng = walk.scene, generator(walk.scene.seed, walk.scene.index, FRAMES, STREAM)
    items: list[dict[str, object]] = []
    for object_id, label in enumerate(scene.labels):
        points = scene.mesh.vertices[scene.vertex_object == object_id]
        if label not in LABELS or not len(points):
            continue
        box = upright_box(points)
        axes = box.rotation.T.ravel().tolist()
        aligned = {"centroid": box.center.tolist(), "axesLengths": box.size.tolist(), "normalizedAxes": axes}
        other = {
            "centroid": (100 * box.center + [250.0, -80.0, 30.0]).tolist(),
            "axesLengths": (100 * box.size).tolist(),
            "normalizedAxes": np.eye(3).ravel().tolist(),
        }
        items.append(
            {
                "uid": bytes(rng.integers(0, 256, 8, dtype=np.uint8)).hex(),
                "label": LABELS[label],
                "modelId": "",
                "children": [],
                "objectId": len(items) % 3,
                "segments": {"obb": other, "obbAligned": aligned},
                "hierarchy": [],
            }
        )
    return items
