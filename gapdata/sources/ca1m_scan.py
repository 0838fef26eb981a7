"""Open one capture of CA-1M: a tar that is read in place.

A frame is ``<id>/<stamp>.wide/image.png`` (1024x768, or 768x1024: frames are upright already) with ``wide/depth.png``
(256x192 uint16, millimetres, of the tablet's sensor), ``wide/image/K.json`` and ``wide/depth/K.json``; its pose is
``<stamp>.gt/RT.json``, the camera in the laser scanner's world. Stamps are nanoseconds. ``gt/depth.png``, cast from the
laser scan, is not read: it lacks what the scanner did not see, and is not what a tablet measures.

Extensions and the case of names do not matter, as in the official reader.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.frame_names import MAX_FRAME_ID
from gapdata.errors import SourceError, StoreError, kind_of_failure
from gapdata.files.archive import open_archive
from gapdata.files.checked_values import finite, numbers
from gapdata.files.storage import Location
from gapdata.files.text import decode_text
from gapdata.geometry.camera import Intrinsics, is_rigid
from gapdata.sources.base import Annotation, Scan
from gapdata.sources.ca1m_boxes import parse_instances
from gapdata.sources.color_files import color_size, decode_color_file
from gapdata.sources.depth_files import decode_depth, depth_kind
from gapdata.sources.gray_files import decode_thirds
from gapdata.sources.images import MAX_PIXELS
from gapdata.sources.orientation import same_shape
from gapdata.sources.raw_clock import nearest_on_raw_clock

IMAGE, DEPTH, CONFIDENCE = "wide/image", "wide/depth", "wide/depth/confidence"
IMAGE_K, DEPTH_K, GRAVITY, POSE = "wide/image/k", "wide/depth/k", "wide/t_gravity", "gt/rt"
NEEDED = frozenset({IMAGE, DEPTH, IMAGE_K, DEPTH_K})
MEMBER = re.compile(r"[^/]+/(\d{1,18})\.((?:wide|gt)/[^.]+)(?:\.[^./]+)?", re.ASCII)
WORLD = re.compile(r"[^/]+/world\.gt/instances(?:\.json)?", re.ASCII | re.IGNORECASE)
NANOSECONDS = 1e9
IMAGE_BYTES, TEXT_BYTES, BOX_BYTES = 1 << 26, 1 << 14, 1 << 28
HEADERS_TRIED = 16
"""Images whose headers are tried before the size counts as unknown, because some may be damaged."""
GRAVITY_FRAMES = 32
"""Frames whose ``T_gravity`` is read: all say the same of a capture's world."""
ONE_DIRECTION = 0.99
"""Length of the mean of unit vectors that agree, within some 8 degrees."""
UPWARD = 0.996
"""Cosine of 5 degrees: how near to z the vertical must be to be z."""
AGAIN = "download the tar again"


class Ca1mScan(Scan):
    """One capture.

    Args:
        scene_id: its id, that of the video.
        tar: the file.

    Raises:
        SourceError: the tar is damaged, no frame is complete, or the cameras cannot be those of the images.
        StoreError: the store fails.
    """

    depth_units_per_metre = 1000.0

    def __init__(self, scene_id: str, tar: Location) -> None:
        self.scene_id, self.path = scene_id, tar
        self._noted: Counter[str] = Counter()
        self._cameras: dict[int, tuple[Intrinsics, Intrinsics]] = {}  # of colour and depth, by stamp
        with self._naming():
            self._archive = open_archive(tar)
        try:
            self._open()
        except BaseException:
            self._archive.close()
            raise

    def _open(self) -> None:
        with self._naming():
            self._digest = hashlib.sha256(b"ca1m 1 " + self._archive.digest_input())
        self._members, self._world = self._find_members()
        stamps = [stamp for stamp in sorted(self._members) if self._members[stamp].keys() >= NEEDED]
        self._note("incomplete_frame", len(self._members) - len(stamps))
        if not stamps:
            raise self._damage("has no frame with wide/image, wide/depth and a K.json of both", cure=AGAIN)
        self._sizes = self._size(stamps, IMAGE), self._size(stamps, DEPTH)
        if not same_shape(*self._sizes):
            sizes = " and depth of ".join(f"{width}x{height}" for width, height in self._sizes)
            raise self._damage(f"has colour images of {sizes}: their aspect ratios differ", cure=AGAIN)
        self._set_frames([stamp for stamp in stamps if self._has_cameras(stamp)], stamps[0])
        self._boxes = self._member_text(self._world, BOX_BYTES) if self._world is not None else None

    def _find_members(self) -> tuple[dict[int, dict[str, str]], str | None]:
        """Return the member of each kind of each frame by its stamp, and that of the boxes."""
        found: dict[int, dict[str, str]] = defaultdict(dict)
        world = None
        for name in self._archive.names:
            match = MEMBER.fullmatch(name)
            if match is not None:
                kind = match[2].lower()
                if kind in found[int(match[1])]:
                    raise self._damage(f"has two members for {kind} of frame {match[1]}", cure=AGAIN)
                found[int(match[1])][kind] = name
            elif WORLD.fullmatch(name) is not None:
                world = name
        return dict(found), world

    def _size(self, stamps: Sequence[int], kind: str) -> tuple[int, int]:
        """Return (width, height) of one kind of images, by the first header that can be read."""
        first: SourceError | None = None
        for stamp in stamps[:HEADERS_TRIED]:
            name = self._members[stamp][kind]
            try:
                with self._naming(member=name):
                    data = self._archive.read(name, IMAGE_BYTES)
                    width, height = color_size(data) if kind == IMAGE else depth_kind(data).size
                    if not 0 < width * height <= MAX_PIXELS:
                        raise ValueError(f"has an impossible image size: {width}x{height}")
                return width, height
            except SourceError as error:
                first = first or error
        assert first is not None
        raise first

    def _has_cameras(self, stamp: int) -> bool:
        """Read the two cameras of a frame, and return whether they can be those of its images."""
        color, depth = (
            self._camera(stamp, kind, size) for kind, size in zip((IMAGE_K, DEPTH_K), self._sizes, strict=True)
        )
        if color is None or depth is None:
            self._note("frame_with_impossible_intrinsics")
            return False
        self._cameras[stamp] = color, depth
        return True

    def _camera(self, stamp: int, kind: str, size: tuple[int, int]) -> Intrinsics | None:
        matrix = self._matrix(stamp, kind, 3)
        if matrix is None:
            return None
        camera = Intrinsics.from_matrix(matrix, width=size[0], height=size[1])
        return camera if camera.plausible else None

    def _set_frames(self, stamps: list[int], first: int) -> None:
        """Set the frames, their poses and typical cameras.

        Args:
            stamps: of the frames that can be used, ascending.
            first: the stamp of raw index 0.
        """
        if not stamps:
            raise self._damage("has no frame whose K.json can be the camera of its images", cure=AGAIN)
        seconds = (np.array(stamps) - first) / NANOSECONDS
        nearest = nearest_on_raw_clock(seconds, 0.0)
        self._stamps = {frame: stamps[place] for frame, place in nearest.items()}
        self.frame_count = max(self._stamps) + 1
        if self.frame_count > MAX_FRAME_ID:
            raise self._damage(f"lasts for {self.frame_count:,} raw frames of 30 Hz, at most {MAX_FRAME_ID:,} are read")
        self.present = np.zeros(self.frame_count, dtype=bool)
        self.camera_to_world = np.full((self.frame_count, 4, 4), np.nan)
        for frame, stamp in self._stamps.items():
            self.present[frame] = True
            pose = self._matrix(stamp, POSE, 4)
            self._note("frame_without_pose", int(pose is None))
            if pose is not None:
                self.camera_to_world[frame] = pose
        middle = sorted(stamps, key=lambda stamp: self._cameras[stamp][0].fx)[len(stamps) // 2]
        self.color_intrinsics, self.depth_intrinsics = self._cameras[middle]
        self._up = self._vertical()

    def _vertical(self) -> NDArray[np.float64] | None:
        """Return the direction against gravity, (3,) in the scanner's world; ``None`` where frames do not agree.

        ``T_gravity`` turns a level camera's axes, y down, to the camera's.
        """
        posed = [frame for frame in sorted(self._stamps) if is_rigid(self.camera_to_world[frame])]
        ups = []
        for frame in posed[:: max(1, len(posed) // GRAVITY_FRAMES)]:
            level = self._matrix(self._stamps[frame], GRAVITY, 3)
            if level is not None:
                ups.append(self.camera_to_world[frame][:3, :3] @ -level[:, 1])
        mean = np.mean(ups, axis=0) if ups else np.zeros(3)
        length = float(np.linalg.norm(mean))
        if not ONE_DIRECTION < length < 2 - ONE_DIRECTION:
            self._note("vertical_not_known")
            return None
        return np.asarray(mean / length)

    @property
    def world_up(self) -> NDArray[np.float64] | None:
        """Return the direction against gravity, (3,), as ``T_gravity`` and the poses say it."""
        return self._up

    @property
    def axis_alignment(self) -> NDArray[np.float64] | None:
        """Return the identity, (4, 4), where z of the scanner's world is against gravity, else ``None``."""
        return np.eye(4) if self._up is not None and self._up[2] > UPWARD else None

    @property
    def notes(self) -> Mapping[str, int]:
        """Return what was met and handled, by name."""
        return dict(sorted(self._noted.items()))

    def close(self) -> None:
        """Close the tar."""
        self._archive.close()

    def color_camera(self, frame: int) -> Intrinsics:
        """Return the camera of a frame's own file; a typical one where there is no frame."""
        return self._cameras[self._stamps[frame]][0] if frame in self._stamps else self.color_intrinsics

    def depth_camera(self, frame: int) -> Intrinsics:
        """Return the depth camera of a frame's own file; a typical one where there is no frame."""
        return self._cameras[self._stamps[frame]][1] if frame in self._stamps else self.depth_intrinsics

    def color(self, frame: int, reduction: int = 1) -> NDArray[np.uint8]:
        """Return the colour image, (H, W, 3) uint8 RGB."""
        name = self._member(frame, IMAGE)
        with self._naming(frame, name):
            data = self._archive.read(name, IMAGE_BYTES)
            size = color_size(data)
            if size != self._sizes[0]:
                width, height = self._sizes[0]
                raise ValueError(f"is {size[0]}x{size[1]}, but other frames are {width}x{height}")
            image = decode_color_file(data, reduction)
            if image is None:
                raise ValueError("cannot be decoded")
            return image

    def depth(self, frame: int) -> NDArray[np.uint16]:
        """Return the depth image of the tablet's sensor, (H, W) uint16 millimetres, 0 without a value."""
        name = self._member(frame, DEPTH)
        with self._naming(frame, name):
            return decode_depth(self._archive.read(name, IMAGE_BYTES), self._sizes[1])

    def confidence(self, frame: int) -> NDArray[np.uint8] | None:
        """Return the confidence of each depth reading, (H, W) uint8: the thirds of [0, 1]; ``None`` without a file."""
        name = self._member(frame, CONFIDENCE)
        if not name:
            return None
        with self._naming(frame, name):
            return decode_thirds(self._archive.read(name, IMAGE_BYTES), self._sizes[1])

    def annotation(self) -> Annotation | None:
        """Return the boxes, which have no mesh; ``None`` for a tar without them.

        Raises:
            SourceError: they are damaged.
        """
        if self._boxes is None:
            return None
        with self._naming(member=self._world):
            found = parse_instances(self._boxes)
        return Annotation(
            vertices=np.empty((0, 3), dtype=np.float32),
            faces=np.empty((0, 3), dtype=np.int32),
            colors=np.empty((0, 3), dtype=np.uint8),
            objects=found.objects,
            notes=dict(found.notes),
        )

    def digest(self, *, masks: bool = False) -> str:
        """Return a SHA-256 over names and sizes of all members, and texts of cameras, poses and boxes."""
        return self._digest.hexdigest()

    def _matrix(self, stamp: int, kind: str, side: int) -> NDArray[np.float64] | None:
        """Return a square matrix of a frame, nested or flat in its file; ``None`` without one, and of NaN or less."""
        name = self._members[stamp].get(kind)
        if name is None:
            return None
        try:
            value = json.loads(decode_text(self._member_text(name, TEXT_BYTES)))
        except (ValueError, RecursionError):
            value = None
        flat = finite(value, (side * side,)) if numbers(value, (side, side)) is None else finite(value, (side, side))
        self._note("unreadable_matrix", int(flat is None))
        return None if flat is None else flat.reshape(side, side)

    def _member_text(self, name: str, limit: int) -> bytes:
        """Return a small member, which enters the digest."""
        with self._naming():
            data = self._archive.read(name, limit)
        self._digest.update(f"{name} {len(data)} ".encode(errors="surrogateescape") + data)
        return data

    def _member(self, frame: int, kind: str) -> str:
        """Return the name of a frame's member; empty where it has none of this kind."""
        if frame not in self._stamps:
            raise self._damage("is not among the frames of the capture", frame)
        return self._members[self._stamps[frame]].get(kind, "")

    def _note(self, name: str, count: int = 1) -> None:
        if count:
            self._noted[name] += count

    @contextmanager
    def _naming(self, frame: int | None = None, member: str | None = None) -> Iterator[None]:
        """Give errors of the tar their place, member, scene and frame.

        Raises:
            SourceError: the tar is damaged or cannot be read.
            StoreError: the store or the disk fails.
        """
        try:
            yield
        except ValueError as error:
            named = f"{member} {error}" if member else str(error)
            raise self._damage(named, frame, AGAIN) from error
        except StoreError:
            raise
        except OSError as error:
            problem = f"cannot be read: {error.strerror or error}"
            raise kind_of_failure(error)(problem, path=self.path, scene=self.scene_id, frame=frame) from error

    def _damage(self, problem: str, frame: int | None = None, cure: str | None = None) -> SourceError:
        return SourceError(problem, path=self.path, scene=self.scene_id, frame=frame, cure=cure)

    def describe_frames(self) -> dict[str, Any]:
        """Return the facts about frames and cameras, with what was noted."""
        facts = super().describe_frames()
        facts["frames"]["missing"] = dict(self.notes)
        return facts
