"""Read the images of ScanNet++'s iPhone stream by the number of the video frame: from videos, or from extracted files.

Colour is ``rgb.mkv`` (``rgb.mp4`` in the first release), or ``rgb/frame_000123.jpg`` as the toolkit extracts it; the
mask of anonymised pixels ``rgb_mask.mkv`` or ``rgb_masks/frame_000123.png``; depth ``depth.bin`` or
``depth/frame_000123.png``. A folder need not have all frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.frame_names import MAX_FRAME_ID
from gapdata.files.folders import file_names
from gapdata.files.object_store import ObjectPath
from gapdata.files.storage import Location, file_in
from gapdata.files.video import VideoFrames
from gapdata.sources.color_files import color_size, decode_color_file
from gapdata.sources.depth_files import decode_depth
from gapdata.sources.images import reduce_image
from gapdata.sources.scannetpp.depth_bin import HEIGHT, WIDTH, open_depth
from gapdata.sources.scannetpp.frame_rows import FRAME

COLOR_VIDEOS, COLOR_FOLDER = ("rgb.mkv", "rgb.mp4"), "rgb"
MASK_VIDEOS, MASK_FOLDER = ("rgb_mask.mkv", "rgb_mask.mp4"), "rgb_masks"
DEPTH_FILE, DEPTH_FOLDER = "depth.bin", "depth"
COLOR_ENDINGS, PNG = (".jpg", ".jpeg", ".png"), (".png",)
KEPT_LEVEL = 250
"""Grey levels of a mask from which on a pixel is kept: 255 is kept and 0 is not, but video coding rounds."""
KEPT, DROPPED = np.uint8(255), np.uint8(0)


class ColorVideo:
    """Colour frames of a video.

    Attributes:
        size: (width, height).
        count: one more than the largest number of a frame; ``None`` where only decoding all of it would tell.
        in_order: whether going back means a new start.

    Raises:
        ValueError: it is not a video that can be decoded.
        OSError: it is missing or may not be read.
    """

    count: int | None = None
    in_order = True

    def __init__(self, place: Location) -> None:
        self.place = place
        self._video = VideoFrames(place)
        self.size = self._video.size

    def among(self, count: int) -> NDArray[np.bool_]:
        """Return which of the first frames there may be, (count,): all, because the video's end is not known."""
        return np.ones(count, dtype=bool)

    def image(self, frame: int, reduction: int) -> NDArray[np.uint8]:
        """Return a frame, (H, W, 3) uint8 RGB, its sides divided by ``reduction``.

        Raises:
            ValueError: the video ends before, or the frame is damaged.
        """
        return reduce_image(self._video.frame(frame), reduction)

    def close(self) -> None:
        """Close the video."""
        self._video.close()


class ImageFolder:
    """The files of a folder with names such as ``frame_000123.jpg``, from one listing.

    Raises:
        OSError: it cannot be listed.
        StoreError: the store fails.
    """

    in_order = False

    def __init__(self, place: Location, endings: Sequence[str]) -> None:
        self.place = place
        names = listed_names(place)
        matched = ((FRAME.fullmatch(name), name) for name in names if name.lower().endswith(tuple(endings)))
        self.names: Mapping[int, str] = {
            int(found[1]): name for found, name in matched if found is not None and int(found[1]) <= MAX_FRAME_ID
        }
        self.count: int | None = 1 + max(self.names, default=-1)

    def among(self, count: int) -> NDArray[np.bool_]:
        """Return which of the first frames there are, (count,)."""
        return np.isin(np.arange(count), list(self.names))

    def data(self, frame: int) -> bytes:
        """Return the content of a frame's file.

        Raises:
            ValueError: there is none.
            OSError: it cannot be read.
        """
        if frame not in self.names:
            raise ValueError(f"has no image of video frame {frame}")
        return (self.place / self.names[frame]).read_bytes()

    def close(self) -> None:
        """Do nothing: no file stays open."""


class ColorFolder(ImageFolder):
    """Extracted colour frames.

    Raises:
        ValueError: it holds none, or the first one's size cannot be read.
        OSError: it cannot be listed or read.
    """

    def __init__(self, place: Location) -> None:
        super().__init__(place, COLOR_ENDINGS)
        if not self.names:
            raise ValueError("holds no image such as frame_000000.jpg")
        self.size = color_size(self.data(min(self.names)))

    def image(self, frame: int, reduction: int) -> NDArray[np.uint8]:
        """Return a frame, (H, W, 3) uint8 RGB, its sides divided by ``reduction``.

        Raises:
            ValueError: it is damaged or has another size.
            OSError: it cannot be read.
        """
        data = self.data(frame)
        if color_size(data) != self.size:
            found = "x".join(map(str, color_size(data)))
            raise ValueError(f"{self.names[frame]} is {found}, but the first frame is {self.size[0]}x{self.size[1]}")
        image = decode_color_file(data, reduction)
        if image is None:
            raise ValueError(f"{self.names[frame]} cannot be decoded")
        return image


class Masks:
    """Which colour pixels show the scene; the last one is kept, because depth and objects both ask for it.

    Args:
        place: a video, or a folder of PNG files.
        size: (width, height) of colour.
    """

    def __init__(self, place: Location, size: tuple[int, int]) -> None:
        self.place, self._size = place, size
        self._folder = ImageFolder(place, PNG) if place.suffix == "" else None
        self._video: VideoFrames | None = None  # opened when it is first asked for
        self._last: tuple[int, NDArray[np.uint8]] | None = None

    def image(self, frame: int) -> NDArray[np.uint8]:
        """Return a frame's mask, (H, W) uint8: 255 kept, 0 not.

        Raises:
            ValueError: it is missing, damaged or has another size.
            OSError: it cannot be read.
        """
        if self._last is None or self._last[0] != frame:
            grey = self._grey(frame)
            if grey.shape != (self._size[1], self._size[0]):
                raise ValueError(f"is {grey.shape[1]}x{grey.shape[0]}, but colour is {self._size[0]}x{self._size[1]}")
            self._last = frame, np.where(grey >= KEPT_LEVEL, KEPT, DROPPED)
        return self._last[1]

    def _grey(self, frame: int) -> NDArray[np.uint8]:
        if self._folder is not None:
            image = decode_color_file(self._folder.data(frame))
            if image is None:
                raise ValueError(f"{self._folder.names[frame]} cannot be decoded")
            return image[..., 0]
        if self._video is None:
            self._video = VideoFrames(self.place)
        return self._video.frame(frame)[..., 0]

    def close(self) -> None:
        """Close the video."""
        if self._video is not None:
            self._video.close()


class DepthFolder(ImageFolder):
    """Extracted depth images, 16-bit PNG of millimetres.

    Raises:
        OSError: it cannot be listed.
    """

    encoding = "png"
    cut_off = False

    def __init__(self, place: Location) -> None:
        super().__init__(place, PNG)

    def image(self, index: int) -> NDArray[np.uint16]:
        """Return an image, (192, 256) uint16 millimetres.

        Raises:
            ValueError: it is missing or damaged.
            OSError: it cannot be read.
        """
        return decode_depth(self.data(index), (WIDTH, HEIGHT))


class DepthBin:
    """The images of ``depth.bin``; see :func:`gapdata.sources.scannetpp.depth_bin.open_depth`."""

    def __init__(self, place: Location) -> None:
        self.place = place
        self._file = open_depth(place)
        self.count: int | None = self._file.count
        self.cut_off = self._file.cut_off
        self.encoding: str = self._file.encoding
        self.in_order = self.encoding == "stream"
        self.image: Callable[[int], NDArray[np.uint16]] = self._file.image

    def among(self, count: int) -> NDArray[np.bool_]:
        """Return which of the first images there may be, (count,): those before the end, where it is known."""
        return np.arange(count) < (count if self.count is None else self.count)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def listed_names(folder: Location) -> list[str]:
    """Return the names of the files of a folder.

    Raises:
        OSError: it cannot be listed.
        StoreError: the store fails.
    """
    return [path.name for path in folder.iterdir()] if isinstance(folder, ObjectPath) else file_names(folder)


def find_images(folder: Location, files: Sequence[str], extracted: str) -> Location | None:
    """Return the first of some files that is there, or else the folder of extracted images, or else ``None``."""
    for name in files:
        place = file_in(folder, name)
        if place.is_file():
            return place
    place = file_in(folder, extracted)
    return place if place.is_dir() else None
