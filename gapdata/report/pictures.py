"""Small pictures of frames as ``data:`` addresses: the frame, its instance mask to lay over it, and its depth."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gapdata.prompts.marks import draw_marks
from gapdata.records.codec import encode_jpeg
from gapdata.records.schema import Record
from gapdata.show.scene.palette import depth_colors, object_color

MASK_OPACITY = 105
"""Of 255: colours tell objects apart and the frame still shows."""
JPEG_QUALITY = 82
SCALE_PERCENTILES = (1.0, 99.0)
"""Of valid depth: the ends of a depth picture's colours."""


def picture_size(record: Record, width: int) -> tuple[int, int]:
    """Return (width, height) of a frame's picture of ``width`` pixels, or of its own where that is less."""
    own, high = record.image_size
    return (width, round(width * high / own)) if width < own else (own, high)


def frame_picture(record: Record, frame: int, size: tuple[int, int]) -> str:
    """Draw a frame at ``size`` (width, height).

    Raises:
        ShardError: the image is missing or damaged.
    """
    return _jpeg(record.image(frame), size)


def depth_picture(record: Record, frame: int, size: tuple[int, int]) -> str:
    """Draw the depth of a frame as colours, near red, far blue, grey where it is missing.

    Raises:
        ShardError: the depth is missing or damaged.
    """
    depth = record.depth(frame)
    valid = depth[depth > 0]
    near, far = np.percentile(valid, SCALE_PERCENTILES) if len(valid) else (0.0, 1.0)
    return _jpeg(depth_colors(depth, float(near), float(far)), size)


def mask_picture(record: Record, frame: int, size: tuple[int, int]) -> str:
    """Draw the instances of a frame in their colours over nothing, as a PNG with transparency.

    Raises:
        ShardError: the mask is missing or damaged.
    """
    import cv2

    small = cv2.resize(record.instances(frame), size, interpolation=cv2.INTER_NEAREST)
    values, inverse = np.unique(small, return_inverse=True)
    colors = np.array([(*object_color(int(value) - 1)[::-1], MASK_OPACITY) for value in values], dtype=np.uint8)
    colors[values == 0] = 0
    return _png(colors[inverse.reshape(small.shape)])


def marked_picture(record: Record, frame: int, marks: Mapping[int, tuple[int, int]], size: tuple[int, int]) -> str:
    """Draw a frame at ``size`` (width, height) with marks, by their numbers, as a model sees them.

    Raises:
        ShardError: the image is missing or damaged.
    """
    image = record.image(frame)
    return _jpeg(draw_marks(image, marks) if marks else image, size)


def objects_picture(record: Record, frame: int, object_ids: Sequence[int], size: tuple[int, int]) -> str:
    """Draw the outlines of some instances of a frame over nothing, as a PNG with transparency.

    The colours are those of their positions in ``object_ids``, because ids that are far apart may look alike.

    Raises:
        ShardError: the mask is missing or damaged.
    """
    import cv2

    small = cv2.resize(record.instances(frame), size, interpolation=cv2.INTER_NEAREST)
    drawn = np.zeros((*small.shape, 4), dtype=np.uint8)
    for position, number in enumerate(object_ids):
        inside = (small == number + 1).astype(np.uint8)
        rim = inside - cv2.erode(inside, np.ones((5, 5), np.uint8), borderValue=0)
        drawn[rim > 0] = (*object_color(position)[::-1], 255)
    return _png(drawn)


def _png(image: NDArray[np.uint8]) -> str:
    import cv2

    _, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return f"data:image/png;base64,{base64.b64encode(data.tobytes()).decode()}"


def _jpeg(image: NDArray[np.uint8], size: tuple[int, int]) -> str:
    import cv2

    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(small, JPEG_QUALITY)).decode()}"
