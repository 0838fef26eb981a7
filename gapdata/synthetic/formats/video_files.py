"""Write the frames of a walk as a video."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.synthetic.formats.mkv_names import without_random_numbers

CODEC = "FFV1"
"""Lossless, so that a walk's images come back as they were; OpenCV does not write the HEVC of phones."""
TIMESCALE_AT, MEDIA_TIME_AT = 16, 16
"""Bytes from the names of "mdhd" and "elst" to these fields (ISO/IEC 14496-12, 8.4.2 and 8.6.6, version 0)."""


def write_video(path: Path, images: Iterable[NDArray[np.uint8]], rate: float, *, hide_first: bool = False) -> None:
    """Write a video.

    Args:
        path: an mp4 or mkv.
        images: (H, W, 3) uint8 RGB, all of one size.
        rate: frames a second.
        hide_first: let an edit list begin after the first frame, as phones do by mistake; of an mp4.
    """
    import cv2

    writer = None
    for image in images:
        if writer is None:
            size = image.shape[1], image.shape[0]
            writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*CODEC), rate, size)
        writer.write(np.ascontiguousarray(image[..., ::-1]))
    if writer is None:
        raise ValueError("a video needs a frame")
    writer.release()
    if path.suffix == ".mkv":
        path.write_bytes(without_random_numbers(path.read_bytes()))
    if hide_first:
        data = bytearray(path.read_bytes())
        (timescale,) = struct.unpack_from(">I", data, data.index(b"mdhd") + TIMESCALE_AT)
        struct.pack_into(">i", data, data.index(b"elst") + MEDIA_TIME_AT, round(timescale / rate))
        path.write_bytes(data)
