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
    count: int

    def image(self, index: int) -> Image:
        """Return an image, (H, W, 3) uint8 RGB.

        Raises:
            ValueError: it is damaged or missing.
        """
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


class VideoColors:
    """The frames of a video, which is opened when the first is asked for.

    A video without a list of its frames, such as an mkv, is decoded once to count them.

    Raises:
        ValueError: it is not a video.
        OSError: it cannot be read.
    """

    def __init__(self, place: Location) -> None:
        self._place = place
        header = read_video_header(place)
        self.size, self._longest_step = header.size, header.longest_step
        self._video: VideoFrames | None = None
        self.count = self._counted() if header.frames is None else header.frames

    def image(self, index: int) -> Image:
        """Return a frame, (H, W, 3) uint8 RGB."""
        return self._open().frame(index)

    def close(self) -> None:
        """Close the video if it is open."""
        if self._video is not None:
            self._video.close()
            self._video = None

    def _counted(self) -> int:
        try:
            return self._open().count_by_decoding()
        finally:
            self.close()

    def _open(self) -> VideoFrames:
        if self._video is None:
            video = VideoFrames(self._place, self._longest_step)
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
        self.count = len(names)
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

    def close(self) -> None:
        """Do nothing."""


class RowColors:
    """The colour images of a table's rows.

    Args:
        stored: the images.
        rows: how many rows there are.
        find_first: asked if there is one image less.

    Raises:
        ValueError: there is another number of images.
    """

    def __init__(self, stored: StoredColors, rows: int, find_first: FindFirst) -> None:
        self.stored = stored
        self._find_first = find_first
        if stored.count not in (rows, rows - 1):
            problem = f"has {counted(stored.count, 'frame')}, but the table has {counted(rows, 'row')}"
            raise ValueError(f"{problem}: give them as they were recorded")
        self.lacks_one = stored.count < rows

    def index(self, row: int) -> int:
        """Return which image belongs to a row.

        Raises:
            ValueError: the row has none, or images or depth by which they are numbered are damaged.
        """
        if row < self._first_row:
            raise ValueError("does not hold the image of the first row")
        return row - self._first_row

    @cached_property
    def _first_row(self) -> int:
        return self._find_first(self.stored.image) if self.lacks_one else 0
