"""Read a capture of 3D Scanner App as it exports all data, ``--rgbd``.

One folder holds ``frame_00000.json`` of every frame, ``frame_00000.jpg`` of some, ``depth_00000.png`` and
``conf_00000.png``.

- A raw index is a 30th of a second, by the ``time`` of each frame, so that frames of a clip that are 30 raw frames
  apart are a second apart at any rate of the app. At 30 Hz it is the frame's number. Where most frames have no time, it
  is the number, and noted; a frame without a time among others that have one, or whose time runs back, is left out.
- A frame counts if it has an image, depth and its JSON; of the app's many frames, most have no image.
- ``cameraPoseARFrame`` is camera to world by row, OpenGL axes, metres, in ARKit's world, y up. By column, where the
  last row of most matrices shows that, it is read, too, and noted.
- ``intrinsics`` are of the sensor's 1920x1440 pixels as they lie there. An orientation tag turns the image for viewers
  only and is left out. Where images are smaller, intrinsics are brought to their size.
- A frame of which ``trackingQuality`` is low is left out.
- Depth is in millimetres, confidence 0 low, 1 medium and 2 high.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import SourceError
from gapdata.files.checked_values import finite, number, numbers
from gapdata.sources.capture_frames import Y_UP_TO_Z_UP, CaptureFrame, CaptureScan, y_up_pose
from gapdata.sources.color_files import color_size
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.raw_clock import on_raw_clock

NAME = re.compile(r"(frame|depth|conf)_(\d{1,9})\.(json|jpg|jpeg|png)")
KINDS = {
    ("frame", "json"): "camera",
    ("frame", "jpg"): "color",
    ("frame", "jpeg"): "color",
    ("frame", "png"): "color",
    ("depth", "png"): "depth",
    ("conf", "png"): "confidence",
}
TICKS_PER_SECOND = 1_000_000
SENSOR_SIZE = (1920, 1440)
"""Pixels of the image that intrinsics are of, where they are not of the image that lies beside them."""
NEAR_CENTRE = 0.1
"""Share of an image's sides by which its principal point may be off its middle."""
LAST = np.array([0.0, 0.0, 0.0, 1.0])
LAST_TOLERANCE = 1e-4
ENOUGH_TRACKING: Mapping[float, float] = {1.0: 0.5, 2.0: 2.0, 100.0: 50.0}
"""The least tracking quality that is used, by the end of its scale: a share, ARKit's three states, per cent."""
GOOD_WORDS = ("normal", "good", "high")
EXPORT = 'export with "All Data" in 3D Scanner App, and copy the whole folder'


def recognise(place: Path, names: Mapping[str, str]) -> bool:
    """Return whether a folder has frames with a JSON, and images or depth beside them."""
    numbers = (name[6:-5] for name in names if name.startswith("frame_") and name.endswith(".json"))
    first = next((number for number in numbers if number.isascii() and number.isdigit()), None)
    if first is None:
        return False
    return any(name.startswith(("depth_", "frame_")) and name.endswith((".png", ".jpg", ".jpeg")) for name in names)


def open_capture(scene_id: str, place: Path, reading: FrameReading) -> ScannerAppScan:
    """Open a capture.

    Raises:
        SourceError: its frames are missing or damaged.
    """
    return ScannerAppScan(scene_id, place, "3dscanner", reading)


class ScannerAppScan(CaptureScan):
    """A capture of 3D Scanner App."""

    frames_per_second: float | None
    """By the times of the app's frames; ``None`` where they are not given."""

    @property
    def axis_alignment(self) -> NDArray[np.float64]:
        """Return the matrix from ARKit's world, y up, to one with z up, (4, 4)."""
        return Y_UP_TO_Z_UP

    def describe_frames(self) -> dict[str, Any]:
        """Return the facts about frames and cameras, with how many frames the app counted in a second."""
        facts = super().describe_frames()
        facts["frames"]["frames_per_second"] = self.frames_per_second
        return facts

    def _list_frames(self) -> dict[int, CaptureFrame]:
        files = self._files()
        complete = sorted(files["camera"].keys() & files["color"].keys() & files["depth"].keys())
        for kind in ("camera", "color", "depth"):
            known = files["color"].keys() | files["depth"].keys() if kind == "camera" else files["camera"].keys()
            if missing := len(known - files[kind].keys()):
                self.note(f"frame_without_{kind}", missing)
        if not files["confidence"]:
            self.note("scan_without_confidence")
        elif missing := len(set(complete) - files["confidence"].keys()):
            self.note("frame_without_confidence", missing)
        facts, problems = self._read_cameras({frame: files["camera"][frame] for frame in complete})
        facts = self._well_tracked(facts)
        if not facts:
            raise problems[0] if problems else self._damage(self._said("frame"), self.path, cure=EXPORT)
        times = {frame: values["time"] for frame, values in facts.items()}
        self.frames_per_second = _rate(times)
        places = self._places(times)
        facts = {frame: values for frame, values in facts.items() if frame in places}
        poses = self._poses_by_row(np.array([values["pose"] for values in facts.values()]))
        image_size = self._first_header(files["color"], sorted(facts), color_size)
        return {
            places[frame]: CaptureFrame(
                color=files["color"][frame],
                depth=files["depth"][frame],
                confidence=files["confidence"].get(frame, ""),
                intrinsics=values["intrinsics"],
                size=None if _is_near_centre(values["intrinsics"], image_size) else SENSOR_SIZE,
                pose=y_up_pose(pose),
            )
            for (frame, values), pose in zip(facts.items(), poses, strict=True)
        }

    def _places(self, times: Mapping[int, float | None]) -> dict[int, int]:
        """Return the raw index of each frame that counts, by its number."""
        known = {frame: time for frame, time in times.items() if time is not None and np.isfinite(time)}
        if 2 * len(known) <= len(times):
            self.note("frame_time_not_known", len(times))
            return {frame: frame for frame in times}
        latest, kept = -np.inf, {}
        for (frame, time), following in zip(known.items(), [*known.values(), np.inf][1:], strict=True):
            if latest < time < following:
                latest, kept[frame] = time, round(time * TICKS_PER_SECOND)
        if len(kept) < len(times):
            self.note("frame_out_of_time", len(times) - len(kept))
        start = next(iter(kept))
        ticks = on_raw_clock(list(kept.values()), TICKS_PER_SECOND)
        return {frame: start + tick for frame, tick in zip(kept, ticks, strict=True)}

    def _files(self) -> dict[str, dict[int, str]]:
        """Return the files of each kind by frame."""
        found: dict[str, dict[int, str]] = {kind: {} for kind in KINDS.values()}
        for name, path in self._names_in("").items():
            match = NAME.fullmatch(name)
            kind = KINDS.get((match[1], match[3])) if match else None
            if match and kind:
                found[kind].setdefault(int(match[2]), path)
        return found

    def _read_cameras(self, paths: Mapping[int, str]) -> tuple[dict[int, dict[str, Any]], list[SourceError]]:
        """Return what the JSON of each frame says, and the errors of those that are damaged."""
        facts: dict[int, dict[str, Any]] = {}
        problems: list[SourceError] = []
        for frame, path in paths.items():
            try:
                facts[frame] = self._camera(path)
            except SourceError as error:
                problems.append(error)
        if problems:
            self.note("frame_with_damaged_camera", len(problems))
        return facts, problems

    def _camera(self, path: str) -> dict[str, Any]:
        values = self._json(path)
        pose, matrix = numbers(values.get("cameraPoseARFrame"), (16,)), finite(values.get("intrinsics"), (9,))
        if pose is None or matrix is None:
            which = "cameraPoseARFrame with 16 numbers" if pose is None else "intrinsics with 9 numbers"
            raise self._damage(f"has no {which}", self.path / path, cure=EXPORT)
        rows = matrix.reshape(3, 3)
        rows = rows if (rows[2, :2] == 0).all() else rows.T
        return {
            "pose": pose.reshape(4, 4),
            "intrinsics": (float(rows[0, 0]), float(rows[1, 1]), float(rows[0, 2]), float(rows[1, 2])),
            "time": number(values.get("time")),
            "tracking": values.get("trackingQuality"),
        }

    def _well_tracked(self, facts: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
        """Return the frames that were not tracked badly, and count the others."""
        scores = {frame: number(values["tracking"]) for frame, values in facts.items()}
        top = max((score for score in scores.values() if score is not None), default=0.0)
        scale = next((end for end in ENOUGH_TRACKING if top <= end), top)
        enough = ENOUGH_TRACKING.get(scale, scale / 2)
        kept = {}
        for frame, values in facts.items():
            word, score = values["tracking"], scores[frame]
            low = score < enough if score is not None else isinstance(word, str) and word.lower() not in GOOD_WORDS
            if low:
                self.note("frame_of_low_tracking_quality")
            else:
                kept[frame] = values
        return kept

    def _poses_by_row(self, written: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return poses (n, 4, 4) by row. Matrices with a translation of 0 look the same both ways, so most decide."""
        with np.errstate(invalid="ignore"):
            by_row = (np.abs(written[:, 3] - LAST) < LAST_TOLERANCE).all(axis=1)
            by_column = (np.abs(written[:, :, 3] - LAST) < LAST_TOLERANCE).all(axis=1)
        if np.count_nonzero(by_column & ~by_row) <= np.count_nonzero(by_row & ~by_column):
            return written
        self.note("pose_written_by_column", len(written))
        return np.swapaxes(written, 1, 2)


def _is_near_centre(intrinsics: tuple[float, float, float, float], size: tuple[int, int]) -> bool:
    """Return whether intrinsics may be of an image of this (width, height)."""
    return all(abs((at + 0.5) / side - 0.5) < NEAR_CENTRE for at, side in zip(intrinsics[2:], size, strict=True))


def _rate(times: Mapping[int, float | None]) -> float | None:
    """Return how many frames the app counted in a second, by the first and the last frame with a time."""
    known = [(frame, time) for frame, time in times.items() if time is not None]
    if len(known) < 2 or known[-1][1] <= known[0][1]:
        return None
    return round((known[-1][0] - known[0][0]) / (known[-1][1] - known[0][1]), 2)
