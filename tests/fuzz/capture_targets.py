"""Captures with a table of timed rows: one of their files is damaged, and all that reads captures reads them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gapdata.records.codec import encode_jpeg, encode_png
from gapdata.sources.base import Scan
from gapdata.synthetic.formats.record3d import stored
from gapdata.synthetic.formats.video_files import write_video
from tests.fuzz.cases import attempt, linked, replaced
from tests.fuzz.mutations import damaged, damaged_json, pick

ROWS, SIZE, DEPTH_SIZE = 6, (32, 24), (16, 12)
CAMERA = (30.0, 30.0, 15.5, 11.5)  # fx fy cx cy


def write_stray_seed(folder: Path) -> None:
    """A small capture of Stray Scanner."""
    rng = np.random.default_rng(0)
    for kind in ("depth", "confidence"):
        (folder / kind).mkdir(parents=True)
    images = [rng.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8) for _ in range(ROWS)]
    write_video(folder / "rgb.mp4", images, 60, hide_first=True)
    lines = ["timestamp, frame, x, y, z, qx, qy, qz, qw, fx, fy, cx, cy, distortion_center_x, distortion_center_y"]
    for row in range(ROWS):
        camera = ", ".join(f"{value}" for value in CAMERA)
        lines.append(f"{5 + row / 30:.4f}, {row:06d}, {row / 100}, 1.5, 0, 1, 0, 0, 0, {camera}, , ")
        depth = rng.integers(500, 3000, DEPTH_SIZE[::-1]).astype(np.uint16)
        (folder / f"depth/{row:06d}.png").write_bytes(encode_png(depth))
        (folder / f"confidence/{row:06d}.png").write_bytes(encode_png((depth % 3).astype(np.uint8)))
    (folder / "odometry.csv").write_text("\n".join(lines) + "\n")
    (folder / "camera_matrix.csv").write_text("30, 0, 15.5\n0, 30, 11.5\n0, 0, 1\n")


def record3d_metadata() -> dict[str, Any]:
    """All keys of a newer recording."""
    fx, fy, cx, cy = CAMERA
    return {
        **{"w": SIZE[0], "h": SIZE[1], "dw": DEPTH_SIZE[0], "dh": DEPTH_SIZE[1], "fps": 30, "cameraType": 1},
        "K": [fx, 0, 0, 0, fy, 0, cx, cy, 1],
        "poses": [[0.0, 0.1, 0.0, 0.995, row / 10, 1.5, 0.0] for row in range(ROWS)],
        "initPose": [0, 0, 0, 1, 0, 0, 0],
        "frameTimestamps": [row / 30 for row in range(ROWS)],
        "perFrameIntrinsicCoeffs": [list(CAMERA) for _ in range(ROWS)],
    }


def record3d_members() -> dict[str, bytes]:
    """The members of a small recording of Record3D."""
    rng = np.random.default_rng(0)
    members = {"metadata": json.dumps(record3d_metadata()).encode()}
    for row in range(ROWS):
        members[f"rgbd/{row}.jpg"] = encode_jpeg(rng.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8), 90)
        members[f"rgbd/{row}.depth"] = stored(rng.uniform(0.5, 3, DEPTH_SIZE).astype("<f4").tobytes())
        members[f"rgbd/{row}.conf"] = stored(rng.integers(0, 3, DEPTH_SIZE).astype(np.uint8).tobytes())
    return members


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def read_all(scan: Scan) -> None:
    """Read what a build reads."""
    from gapdata.commands.inspect import format_facts

    attempt(lambda: format_facts(scan.describe()))
    attempt(scan.digest)
    for frame in np.flatnonzero(scan.present)[:ROWS].tolist():
        reads: tuple[Callable[[int], object], ...] = (scan.color, scan.color_jpeg, scan.depth, scan.confidence)
        for read in (*reads, scan.color_camera, scan.depth_camera):
            attempt(lambda read=read, frame=frame: read(frame))  # type: ignore[misc]


def stray_capture(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """The video, the table, images and the shared camera."""
    from gapdata.sources.frame_reading import AS_DOCUMENTED
    from gapdata.sources.stray import open_capture

    folder = linked(seeds / "stray", scratch / "stray")
    files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    kinds = sorted({path.parent.name + path.suffix for path in files})

    def case(rng: np.random.Generator) -> int:
        kind = pick(rng, kinds)
        path = pick(rng, [path for path in files if path.parent.name + path.suffix == kind])
        data = damaged(files[path], rng, [other for name, other in files.items() if name.suffix == path.suffix])
        with replaced(path, data), open_capture("room", folder, AS_DOCUMENTED) as scan:
            read_all(scan)
        return len(data)

    return case


def record3d_capture(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """The zip as a whole, or one of its members."""
    from gapdata.sources.frame_reading import AS_DOCUMENTED
    from gapdata.sources.record3d import open_capture

    sound, metadata = record3d_members(), record3d_metadata()
    whole, path = zipped(sound), scratch / "room.r3d"

    def case(rng: np.random.Generator) -> int:
        if rng.random() < 0.4:
            data = damaged(whole, rng)
        else:
            name = "metadata" if rng.random() < 0.5 else pick(rng, list(sound))
            as_tree = name == "metadata" and rng.random() < 0.8
            changed = damaged_json(metadata, rng) if as_tree else damaged(sound[name], rng, list(sound.values()))
            data = zipped({**sound, name: changed})
        path.write_bytes(data)
        with open_capture("room", path, AS_DOCUMENTED) as scan:
            read_all(scan)
        return len(data)

    return case
