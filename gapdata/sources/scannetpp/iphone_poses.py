"""The poses and cameras of ScanNet++'s iPhone frames, by the number of the video frame, from ARKit or from COLMAP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.frame_names import MAX_FRAME_ID
from gapdata.files.storage import Location
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens, pinhole_behind
from gapdata.sources.colmap import MAX_BYTES, ColmapCamera, find_model, parse_model
from gapdata.sources.scannetpp.frame_rows import FRAME, FrameRows

DAMAGED = 0.1
"""Share of the focal length by which a frame's camera may differ from the median of all."""
OFF_CENTRE = 0.2
"""Share of the image by which a principal point may be off its middle: beyond, the images have another size."""


class Hash(Protocol):
    """What ``hashlib`` returns."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IphonePoses:
    """Poses and cameras of N video frames."""

    listed: NDArray[np.bool_]  # (N,) which have a camera, and a row of a pose that may be unusable
    camera_to_world: NDArray[np.float64]  # (N, 4, 4) metres, the mesh's world; NaN where there is none
    matrices: NDArray[np.float64]  # (N, 3, 3) pixels of images of ``size``
    size: tuple[int, int]  # (width, height)
    lens: Lens | None
    notes: dict[str, int] = field(default_factory=dict)

    def camera(self, frame: int) -> Intrinsics:
        """Return the colour camera of a video frame."""
        return Intrinsics.from_matrix(self.matrices[frame], width=self.size[0], height=self.size[1])

    def typical(self) -> Intrinsics:
        """Return the median of all cameras."""
        matrix = np.median(self.matrices[self.listed], axis=0)
        return Intrinsics.from_matrix(matrix, width=self.size[0], height=self.size[1])


def from_rows(rows: FrameRows, size: tuple[int, int]) -> IphonePoses:
    """Return ARKit's poses in the mesh's world.

    Args:
        rows: of ``pose_intrinsic_imu.json``.
        size: (width, height) of colour.

    Raises:
        ValueError: the cameras are those of images of another size.
    """
    sound = rows.listed & np.isfinite(rows.matrices).all(axis=(1, 2))
    if not sound.any():
        raise ValueError("has no intrinsic that is a camera's")
    typical = np.median(rows.matrices[sound], axis=0)
    camera = Intrinsics.from_matrix(typical, width=size[0], height=size[1])
    away = max(abs((camera.cx + 0.5) / size[0] - 0.5), abs((camera.cy + 0.5) / size[1] - 0.5))
    if away > OFF_CENTRE:
        raise ValueError(
            f"has cameras of images of about {2 * camera.cx:.0f}x{2 * camera.cy:.0f}, but colour is {size[0]}x{size[1]}"
        )
    if not camera.plausible:
        raise ValueError(
            f"has a focal length of {camera.fx:g} pixels, which is not that of images of {size[0]}x{size[1]}"
        )
    # Focus moves K by less than a hundredth; what is far from the others is damaged.
    with np.errstate(invalid="ignore"):
        far = np.abs(rows.matrices - typical).max(axis=(1, 2)) > DAMAGED * camera.fx
    odd = sound & far
    return IphonePoses(
        listed=sound & ~far,
        camera_to_world=rows.camera_to_world,
        matrices=rows.matrices,
        size=size,
        lens=None,
        notes={"row_with_impossible_intrinsic": int(odd.sum())} if odd.any() else {},
    )


def from_colmap(folder: Location, size: tuple[int, int], texts: Hash) -> IphonePoses | None:
    """Return COLMAP's poses; ``None`` where the folder has no model.

    Args:
        folder: with ``cameras`` and ``images``.
        size: (width, height) of colour.
        texts: gets the content of the files.

    Raises:
        ValueError: a file is damaged, or images were taken through several lenses or have another shape than colour.
        OSError: a file cannot be read.
    """
    places = find_model(folder)
    if places is None:
        return None
    cameras, images = (read_text(place, texts, MAX_BYTES) for place in places)
    model = parse_model(cameras, images, binary=places[0].suffix == ".bin")
    # Names may begin with video/ or iphone/.
    named = [(FRAME.fullmatch(image.name.replace("\\", "/").rpartition("/")[2]), image) for image in model.images]
    frames = {int(name[1]): image for name, image in named if name is not None and int(name[1]) <= MAX_FRAME_ID}
    if not frames:
        raise ValueError("has no image such as frame_000120.jpg")
    used = {image.camera for image in frames.values()}
    lenses = {model.cameras[camera].lens for camera in used}
    if len(lenses) > 1:
        raise ValueError(f"has images of {len(lenses)} different lenses, expected one")
    count = 1 + max(frames)
    listed, poses = np.zeros(count, dtype=bool), np.full((count, 4, 4), np.nan)
    matrices = np.full((count, 3, 3), np.nan)
    by_id = {camera: _scaled(model.cameras[camera], size).matrix for camera in used}
    for frame, image in frames.items():
        listed[frame], poses[frame], matrices[frame] = True, image.camera_to_world, by_id[image.camera]
    found = IphonePoses(listed=listed, camera_to_world=poses, matrices=matrices, size=size, lens=lenses.pop())
    pinhole_in_place_of(found.lens, found.typical())
    return found


def pinhole_in_place_of(lens: Lens | None, camera: Intrinsics) -> Intrinsics:
    """Return the pinhole camera that shows what a camera saw through its lens.

    Raises:
        ValueError: the lens does not fit the images.
    """
    try:
        return pinhole_behind(lens, camera)
    except ValueError as error:
        raise ValueError(f"its cameras {error}") from error


def _scaled(camera: ColmapCamera, size: tuple[int, int]) -> Intrinsics:
    """Return a camera at the size of colour.

    Raises:
        ValueError: colour has another shape.
    """
    found = camera.intrinsics
    if abs(found.width * size[1] - found.height * size[0]) > max(size):
        raise ValueError(f"has cameras of images of {found.width}x{found.height}, but colour is {size[0]}x{size[1]}")
    return found.resized(*size)


def read_text(place: Location, texts: Hash, limit: int = MAX_BYTES) -> bytes:
    """Return the content of a file, which is also added to a digest.

    Raises:
        ValueError: it is too large for what it should be.
        OSError: it cannot be read.
    """
    if place.stat().st_size > limit:
        raise ValueError(f"is larger than {limit} bytes")
    data = place.read_bytes()
    texts.update(f"{place.name} {len(data)}\n".encode())
    texts.update(data)
    return data
