"""How people extract frames today, as whole processes: ``python extraction_baselines.py official|efficient IN.sens
OUT STEP``.

``official`` follows the way of ScanNet's Python reader and of EmbodiedScan's extractor: every frame of the file is
read into memory through ``struct.unpack`` of single characters, each selected JPEG is decoded in full and encoded
again with PIL at its default quality, depth becomes a 16-bit PNG and the pose a text file. ``efficient`` writes the
same files but seeks over the frames that it skips.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image


def read_header(file: BinaryIO) -> tuple[int, int, int]:
    """Skip to the frames; (number of frames, depth width, depth height)."""
    _, length = struct.unpack("<IQ", file.read(12))
    file.read(length + 256 + 8 + 8)
    width, height = struct.unpack("<II", file.read(8))
    file.read(4)
    return struct.unpack("<Q", file.read(8))[0], width, height


def read_all_frames(file: BinaryIO, count: int) -> list[tuple[bytes, bytes, bytes]]:
    """(pose, colour, depth) bytes of every frame, joined from single characters."""
    frames = []
    for _ in range(count):
        pose = file.read(64)
        color_size, depth_size = struct.unpack("<16xQQ", file.read(32))
        color = b"".join(struct.unpack("c" * color_size, file.read(color_size)))
        depth = b"".join(struct.unpack("c" * depth_size, file.read(depth_size)))
        frames.append((pose, color, depth))
    return frames


def write_frame(out: Path, index: int, frame: tuple[bytes, bytes, bytes], size: tuple[int, int]) -> None:
    """One JPEG, one PNG, one pose."""
    pose, color, depth = frame
    Image.open(io.BytesIO(color)).convert("RGB").save(out / f"{index:05d}.jpg")
    values = np.frombuffer(zlib.decompress(depth), dtype="<u2").reshape(size[1], size[0])
    Image.fromarray(values).save(out / f"{index:05d}.png")
    np.savetxt(out / f"{index:05d}.txt", np.array(struct.unpack("<16f", pose)).reshape(4, 4), fmt="%f")


def main() -> None:
    """Extract every ``STEP``-th frame."""
    mode, source, out, step = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    out.mkdir(parents=True)
    with open(source, "rb") as file:
        count, *size = read_header(file)
        if mode == "official":
            frames = read_all_frames(file, count)
            for index in range(0, count, step):
                write_frame(out, index, frames[index], (size[0], size[1]))
            return
        for index in range(count):
            header = file.read(96)
            color_size, depth_size = struct.unpack_from("<QQ", header, 80)
            if index % step:
                file.seek(color_size + depth_size, 1)
                continue
            color, depth = file.read(color_size), file.read(depth_size)
            write_frame(out, index, (header[:64], color, depth), (size[0], size[1]))


if __name__ == "__main__":
    main()
