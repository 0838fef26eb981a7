"""Decode the frames of a video (mp4, mov or mkv) in order, from a disk or a store.

Frames are counted as they are coded. A phone's mp4 often starts before its own time zero, and players then hide the
first frame by an edit list, which would shift all frames against the poses; so edit lists are ignored, and so are tags
that turn the picture. A seek costs as much as decoding twenty frames, therefore frames are decoded one after the other:
going back starts at the beginning. OpenCV's FFmpeg decodes H.264, HEVC, VP9, MPEG-4 and FFV1, but not AV1.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gapdata.files.object_store import ObjectPath
from gapdata.files.ranged_stream import RangedStream
from gapdata.files.storage import Location, RangedFile, open_ranged
from gapdata.runtime.cores import available_cores

OPTIONS_VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
OPTIONS = "ignore_editlist;1|format_whitelist;mov,matroska"
"""FFmpeg opens no other format, such as playlists, which name further files."""
LOG_VARIABLE, SILENT = "OPENCV_FFMPEG_LOGLEVEL", "-8"  # AV_LOG_QUIET of libavutil/log.h
MATROSKA = b"\x1a\x45\xdf\xa3"  # the first element of an EBML file (RFC 8794)
ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""Types of the first atom of an mp4 or mov (QuickTime File Format, "Atoms")."""
MAX_PIXELS = 1 << 26
"""Pixels of the largest frame that is decoded, twice those of 8K."""
MAX_THREADS = 4
"""Each further thread of a decoder holds another frame in memory."""
STREAM_BLOCK = 1 << 20
"""Bytes of one request to a store."""
OLD_OPENCV = "one before 4.11 reads videos from disks only"
HOLE = 0.5
"""Seconds between two frames from which on frames are missing: FFmpeg goes on behind damaged bytes without a word, and
all later frames would have wrong numbers. Phones leave out two or three frames, unless they are interrupted."""
HOLE_STEPS = 10  # the same for slow videos, in usual steps
STEP_ROOM = 1.5
_environment = threading.Lock()


class VideoFrames:
    """The frames of a video that is open for reading, until its ``with`` block ends.

    Args:
        place: the file.
        longest_step: seconds between two frames that are one after the other, where the header tells.

    Attributes:
        place: the file.
        size: (width, height) of its frames as they are coded.

    Raises:
        ValueError: it is not a video that can be decoded; the message says why, without the place.
        OSError: it is missing or may not be read.
        StoreError: the store fails.
    """

    def __init__(self, place: Location, longest_step: float = 0.0) -> None:
        self.place = place
        self._longest_step = max(HOLE, STEP_ROOM * longest_step)
        self._file = open_ranged(place)
        self._capture: Any = None
        self._stream: _Stream | None = None
        self._position = -1  # the frame that was decoded last
        self._seconds = 0.0  # its time
        self._hole: str | None = None  # what is wrong with this frame and all later ones
        self._ended = False
        try:
            _check_kind(self._file)
            self._open()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._capture = None  # release() of a capture from a stream crashes OpenCV 5.0, and dropping it does not
        self._file.close()

    @property
    def stated_count(self) -> int:
        """Return how many frames the file's header states; in an mkv it is made up from the duration.

        :meth:`count_by_decoding` tells how many there are.
        """
        import cv2

        return max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    @property
    def rate(self) -> float:
        """Return the frames of a second, as the header states them; 0 where it does not."""
        import cv2

        return float(self._capture.get(cv2.CAP_PROP_FPS))

    @property
    def seconds(self) -> float:
        """Return the time of the frame that was decoded last."""
        return self._seconds

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return a frame, (H, W, 3) uint8 RGB.

        Args:
            index: which of the coded frames, from 0. Ascending ones are fast; one before the last asked starts anew.

        Raises:
            ValueError: the video ends before, has a hole before, or the frame cannot be decoded.
            StoreError: the store fails.
        """
        import cv2

        if index < self._position or (index == self._position and self._ended):
            self._open()  # at the end, the last frame is gone, too
        while self._position < index:
            if not self._advance():
                raise ValueError(self._why_it_ends())
        if self._hole is not None:
            raise ValueError(self._hole)
        read, image = self._capture.retrieve()
        if not read or image is None or image.shape != (self.size[1], self.size[0], 3) or image.dtype != np.uint8:
            raise ValueError(f"has a frame that cannot be decoded or is not {self.size[0]}x{self.size[1]}")
        frame: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
        return frame

    def count_by_decoding(self) -> int:
        """Return how many frames can be decoded; it takes as long as reading them all.

        Raises:
            ValueError: it has a hole.
            StoreError: the store fails.
        """
        while self._advance():
            pass
        return self._position + 1

    def _open(self) -> None:
        """Start before the first frame."""
        import cv2

        self._capture = None
        threads = max(1, min(cv2.getNumThreads(), available_cores(), MAX_THREADS))
        settings = [cv2.CAP_PROP_N_THREADS, threads, cv2.CAP_PROP_HW_ACCELERATION, cv2.VIDEO_ACCELERATION_NONE]
        if isinstance(self.place, ObjectPath):
            self._stream = _Stream(self._file)
            source: Any = io.BufferedReader(self._stream, STREAM_BLOCK)
        else:
            source = os.path.abspath(self.place)
        with _capture_options(OPTIONS):
            try:
                self._capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, settings)
            except cv2.error as error:
                raise ValueError(f"cannot be opened by OpenCV {cv2.__version__}: {OLD_OPENCV}") from error
        self._position, self._seconds, self._hole, self._ended = -1, 0.0, None, False
        self._raise_failure()
        if not self._capture.isOpened():
            raise ValueError("is cut off or damaged, or holds no video track: its header cannot be read")
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        width, height = (int(self._capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width < 1 or height < 1 or width * height > MAX_PIXELS:
            raise ValueError(f"states frames of {width}x{height} pixels, more than {MAX_PIXELS} or none")
        self.size = width, height

    def _advance(self) -> bool:
        """Decode the next frame, and return whether there is one.

        Raises:
            ValueError: frames are missing before it.
        """
        import cv2

        if self._hole is not None:
            raise ValueError(self._hole)
        before = self._seconds
        found = bool(self._capture.grab())
        self._raise_failure()
        if not found:
            self._ended = True
            return False
        self._position += 1
        self._seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        hole = self._seconds - before
        if self._position and hole > max(
            self._longest_step, HOLE_STEPS / max(self._capture.get(cv2.CAP_PROP_FPS), 1e-3)
        ):
            self._hole = f"is damaged: {hole:.1f} s are missing after its first {self._position} frames"
            raise ValueError(self._hole)
        return True

    def _raise_failure(self) -> None:
        if self._stream is not None and self._stream.failure is not None:
            raise self._stream.failure

    def _why_it_ends(self) -> str:
        count, stated = self._position + 1, self.stated_count
        if count == 0:
            return "has no frame that can be decoded: it is cut off, or coded in a way that OpenCV lacks, such as AV1"
        if count < stated:
            return f"ends after {count} frames of the {stated} that its header states: it is cut off or damaged"
        return f"ends after {count} frames"


class _Stream(RangedStream):
    """A stream that ends where its file fails and keeps the failure: OpenCV crashes on an exception."""

    failure: Exception | None = None

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on, and return the number of bytes; 0 at the end and after a failure."""
        try:
            return super().readinto(buffer) if self.failure is None else 0
        except Exception as error:  # noqa: BLE001 raised by the reader of the frame
            self.failure = error
            return 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, and return it; a position before the beginning is the beginning."""
        try:
            return super().seek(offset, whence)
        except OSError:
            return super().seek(0)


def _check_kind(file: RangedFile) -> None:
    """Refuse what is not an mp4, mov or mkv.

    Raises:
        ValueError: it is something else.
    """
    start = file.read_at(0, 8)
    if not start:
        raise ValueError("is empty, expected a video")
    if not start.startswith(MATROSKA) and start[4:8] not in ATOMS:
        raise ValueError("is not an mp4, mov or mkv video")


@contextmanager
def _capture_options(options: str) -> Iterator[None]:
    """Set what OpenCV tells FFmpeg when it opens a file: it reads a variable of the process.

    FFmpeg's and OpenCV's own lines about damaged files are silenced, because errors say the same with their place.
    """
    import cv2

    with _environment:
        os.environ.setdefault(LOG_VARIABLE, SILENT)  # read once, when FFmpeg is used first
        before, level = os.environ.get(OPTIONS_VARIABLE), cv2.utils.logging.getLogLevel()
        os.environ[OPTIONS_VARIABLE] = options
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            yield
        finally:
            cv2.utils.logging.setLogLevel(level)
            if before is None:
                del os.environ[OPTIONS_VARIABLE]
            else:
                os.environ[OPTIONS_VARIABLE] = before
