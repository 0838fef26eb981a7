"""Read ScanNet's ``.sens`` file, version 4, at any frame.

The format is the one of ScanNet's ``SensReader/c++/src/sensorData.h``: little-endian, unpadded; a header, then per
frame 96 bytes (pose, two timestamps, two sizes) and the two payloads, then an optional IMU tail. Indexing reads those
96 bytes a frame and seeks over the rest, so a 5 GB scan costs one small read for each frame; a reader of a local file
never holds more than one frame. :mod:`gapdata.sources.remote_sens` reads from an object store.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from isal import isal_zlib
from isal.igzip_lib import IsalError
from numpy.typing import NDArray

from gapdata.errors import SourceError, kind_of_failure
from gapdata.files.object_store import ObjectFile, ObjectPath
from gapdata.files.storage import location, open_ranged
from gapdata.geometry.camera import is_rigid
from gapdata.sources.camera_files import camera_and_lens
from gapdata.sources.frame_facts import camera_facts, path_length
from gapdata.sources.images import MAX_PIXELS, decode_color, encoded_image_size, reduce_image
from gapdata.sources.remote_sens import FramePayloads, fetch_headers

VERSION = 4
COLOR_COMPRESSIONS = {0: "raw", 1: "png", 2: "jpeg"}
DEPTH_COMPRESSIONS = {0: "raw", 1: "zlib"}
OCCI_DEPTH = 2
FRAME_HEADER = struct.Struct("<16f4Q")
IMU_RECORD = struct.Struct("<15dQ")
MAX_NAME_BYTES = 4096
MAX_IMAGE_SIDE = 16384
MAX_IMU_RECORDS = 1 << 24
AGAIN = "download it again"


class SensReader:
    """Random access to the frames of a ``.sens`` file.

    Attributes:
        sensor_name: as written by the scanner's firmware.
        color_intrinsics, depth_intrinsics: the two cameras at the stored image sizes.
        color_lens, depth_lens: the skew of their matrices, ``None`` without one.
        color_extrinsics, depth_to_color: (4, 4) float64; ScanNet writes identities.
        color_compression: ``raw``, ``png`` or ``jpeg``; depth_compression: ``raw`` or ``zlib``.
        depth_units_per_metre: 1000 for ScanNet.
        camera_to_world: (N, 4, 4) float64; frames of lost tracking are full of -inf.
        color_timestamps, depth_timestamps: (N,) uint64, microseconds, often 0.
        imu_count: number of complete IMU records, ``None`` where the file ends without an IMU tail.
        index_bytes: the header and all frame headers, which change when any pose, timestamp or payload size does.

    Raises:
        SourceError: the file is not a ``.sens`` of version 4, is truncated (the frame is named), has sizes that do not
            fit it, or uses the closed "occi" depth compression.
    """

    def __init__(self, path: str | os.PathLike[str] | ObjectPath) -> None:
        self.path = location(path)
        try:
            # Read-ahead would pull in the payloads between two frame headers: 1.3 GB instead of 15 MB for 3600 frames.
            self._file = open_ranged(self.path, scattered=True)
        except OSError as error:
            raise kind_of_failure(error)(f"cannot be opened: {error.strerror}", path=self.path) from error
        self._size = self._file.size
        try:
            self._read_index(self._read_header())
        except OSError as error:
            self._file.close()
            raise kind_of_failure(error)(f"cannot be read: {error.strerror}", path=self.path) from error
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> SensReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; frames cannot be read afterwards."""
        self._file.close()

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def valid_poses(self) -> NDArray[np.bool_]:
        """Tell which frames carry a finite, rigid pose, (N,)."""
        return is_rigid(self.camera_to_world)

    def describe(self) -> dict[str, Any]:
        """Return header and index as plain values, for ``gapdata inspect``; payloads are not read."""
        valid = self.valid_poses
        return {
            "path": str(self.path),
            "version": VERSION,
            "sensor": self.sensor_name,
            "frames": len(self),
            "invalid_poses": int((~valid).sum()),
            "color": {**camera_facts(self.color_intrinsics, self.color_lens), "compression": self.color_compression},
            "depth": {
                **camera_facts(self.depth_intrinsics, self.depth_lens),
                "compression": self.depth_compression,
                "shift": self.depth_units_per_metre,
            },
            "imu": self.imu_count,
            "path_length_m": path_length(self.camera_to_world[valid]),
        }

    def color_bytes(self, frame: int) -> bytes:
        """Return the colour payload as stored: the original JPEG (or PNG) file, byte for byte."""
        return self._payload(frame, int(self._offsets[frame]), int(self._color_sizes[frame]))

    def color(self, frame: int, reduction: int = 1) -> NDArray[np.uint8]:
        """Return the colour image, (H, W, 3) uint8 RGB; ``reduction`` 1, 2, 4 or 8 divides its sides, rounded up."""
        data = self.color_bytes(frame)
        size = (self.color_intrinsics.width, self.color_intrinsics.height)
        if self.color_compression == "raw":
            if len(data) != size[0] * size[1] * 3:
                raise self._damage(f"raw colour has {len(data)} bytes, expected {size[0] * size[1] * 3}", frame)
            image = np.frombuffer(data, dtype=np.uint8).reshape(size[1], size[0], 3)
            return reduce_image(image, reduction)
        found = encoded_image_size(data)
        if found != size:
            what = (
                "not a complete JPEG or PNG"
                if found is None
                else f"{found[0]}x{found[1]}, the header says {size[0]}x{size[1]}"
            )
            raise self._damage(f"colour image is {what}", frame)
        decoded = decode_color(data, reduction)
        if decoded is None:
            raise self._damage(f"colour {self.color_compression} cannot be decoded", frame)
        return decoded

    def depth(self, frame: int) -> NDArray[np.uint16]:
        """Return the depth image, (H, W) uint16 in units of ``1 / depth_units_per_metre`` metres, 0 without a value."""
        width, height = self.depth_intrinsics.width, self.depth_intrinsics.height
        expected = width * height * 2
        data = self._payload(frame, int(self._offsets[frame] + self._color_sizes[frame]), int(self._depth_sizes[frame]))
        if self.depth_compression == "zlib":
            inflater = isal_zlib.decompressobj()
            try:
                data = inflater.decompress(data, expected + 1)
                if len(data) == expected:
                    # The checksum is only compared once the stream's end has been consumed.
                    data += inflater.decompress(inflater.unconsumed_tail, 1)
            except IsalError as error:  # type: ignore[misc] # the stub takes the class for an instance
                raise self._damage(f"depth cannot be decompressed: {error}", frame) from error
            if not inflater.eof and len(data) <= expected:
                raise self._damage(f"depth stream ends after {len(data)} of {expected} bytes", frame)
        if len(data) != expected:
            raise self._damage(f"depth has {len(data)} bytes, expected {expected}", frame)
        return np.frombuffer(data, dtype="<u2").reshape(height, width)

    def _read_header(self) -> int:
        head = self._file.read_at(0, 12)
        if len(head) < 12:
            raise self._damage("is too short to be a .sens file")
        version, name_length = struct.unpack("<IQ", head)
        if version != VERSION:
            raise self._damage(
                f"has .sens version {version}, only {VERSION} can be read",
                cure="convert it with ScanNet's SensReader first",
            )
        if name_length > MAX_NAME_BYTES or 304 + name_length > self._size:
            raise self._damage(f"states a sensor name of {name_length} bytes, at most {MAX_NAME_BYTES} are read")
        data = self._file.read_at(12, int(name_length) + 292)
        self._header_bytes = head + data
        self.sensor_name = data[:name_length].decode("latin-1")
        fields = struct.unpack_from("<64f2i4IfQ", data, name_length)
        matrices = np.array(fields[:64], dtype=np.float64).reshape(4, 4, 4)
        color_type, depth_type = fields[64:66]
        color_width, color_height, depth_width, depth_height = fields[66:70]
        self._frame_count = fields[71]
        self.depth_units_per_metre = float(fields[70])
        self._check_header(color_type, depth_type, fields[66:70])
        self.color_compression = COLOR_COMPRESSIONS[color_type]
        self.depth_compression = DEPTH_COMPRESSIONS[depth_type]
        self.color_extrinsics, self.depth_to_color = matrices[1], matrices[3]
        try:
            color = camera_and_lens("colour", matrices[0], (color_width, color_height))
            depth = camera_and_lens("depth", matrices[2], (depth_width, depth_height))
        except ValueError as error:
            raise self._damage(str(error)) from error
        (self.color_intrinsics, self.color_lens), (self.depth_intrinsics, self.depth_lens) = color, depth
        return 304 + int(name_length)

    def _check_header(self, color_type: int, depth_type: int, sides: Sequence[int]) -> None:
        if depth_type == OCCI_DEPTH:
            raise self._damage(
                'uses "occi" depth compression, which needs a closed library',
                cure="re-export it with ScanNet's SensReader",
            )
        if color_type not in COLOR_COMPRESSIONS:
            raise self._damage(f"has colour compression type {color_type}, known are {_listing(COLOR_COMPRESSIONS)}")
        if depth_type not in DEPTH_COMPRESSIONS:
            raise self._damage(f"has depth compression type {depth_type}, known are {_listing(DEPTH_COMPRESSIONS)}")
        pixels = max(sides[0] * sides[1], sides[2] * sides[3])
        if not all(0 < side <= MAX_IMAGE_SIDE for side in sides) or pixels > MAX_PIXELS:
            raise self._damage(f"has impossible image sizes {sides[0]}x{sides[1]} and {sides[2]}x{sides[3]}")
        if not (np.isfinite(self.depth_units_per_metre) and self.depth_units_per_metre > 0):
            raise self._damage(f"has depth shift {self.depth_units_per_metre:g}, expected units per metre such as 1000")

    def _read_index(self, position: int) -> None:
        count = self._frame_count
        if count > (self._size - position) // FRAME_HEADER.size:
            last = self._last_whole_frame(position)
            raise self._damage(
                f"is truncated: its header states {count} frames, but the file of {self._size} bytes ends in this one",
                frame=last + 1,
            )
        headers = bytearray(count * FRAME_HEADER.size)
        self._offsets, self._color_sizes, self._depth_sizes = [0] * count, [0] * count, [0] * count
        end = self._walk(position, headers)
        self.index_bytes = self._header_bytes + bytes(headers)
        layout = np.dtype([("pose", "<f4", (4, 4)), ("times", "<u8", (2,)), ("sizes", "<u8", (2,))])
        table = np.frombuffer(headers, dtype=layout)
        self.camera_to_world = table["pose"].astype(np.float64)
        self.color_timestamps, self.depth_timestamps = table["times"][:, 0].copy(), table["times"][:, 1].copy()
        self._read: Callable[[int, int], bytes] = self._file.read_at
        if isinstance(self._file, ObjectFile):
            both = [color + depth for color, depth in zip(self._color_sizes, self._depth_sizes, strict=True)]
            self._read = FramePayloads(self._file, self._offsets, both).read_at
        self.imu_count = self._read_imu_count(end)

    def _walk(self, position: int, headers: bytearray) -> int:
        """Read all frames' headers into ``headers``, note where payloads lie, and return where the last one ends."""
        read: Callable[[int, int], bytes] = self._file.read_at
        if isinstance(self._file, ObjectFile):
            read = fetch_headers(self._file, position, len(self._offsets))
        sizes = struct.Struct("<QQ")
        offsets, color_sizes, depth_sizes = self._offsets, self._color_sizes, self._depth_sizes
        for frame in range(len(offsets)):
            header = read(position, FRAME_HEADER.size)
            payload = position + FRAME_HEADER.size
            color_size, depth_size = (
                sizes.unpack_from(header, 80) if len(header) == FRAME_HEADER.size else (0, self._size)
            )
            position = payload + color_size + depth_size
            if position > self._size:
                raise self._damage(
                    f"is truncated or damaged: frame needs bytes up to {position}, the file has {self._size}",
                    frame=frame,
                )
            headers[frame * FRAME_HEADER.size : (frame + 1) * FRAME_HEADER.size] = header
            offsets[frame], color_sizes[frame], depth_sizes[frame] = payload, color_size, depth_size
        return position

    def _last_whole_frame(self, position: int) -> int:
        """Return the last complete frame, or -1, for the message about a truncated file."""
        frame = -1
        while True:
            header = self._file.read_at(position, FRAME_HEADER.size)
            if len(header) < FRAME_HEADER.size:
                return frame
            position += FRAME_HEADER.size + sum(struct.unpack_from("<QQ", header, 80))
            if position > self._size:
                return frame
            frame += 1

    def _read_imu_count(self, position: int) -> int | None:
        remaining = self._size - position
        if remaining < 8:
            return None
        (count,) = struct.unpack("<Q", self._file.read_at(position, 8))
        complete = (remaining - 8) // IMU_RECORD.size
        if count > MAX_IMU_RECORDS or remaining > 8 + count * IMU_RECORD.size:
            raise self._damage(
                f"has {remaining} bytes after the last frame that are not an IMU tail: a frame states a wrong size"
            )
        return int(min(count, complete))

    def _payload(self, frame: int, offset: int, size: int) -> bytes:
        try:
            data = self._read(offset, size)
        except OSError as error:
            cure = None if isinstance(self._file, ObjectFile) else "check the disk"
            problem = f"cannot be read: {error.strerror}"
            raise kind_of_failure(error)(problem, path=self.path, frame=frame, cure=cure) from error
        if len(data) != size:
            raise self._damage(f"is truncated: read {len(data)} of {size} bytes", frame)
        return data

    def _damage(self, problem: str, frame: int | None = None, cure: str = AGAIN) -> SourceError:
        return SourceError(problem, path=self.path, frame=frame, cure=cure)


def _listing(names: dict[int, str]) -> str:
    return ", ".join(f"{code} ({name})" for code, name in names.items())
