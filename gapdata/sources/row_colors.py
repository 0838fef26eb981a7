"""Find the colour image that belongs to a row of a capture's table, in a video or among files extracted from it.

The k-th row belongs to the k-th image. There may be one image less, because the video's writer dropped the first or the
last one, or a player's edit list hid it while images were extracted; which, is not written anywhere, and
:mod:`gapdata.sources.video_numbering` finds out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gapdata.files.members import Members
from gapdata.files.storage import Location
from gapdata.files.video import VideoFrames
from gapdata.files.video_header import read_video_header
from gapdata.runtime.counting import counted
from gapdata.sources.color_files import color_size, decode_color_file
from gapdata.sources.extracted import MAX_IMAGE_BYTES

Image = NDArray[np.uint8]
FindFirst = Callable[[Callable[[int], Image]], int]
"""Tells of images, of which one is missing, to which row the first belongs, 0 or 1."""


class StoredColors(Protocol):
    """Colour images in their order."""

    size: tuple[int, int]  # (width, height)
    stated: int | None  # how many there are; None where only decoding tells

    def image(self, index: int) -> Image:
        """Return an image, (H, W, 3) uint8 RGB.

        Raises:
            ValueError: it is damaged or missing.
        """
        ...

    def count(self) -> int:
        """Return how many there are, by decoding them."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


class VideoColors:
    """The frames of a video, which is opened when the first is asked for.

    Raises:
        ValueError: it is not a video.
        OSError: it cannot be read.
    """

    def __init__(self, place: Location) -> None:
        self._place = place
        header = read_video_header(place)
        self.size, self.stated = header.size, header.frames
        self._video: VideoFrames | None = None

    def image(self, index: int) -> Image:
        """Return a frame, (H, W, 3) uint8 RGB."""
        return self._open().frame(index)

    def count(self) -> int:
        """Return how many frames can be decoded."""
        return self._open().count_by_decoding()

    def close(self) -> None:
        """Close the video if it is open."""
        if self._video is not None:
            self._video.close()
            self._video = None

    def _open(self) -> VideoFrames:
        if self._video is None:
            video = VideoFrames(self._place)
            if video.size != self.size:
                video.close()
                stated = f"{self.size[0]}x{self.size[1]}"
                raise ValueError(f"has frames of {video.size[0]}x{video.size[1]}, but its header states {stated}")
            self._video = video
        return self._video


class FileColors:
    """Image files.

    Args:
        members: where they are read.
        names: in their order.
    """

    def __init__(self, members: Members, names: Sequence[str]) -> None:
        self._members, self.names = members, names
        self.stated: int | None = len(names)
        if not names:
            raise ValueError("holds no images")
        self.size = color_size(self.bytes_of(0))

    def bytes_of(self, index: int) -> bytes:
        """Return the bytes of a file."""
        if index >= len(self.names):
            raise ValueError(f"holds {counted(len(self.names), 'image')} only")
        return self._members.read(self.names[index], MAX_IMAGE_BYTES)

    def image(self, index: int) -> Image:
        """Return an image, (H, W, 3) uint8 RGB."""
        data = self.bytes_of(index)
        found = color_size(data)
        if found != self.size:
            sizes = f"{found[0]}x{found[1]}, but the first is {self.size[0]}x{self.size[1]}"
            raise ValueError(f"has {self.names[index]} of {sizes}")
        image = decode_color_file(data)
        if image is None:
            raise ValueError(f"has {self.names[index]}, which cannot be decoded")
        return image

    def count(self) -> int:
        """Return how many files there are."""
        return len(self.names)

    def close(self) -> None:
        """Do nothing."""


class RowColors:
    """The colour images of a table's rows.

    Args:
        stored: the images.
        rows: how many rows there are.
        find_first: asked if there is one image less.

    Raises:
        ValueError: another number of images is stated.
    """

    def __init__(self, stored: StoredColors, rows: int, find_first: FindFirst) -> None:
        self.stored = stored
        self._rows, self._find_first = rows, find_first
        self.lacks_one = stored.stated is not None and self._lacking(stored.stated) == 1

    def index(self, row: int) -> int:
        """Return which image belongs to a row.

        Raises:
            ValueError: the row has none, or there are not as many images as rows.
        """
        if row < self._first_row:
            raise ValueError("does not hold the image of the first row")
        return row - self._first_row

    @cached_property
    def _first_row(self) -> int:
        count = self.stored.count() if self.stored.stated is None else self.stored.stated
        return self._find_first(self.stored.image) if self._lacking(count) else 0

    def _lacking(self, images: int) -> int:
        if images not in (self._rows, self._rows - 1):
            problem = f"has {counted(images, 'frame')}, but the table has {counted(self._rows, 'row')}"
            raise ValueError(f"{problem}: give them as they were recorded")
        return self._rows - images
