"""Write walks as captures of Stray Scanner.

Its traps: the phone was held upright; intrinsics drift; frames are missing from the clock of 30 Hz; the first frame of
the video is hidden by an edit list; cells of the table have blanks before them or are empty; depth at edges is smeared
and of low confidence; one depth image is missing. Rooms with odd numbers are as older versions write them: arrays
instead of depth images, and one camera for all rows, that of the last.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.synthetic.formats.image_files import png
from gapdata.synthetic.formats.motion import quaternions
from gapdata.synthetic.formats.phone import (
    PORTRAIT,
    UP_FROM_Z,
    confidence_of,
    objects_json,
    phone_camera,
    smeared,
)
from gapdata.synthetic.formats.video_files import write_video
from gapdata.synthetic.formats.walk import Walk
from gapdata.synthetic.scene import FRAMES, generator

START = 58_214.7731  # seconds since the phone was switched on
JITTER = 0.004  # s
SKIPPED = 6
"""Of so many frames one was not recorded."""
RATE = 60.0
COLUMNS = ("timestamp", "frame", "x", "y", "z", "qx", "qy", "qz", "qw")
NEWER_COLUMNS = (*COLUMNS, "fx", "fy", "cx", "cy", "distortion_center_x", "distortion_center_y")
STREAM = 6  # of random numbers


def write(out: Path, walks: Iterable[Walk]) -> list[str]:
    """Write one folder for each walk, named by ten hexadecimal digits, and return their names."""
    return [_write_walk(out, walk) for walk in walks]


def recorded(frames: int) -> list[int]:
    """Return the frames of a walk that were recorded."""
    return [frame for frame in range(frames) if frame % SKIPPED != SKIPPED // 2]


def lost_depth(frames: int) -> int:
    """Return the number, among those recorded, of the frame without a depth image."""
    return len(recorded(frames)) // 2


def _write_walk(out: Path, walk: Walk) -> str:
    older = walk.scene.index % 2 == 1
    name = f"{0x5EED00_0000 + 0x1000 * walk.scene.seed + walk.scene.index:010x}"
    folder = out / name
    for kind in ("depth", "confidence"):
        (folder / kind).mkdir(parents=True)
    frames = recorded(len(walk.poses))
    cameras = [phone_camera(frame, walk.options.width) for frame in frames]
    colors = (walk.color(frame, camera, PORTRAIT) for frame, camera in zip(frames, cameras, strict=True))
    write_video(folder / "rgb.mp4", colors, RATE, hide_first=True)
    for number, (frame, camera) in enumerate(zip(frames, cameras, strict=True)):
        depth = walk.depth(frame, camera.resized(walk.options.width // 2, walk.options.width * 3 // 8), PORTRAIT)
        confidence = confidence_of(depth)
        (folder / "confidence" / f"{number:06d}.png").write_bytes(png(confidence))
        if number != lost_depth(len(walk.poses)):
            depth = smeared(depth, confidence)
            file = folder / "depth" / f"{number:06d}.{'npy' if older else 'png'}"
            file.write_bytes(_npy(depth) if older else png(depth))
    rng = generator(walk.scene.seed, walk.scene.index, FRAMES, STREAM)
    times = START + walk.seconds[frames] + np.concatenate([[0.0], rng.uniform(-JITTER, JITTER, len(frames) - 1)])
    poses = np.array([UP_FROM_Z @ walk.held(frame, PORTRAIT) for frame in frames])
    (folder / "odometry.csv").write_text(_odometry(times, poses, None if older else cameras))
    rows = (", ".join(f"{value:.8g}" for value in row) for row in cameras[-1].matrix)
    (folder / "camera_matrix.csv").write_text("\n".join(rows) + "\n")
    (folder / "objects.json").write_text(objects_json(walk))
    return name


def _odometry(times: NDArray[np.float64], poses: NDArray[np.float64], cameras: list[Intrinsics] | None) -> str:
    lines = [", ".join(COLUMNS if cameras is None else NEWER_COLUMNS)]
    values = np.concatenate([poses[:, :3, 3], quaternions(poses)], axis=1)
    for number, (time, row) in enumerate(zip(times, values, strict=True)):
        cells = [f"{time:.6f}", f"{number:06d}", *(f"{value:.9g}" for value in row)]
        if cameras is not None:
            camera = cameras[number]
            cells += [f"{value:.7g}" for value in (camera.fx, camera.fy, camera.cx, camera.cy)] + ["", ""]
        lines.append(", ".join(cells))
    return "\n".join(lines) + "\n"


def _npy(depth: NDArray[np.uint16]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, depth)
    return buffer.getvalue()
