"""Read the cameras of frames: ``<id>_<t>.pincam`` has one line ``width height fx fy cx cy``, pixels of that size.

The focal length changes with focus, so that every frame has its own file. A camera of another size of the same image
(``lowres_wide``'s for ``vga_wide``) is scaled as images are resized, pixel centres at whole numbers; nobody states
whether Apple's principal points count from the centre or the corner of the first pixel, half a pixel of difference.
"""

from __future__ import annotations

from collections.abc import Sequence

from gapdata.files.numbers import parse_numbers
from gapdata.geometry.camera import Intrinsics
from gapdata.runtime.counting import counted

LINE = "width height fx fy cx cy"
MAX_BYTES = 1 << 16
SAME_SHAPE = 0.01
"""Share by which the ratios of the sides of two sizes of an image may differ."""


def parse_pincam(data: bytes) -> Intrinsics:
    """Read the camera of one frame.

    Raises:
        ValueError: it does not hold six numbers, or they cannot be a camera's.
    """
    try:
        values = [float(word) for word in data.split()]
    except ValueError:
        values = parse_numbers(data).tolist()
    if len(values) != 6:
        raise ValueError(f"has {counted(len(values), 'number')}, expected {LINE}")
    width, height, fx, fy, cx, cy = values
    whole = all(0 < side < 1e5 and side == int(side) for side in (width, height))
    camera = Intrinsics(
        fx=fx, fy=fy, cx=cx, cy=cy, width=int(width) if whole else 1, height=int(height) if whole else 1
    )
    if not whole or not camera.plausible:
        raise ValueError(f"is not a camera {LINE}: {' '.join(f'{value:g}' for value in values)}")
    return camera


def of_size(camera: Intrinsics, size: tuple[int, int]) -> Intrinsics:
    """Return the camera of another size of the same image.

    Args:
        camera: as it is stored.
        size: (width, height) of the image.

    Raises:
        ValueError: the image has another shape, so that it is not the same image.
    """
    width, height = size
    if (camera.width, camera.height) == size:
        return camera
    if abs(camera.width * height / (camera.height * width) - 1) > SAME_SHAPE:
        raise ValueError(
            f"is the camera of an image of {camera.width}x{camera.height}, but the image is {width}x{height}"
        )
    return camera.resized(width, height)


def typical(cameras: Sequence[Intrinsics]) -> Intrinsics:
    """Return the camera with the median of each parameter; all are of one size."""
    middle = len(cameras) // 2
    fx, fy, cx, cy = (sorted(getattr(camera, name) for camera in cameras)[middle] for name in ("fx", "fy", "cx", "cy"))
    return Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=cameras[0].width, height=cameras[0].height)
