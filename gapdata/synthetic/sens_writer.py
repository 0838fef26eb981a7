"""A writer of ScanNet's ``.sens`` file, version 4; :mod:`gapdata.sources.sens` describes the format and reads it."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.sources.sens import COLOR_COMPRESSIONS, DEPTH_COMPRESSIONS, FRAME_HEADER, IMU_RECORD, VERSION, ImuSample


class SensWriter:
    """Writes a version 4 ``.sens`` file frame by frame; it appears under its name only when the ``with`` block ends
    well.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        color_intrinsics: Intrinsics,
        depth_intrinsics: Intrinsics,
        depth_to_color: NDArray[np.floating] | None = None,
        sensor_name: str = "StructureSensor",
        color_compression: str = "jpeg",
        depth_compression: str = "zlib",
        depth_units_per_metre: float = 1000.0,
    ) -> None:
        self.path = Path(path)
        self._temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        self._depth_intrinsics = depth_intrinsics
        self._depth_compression = depth_compression
        self._count = 0
        self._imu_written = False
        name = sensor_name.encode("latin-1")
        extrinsics = np.eye(4) if depth_to_color is None else depth_to_color
        matrices = (_homogeneous(color_intrinsics), np.eye(4), _homogeneous(depth_intrinsics), extrinsics)
        self._count_offset = 296 + len(name)
        self._file = open(self._temporary, "wb")  # noqa: SIM115 - lives as long as the writer, closed in __exit__
        self._file.write(struct.pack("<IQ", VERSION, len(name)) + name)
        self._file.write(np.stack(matrices).astype("<f4").tobytes())
        self._file.write(
            struct.pack(
                "<2i4IfQ",
                _code(COLOR_COMPRESSIONS, color_compression),
                _code(DEPTH_COMPRESSIONS, depth_compression),
                color_intrinsics.width,
                color_intrinsics.height,
                depth_intrinsics.width,
                depth_intrinsics.height,
                depth_units_per_metre,
                0,
            )
        )

    def __enter__(self) -> SensWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._file.close()
            self._temporary.unlink(missing_ok=True)
            return
        if not self._imu_written:
            self.write_imu(())
        self._file.seek(self._count_offset)
        self._file.write(struct.pack("<Q", self._count))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._temporary, self.path)

    def write(
        self,
        *,
        color: bytes,
        depth: NDArray[np.uint16],
        camera_to_world: NDArray[np.floating],
        color_timestamp: int = 0,
        depth_timestamp: int = 0,
    ) -> None:
        """Append a frame: encoded (or raw) colour bytes, depth (H, W) uint16, pose (4, 4), timestamps in
        microseconds.
        """
        expected = (self._depth_intrinsics.height, self._depth_intrinsics.width)
        if depth.shape != expected or depth.dtype != np.uint16:
            raise ValueError(f"depth is {depth.dtype} {depth.shape}, expected uint16 {expected}")
        payload = depth.astype("<u2").tobytes()
        if self._depth_compression == "zlib":
            # As ScanNet's own writer (stb_image_write): a short search and fixed Huffman codes.
            deflater = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_FIXED)
            payload = deflater.compress(payload) + deflater.flush()
        pose = [float(value) for value in np.asarray(camera_to_world).reshape(16)]
        self._file.write(FRAME_HEADER.pack(*pose, color_timestamp, depth_timestamp, len(color), len(payload)))
        self._file.write(color)
        self._file.write(payload)
        self._count += 1

    def write_imu(self, samples: Sequence[ImuSample]) -> None:
        """Write the IMU tail; call once, after the last frame."""
        self._file.write(struct.pack("<Q", len(samples)))
        for item in samples:
            vectors = (item.rotation_rate, item.acceleration, item.magnetic_field, item.attitude, item.gravity)
            self._file.write(IMU_RECORD.pack(*(value for vector in vectors for value in vector), item.timestamp))
        self._imu_written = True


def _homogeneous(camera: Intrinsics) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = camera.matrix
    return matrix


def _code(names: dict[int, str], name: str) -> int:
    for code, known in names.items():
        if known == name:
            return code
    raise ValueError(f"compression {name!r} is unknown, choose from {', '.join(names.values())}")
