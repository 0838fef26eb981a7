"""Read a Polycam capture in its raw form (developer mode, "raw data"), ``--rgbd``.

``keyframes/`` holds a file of each kind for every keyframe, named by a time stamp in microseconds: ``images/*.jpg`` and
``cameras/*.json``, the same two after Polycam's own alignment in ``corrected_images/`` and ``corrected_cameras/``, and
``depth/*.png`` and ``confidence/*.png``.

- The corrected image and the corrected camera count together or not at all: the image is undistorted, so the one does
  not fit the other's counterpart. Keyframes without both are left out and counted, because their recorded poses do not
  fit among corrected ones. Where most keyframes have none, all are taken as the phone recorded them.
- A raw index is a 30th of a second since the first keyframe, so that frames of a clip that are 30 raw frames apart are
  a second apart. Keyframes keep their order, each with an index of its own.
- Poses (``t_00`` to ``t_23``, three rows) are camera to world with OpenGL axes, metres, in ARKit's world, y up.
- Recent versions leave ``width`` and ``height`` out; the intrinsics are then of the image as it is.
- Undistorted images have black borders, which :meth:`PolycamScan.color_mask` leaves out.
- Depth is in millimetres. Beyond about 5 m it is extrapolated; a recipe cuts it with ``frames.far``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import SourceError
from gapdata.files.checked_values import number, numbers
from gapdata.files.folders import by_lower_case, entries, in_any_case
from gapdata.sources.capture_frames import Y_UP_TO_Z_UP, CaptureFrame, CaptureScan, y_up_pose
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.images import decode_color
from gapdata.sources.raw_clock import on_raw_clock

KEYFRAMES = "keyframes"
RECORDED, CORRECTED = ("images", "cameras"), ("corrected_images", "corrected_cameras")
POSE = [f"t_{row}{column}" for row in range(3) for column in range(4)]
TICKS_PER_SECOND = 1_000_000
BLACK, BORDER = 12, 3
"""The brightest pixel of a black border in a JPEG, and pixels around it that the JPEG blends with it."""
EXPORT = 'switch on "Developer mode" in Polycam\'s settings and export "Raw data"'


def recognise(place: Path, names: Mapping[str, str]) -> bool:
    """Return whether a folder has keyframes with a camera file each, or is the folder of these."""
    if KEYFRAMES in names and (place / names[KEYFRAMES]).is_dir():
        names = by_lower_case(entry.name for entry in entries(place / names[KEYFRAMES]))
    return any(image in names and camera in names for image, camera in (RECORDED, CORRECTED))


def open_capture(scene_id: str, place: Path, reading: FrameReading) -> PolycamScan:
    """Open a capture.

    Raises:
        SourceError: its frames are missing or damaged.
    """
    return PolycamScan(scene_id, place, "polycam", reading)


class PolycamScan(CaptureScan):
    """A raw capture of Polycam."""

    blur_scores: dict[int, float]
    """Polycam's own measure of each frame's sharpness, by raw index; larger is sharper."""

    @property
    def axis_alignment(self) -> NDArray[np.float64]:
        """Return the matrix from ARKit's world, y up, to one with z up, (4, 4)."""
        return Y_UP_TO_Z_UP

    def color_mask(self, frame: int) -> NDArray[np.uint8] | None:
        """Return 0 where an undistorted image has its black border, else 255; ``None`` where it has none."""
        if not self.listed[frame].color.startswith(self._prefix + CORRECTED[0]):
            return None
        path, data = self._image(self.files.color, frame)
        image = decode_color(data)
        if image is None:
            raise self._damage("cannot be decoded", path, frame)
        return without_black_border(image)

    def describe_frames(self) -> dict[str, Any]:
        """Return the facts about frames and cameras, with Polycam's measure of sharpness."""
        facts = super().describe_frames()
        scores = np.array(list(self.blur_scores.values()))
        if len(scores):
            shares = {"least": scores.min(), "median": np.median(scores), "most": scores.max()}
            facts["frames"]["blur_score"] = {name: round(float(value), 2) for name, value in shares.items()}
        return facts

    def _as_confidence(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return 0, 127 and 255 as 0, 1 and 2."""
        return image if image.max(initial=0) <= 2 else ((image.astype(np.uint16) + 64) // 127).astype(np.uint8)

    def _list_frames(self) -> dict[int, CaptureFrame]:
        root = in_any_case(self.path, KEYFRAMES)
        self._prefix = f"{root.name}/" if root.is_dir() else ""
        files = {
            kind: {name.rpartition(".")[0]: path for name, path in self._names_in(self._prefix + kind).items()}
            for kind in (*RECORDED, *CORRECTED, "depth", "confidence")
        }
        known = set(files[RECORDED[1]]) | set(files[CORRECTED[1]])
        stamps = sorted((int(stem), stem) for stem in known if stem.isascii() and stem.isdigit() and len(stem) < 19)
        if len(known) > len(stamps):
            self.note("camera_file_without_time_stamp", len(known) - len(stamps))
        places = on_raw_clock([stamp for stamp, _ in stamps], TICKS_PER_SECOND)
        usable = {
            place: stem for place, (_, stem) in zip(places, stamps, strict=True) if self._is_complete(stem, files)
        }
        if not files["confidence"]:
            self.note("scan_without_confidence")
        self.blur_scores = {}
        pairs = self._pairs(usable, files)
        problems: list[SourceError] = []
        found: dict[int, CaptureFrame] = {}
        for place, stem in usable.items():
            if stem not in pairs:
                continue
            image, camera = (files[kind][stem] for kind in pairs[stem])
            try:
                found[place] = self._frame(
                    place, image, camera, files["depth"][stem], files["confidence"].get(stem, "")
                )
            except SourceError as error:
                problems.append(error)
                self.note("frame_with_damaged_camera")
        if not found:
            raise problems[0] if problems else self._damage(self._said("keyframe"), self.path, cure=EXPORT)
        self.note("depth_extrapolated_beyond_5_m", len(found))
        return found

    def _is_complete(self, stem: str, files: Mapping[str, Mapping[str, str]]) -> bool:
        """Return whether a keyframe has depth, and an image with its camera; count what it lacks."""
        if not any(stem in files[image] and stem in files[camera] for image, camera in (RECORDED, CORRECTED)):
            self.note("frame_without_color")
            return False
        if stem not in files["depth"]:
            self.note("frame_without_depth")
            return False
        if files["confidence"] and stem not in files["confidence"]:
            self.note("frame_without_confidence")
        return True

    def _pairs(self, usable: Mapping[int, str], files: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[str, str]]:
        """Return the kinds of image and camera of each keyframe that counts: one pair of kinds for the whole scan.

        Polycam's alignment moves poses by centimetres to decimetres, so recorded poses do not fit among corrected ones.
        """
        held = {pair: [stem for stem in usable.values() if all(stem in files[kind] for kind in pair)]
                for pair in (CORRECTED, RECORDED)}  # fmt: skip
        chosen = CORRECTED if 2 * len(held[CORRECTED]) >= len(usable) else RECORDED
        counts = {"frame_not_corrected" if chosen == CORRECTED else "frame_without_recorded_camera":
                  len(usable) - len(held[chosen]),
                  "correction_of_a_minority_not_used": 0 if chosen == CORRECTED else len(held[CORRECTED])}  # fmt: skip
        for name, count in counts.items():
            if count:
                self.note(name, count)
        return dict.fromkeys(held[chosen], chosen)

    def _frame(self, place: int, image: str, camera: str, depth: str, confidence: str) -> CaptureFrame:
        """Return one frame.

        Raises:
            SourceError: its camera file is damaged.
        """
        values = self._json(camera)
        named = {name: number(values.get(name)) for name in ("fx", "fy", "cx", "cy")}
        rows = numbers([values.get(name) for name in POSE], (12,))
        missing = [name for name, value in named.items() if value is None]
        if missing or rows is None:
            what = missing[0] if missing else f"{POSE[0]} to {POSE[-1]}"
            raise self._damage(f"has no number {what}", self.path / camera, cure=EXPORT)
        width, height = (int(number(values.get(name)) or 0) for name in ("width", "height"))
        if (score := number(values.get("blur_score"))) is not None:
            self.blur_scores[place] = score
        fx, fy, cx, cy = (float(value or 0) for value in named.values())
        return CaptureFrame(
            color=image,
            depth=depth,
            confidence=confidence,
            intrinsics=(fx, fy, cx, cy),
            size=(width, height) if min(width, height) > 0 else None,
            pose=y_up_pose(rows.reshape(3, 4)),
        )


def without_black_border(image: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return (H, W) uint8, 0 where black that reaches the edge of an image (H, W, 3) covers it, else 255.

    The result is ``None`` where no black reaches the edge.
    """
    import cv2

    dark = cv2.inRange(image, (0, 0, 0), (BLACK, BLACK, BLACK))
    edge = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
    if not edge.any():
        return None
    count, parts = cv2.connectedComponents(dark, connectivity=4)
    at_edge = np.zeros(count, dtype=np.uint8)
    at_edge[np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])] = 255
    at_edge[0] = 0  # what is not dark
    grown = cv2.dilate(at_edge[parts], np.ones((2 * BORDER + 1, 2 * BORDER + 1), dtype=np.uint8))
    return np.asarray(255 - grown, dtype=np.uint8)
