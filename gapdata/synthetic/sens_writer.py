"""Write ScanNet's ``.sens`` files, version 4; :mod:`gapdata.sources.sens` describes the format and reads them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from gapdata.files.atomic import atomic_file
from gapdata.geometry.camera import Intrinsics
from gapdata.sources.sens import COLOR_COMPRESSIONS, DEPTH_COMPRESSIONS, FRAME_HEADER, IMU_RECORD, VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class ImuSample:
    """One inertial reading as ScanNet's tail stores it; each vector has three components."""

    rotation_rate: tuple[float, float, float]
    acceleration: tuple[float, float, float]
    magnetic_field: tuple[float, float, float]
    attitude: tuple[float, float, float]  # roll, pitch, yaw
    gravity: tuple[float, float, float]
    timestamp: int  # microseconds


class SensWriter:
    """A ``.sens`` file that is written frame by frame in a ``with`` block.

    It appears under its name only when the block ends well.
    """

    def __init__(
        self,
        path: Path,
        *,
        color_intrinsics: Intrinsics,
        depth_intrinsics: Intrinsics,
        depth_to_color: NDArray[np.floating] | None = None,
        sensor_name: str = "StructureSensor",
        color_compression: str = "jpeg",
        depth_compression: str = "zlib",
        depth_units_per_metre: float = 1000.0,
    ) -> None:
        self._depth_intrinsics = depth_intrinsics
        self._depth_compression = depth_compression
        self._count = 0
        self._imu_written = False
        name = sensor_name.encode("latin-1")
        extrinsics = np.eye(4) if depth_to_color is None else depth_to_color
        matrices = (_homogeneous(color_intrinsics), np.eye(4), _homogeneous(depth_intrinsics), extrinsics)
        codes = _code(COLOR_COMPRESSIONS, color_compression), _code(DEPTH_COMPRESSIONS, depth_compression)
        sizes = (size for camera in (color_intrinsics, depth_intrinsics) for size in (camera.width, camera.height))
        self._header = (
            struct.pack("<IQ", VERSION, len(name))
            + name
            + np.stack(matrices).astype("<f4").tobytes()
            + struct.pack("<2i4If", *codes, *sizes, depth_units_per_metre)
        )
        self._opened = atomic_file(path)

    def __enter__(self) -> SensWriter:
        self._file = self._opened.__enter__()
        self._file.write(self._header + struct.pack("<Q", 0))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            if not self._imu_written:
                self.write_imu(())
            self._file.seek(len(self._header))
            self._file.write(struct.pack("<Q", self._count))
        self._opened.__exit__(kind, error, trace)

    def write(
        self,
        *,
        color: bytes,
        depth: NDArray[np.uint16],
        camera_to_world: NDArray[np.floating],
        color_timestamp: int = 0,
        depth_timestamp: int = 0,
    ) -> None:
        """Append a frame.

        Args:
            color: the encoded (or raw) image.
            depth: (H, W) uint16, in the file's units.
            camera_to_world: (4, 4) pose.
            color_timestamp: microseconds.
            depth_timestamp: microseconds.
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
