"""Small pictures of frames as ``data:`` addresses: the frame, its instance mask to lay over it, and its depth."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.records.codec import encode_jpeg, member_name
from gapdata.records.schema import Prompt, Record
from gapdata.show.scene.palette import depth_colors, object_color

MASK_OPACITY = 105
"""Of 255: colours tell objects apart and the frame still shows."""
JPEG_QUALITY = 82
SCALE_PERCENTILES = (1.0, 99.0)
"""Of valid depth: the ends of a depth picture's colours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePicture:
    """One frame of the gallery. Addresses are ``data:`` URIs."""

    frame: int  # position within the view
    size: tuple[int, int]  # width, height of the picture
    image: str
    mask: str | None
    depth: str
    prompts: tuple[Prompt, ...]


def frame_members(frame: int) -> tuple[str, ...]:
    """The members that :func:`frame_picture` reads."""
    return tuple(member_name(frame, suffix) for suffix in ("jpg", "depth.png", "instance.png"))


def frame_picture(record: Record, frame: int, width: int) -> FramePicture:
    """A frame with its mask and depth at ``width`` pixels (or its own, if that is less).

    Raises:
        ShardError: a member is missing or damaged.
    """
    image, depth = record.image(frame), record.depth(frame)
    height = round(width * image.shape[0] / image.shape[1])
    size = (width, height) if width < image.shape[1] else (image.shape[1], image.shape[0])
    annotated = member_name(frame, "instance.png") in record.members
    return FramePicture(
        frame=frame,
        size=size,
        image=_jpeg(image, size),
        mask=_mask(record.instances(frame), size) if annotated else None,
        depth=_jpeg(_tinted(depth), size),
        prompts=tuple(prompt for prompt in record.prompts if prompt.frame == frame),
    )


def thumbnail(record: Record, frame: int, width: int) -> str:
    """The frame alone."""
    image = record.image(frame)
    return _jpeg(image, (width, round(width * image.shape[0] / image.shape[1])))


def depth_thumbnail(record: Record, frame: int, width: int) -> str:
    """The frame's depth as colours, near red, far blue, none grey."""
    tinted = _tinted(record.depth(frame))
    return _jpeg(tinted, (width, round(width * tinted.shape[0] / tinted.shape[1])))


def _tinted(depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    valid = depth[depth > 0]
    near, far = np.percentile(valid, SCALE_PERCENTILES) if len(valid) else (0.0, 1.0)
    return depth_colors(depth, float(near), float(far))


def _jpeg(image: NDArray[np.uint8], size: tuple[int, int]) -> str:
    import cv2

    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return _address("image/jpeg", encode_jpeg(small, JPEG_QUALITY))


def _mask(instances: NDArray[np.uint16], size: tuple[int, int]) -> str:
    """Instances in their colours over nothing, as a PNG with transparency."""
    import cv2

    small = cv2.resize(instances, size, interpolation=cv2.INTER_NEAREST)
    values, inverse = np.unique(small, return_inverse=True)
    colors = np.array([(*object_color(int(value) - 1)[::-1], MASK_OPACITY) for value in values], dtype=np.uint8)
    colors[values == 0] = 0
    _, data = cv2.imencode(".png", colors[inverse.reshape(small.shape)], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return _address("image/png", data.tobytes())


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
