"""Captures of Polycam, 3D Scanner App and nerfstudio with their boxes: one file is damaged, and all readers run.

The seeds are written in plain lines, with images of noise.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.fuzz.cases import attempt, linked, replaced
from tests.fuzz.mutations import damaged, damaged_json, pick

FRAMES = 5
POSES: list[list[list[float]]] = [
    [[1, 0, 0, 0.1 * frame], [0, 0.8, -0.6, 1.4], [0, 0.6, 0.8, 0.05 * frame], [0, 0, 0, 1]] for frame in range(FRAMES)
]
CAMERA = {"fx": 38.0, "fy": 38.0, "cx": 19.5, "cy": 14.5}
BOXES = {
    "world": "aligned",
    "objects": [{"label": "chair", "center": [0.4, -1.2, 0.5], "size": [0.5, 0.6, 0.9], "heading": 20, "id": 3}],
}


def write_listed_seeds(folder: Path) -> None:
    """A small capture of each app."""
    rng = np.random.default_rng(5)
    for frame, pose in enumerate(POSES):
        images = {
            "color.jpg": rng.integers(0, 256, (30, 40, 3)).astype(np.uint8),
            "depth.png": rng.integers(1200, 2600, (15, 20)).astype(np.uint16),
            "confidence.png": rng.integers(0, 3, (15, 20)).astype(np.uint8),
        }
        data = {name: cv2.imencode(name[-4:], image)[1].tobytes() for name, image in images.items()}
        _polycam(folder / "polycam" / "keyframes", str(7_000_000 + 33_333 * frame), pose, data)
        _scanner(folder / "scanner", f"{frame:05d}", pose, data)
        for kind, name in (("images", "color.jpg"), ("depth", "depth.png"), ("masks", "confidence.png")):
            mask = cv2.imencode(".png", np.full((30, 40), 255, np.uint8))[1].tobytes()
            _write(folder / "nerfstudio" / kind / f"{frame}{name[-4:]}", mask if kind == "masks" else data[name])
    (folder / "nerfstudio" / "transforms.json").write_text(json.dumps(_transforms()))
    for name in ("polycam", "scanner"):
        (folder / name / "objects.json").write_text(json.dumps(BOXES))
    (folder / "nerfstudio" / "objects.json").write_text(json.dumps({**BOXES, "world": "scan", "up": [0, 1, 0]}))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _polycam(folder: Path, stamp: str, pose: list[list[float]], data: dict[str, bytes]) -> None:
    rows = {f"t_{row}{column}": pose[row][column] for row in range(3) for column in range(4)}
    for prefix, size in (("", {"width": 40, "height": 30}), ("corrected_", {})):
        _write(folder / f"{prefix}images" / f"{stamp}.jpg", data["color.jpg"])
        _write(folder / f"{prefix}cameras" / f"{stamp}.json", json.dumps({**CAMERA, **rows, **size}).encode())
    _write(folder / "depth" / f"{stamp}.png", data["depth.png"])
    _write(folder / "confidence" / f"{stamp}.png", data["confidence.png"])


def _scanner(folder: Path, number: str, pose: list[list[float]], data: dict[str, bytes]) -> None:
    values = {
        "cameraPoseARFrame": [value for row in pose for value in row],
        "intrinsics": [38.0, 0, 19.5, 0, 38.0, 14.5, 0, 0, 1],
        "time": 5.0 + int(number) / 30,
        "trackingQuality": 1.0,
    }
    _write(folder / f"frame_{number}.json", json.dumps(values).encode())
    _write(folder / f"frame_{number}.jpg", data["color.jpg"])
    _write(folder / f"depth_{number}.png", data["depth.png"])
    _write(folder / f"conf_{number}.png", data["confidence.png"])


def _transforms() -> dict[str, Any]:
    frames = [
        {
            "file_path": f"./images/{frame}",
            "depth_file_path": f"depth/{frame}.png",
            "mask_path": f"masks/{frame}.png",
            "transform_matrix": pose,
        }
        for frame, pose in enumerate(POSES)
    ]
    camera = {"fl_x": 38.0, "fl_y": 38.0, "cx": 20.0, "cy": 15.0, "w": 40, "h": 30, "k1": 0.01, "k2": -0.01}
    return {"camera_model": "OPENCV", **camera, "depth_unit_scale_factor": 0.001, "up": [0, 1, 0], "frames": frames}


def listed_capture(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """Lists, cameras, images and boxes of one capture."""
    from gapdata.commands.inspect import format_facts
    from gapdata.sources.boxes_example import example_text, objects_example
    from gapdata.sources.rgbd import open_folder

    folder = linked(seeds / "listed", scratch / "listed")
    files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

    def case(rng: np.random.Generator) -> int:
        capture = pick(rng, sorted(place for place in folder.iterdir() if place.is_dir()))
        kinds = sorted({path.parent.name + path.suffix for path in files if capture in path.parents})
        kind = pick(rng, kinds)
        path = pick(rng, [each for each in files if capture in each.parents and each.parent.name + each.suffix == kind])
        same = [data for other, data in files.items() if other.suffix == path.suffix]
        as_tree = path.suffix == ".json" and rng.random() < 0.8
        data = damaged_json(json.loads(files[path]), rng) if as_tree else damaged(files[path], rng, same)
        with replaced(path, data):
            dataset = open_folder(capture, pose_units=1.0 if rng.random() < 0.7 else None)
            with dataset.open_scan(dataset.scene_ids[0]) as scan:
                attempt(lambda: format_facts(scan.describe()))
                attempt(lambda: json.dumps(dict(scan.notes)))
                attempt(lambda: example_text(objects_example(scan)))
                attempt(scan.digest)
                for frame in np.flatnonzero(scan.present)[:6].tolist():
                    for read in (scan.color, scan.depth, scan.confidence, scan.color_mask, scan.color_camera):
                        attempt(lambda frame=frame, read=read: read(frame))  # type: ignore[misc]
        return len(data)

    return case
