"""Frames of a benchmark's video: evenly spaced from the first to the last one, each with its time in the video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import UsageError
from gapdata.files.video import VideoFrames


@dataclass(frozen=True, slots=True, eq=False)
class TimedFrames:
    """Some frames of a video."""

    images: list[NDArray[np.uint8]]  # (H, W, 3) RGB each
    seconds: list[float]  # since the video's beginning


def sample_video(path: Path, count: int, start: float | None = None, end: float | None = None) -> TimedFrames:
    """Return ``count`` frames of a video, or all where it has fewer.

    Which ones is decided as lmms-eval's own task does for VSI-Bench: ``numpy.linspace`` over the numbers of the
    frames, cut to whole numbers.

    Args:
        path: an mp4, mov, mkv or webm.
        count: most frames.
        start: seconds at which the part that is shown begins; ``None`` for the video's own beginning.
        end: seconds at which it ends.

    Raises:
        UsageError: it is missing or cannot be decoded.
    """
    try:
        with VideoFrames(path) as video:
            stated = video.stated_count
            try:
                return _sampled(video, _numbers(video, stated, count, start, end))
            except ValueError:
                # The header states more frames than there are: those that can be decoded are the video.
                there = video.count_by_decoding()
                if not 0 < there < stated:
                    raise
                return _sampled(video, _numbers(video, there, count, start, end))
    except (ValueError, OSError) as error:
        problem = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(problem, path=path, cure="see that the task's videos were downloaded whole") from error


def evenly_spaced(total: int, count: int) -> list[int]:
    """Return ``count`` numbers from 0 to ``total`` - 1, or all of them where there are fewer."""
    return [int(number) for number in np.linspace(0, total - 1, min(count, total), dtype=int)]


def _numbers(video: VideoFrames, total: int, count: int, start: float | None, end: float | None) -> list[int]:
    if total < 1:
        raise ValueError("states no frame in its header")
    first = min(int((start or 0) * video.rate), total - 1)
    last = total - 1 if end is None or not video.rate else max(first, min(int(end * video.rate), total - 1))
    return [first + number for number in evenly_spaced(last - first + 1, count)]


def _sampled(video: VideoFrames, numbers: list[int]) -> TimedFrames:
    images, seconds = [], []
    for number in numbers:
        images.append(video.frame(number))
        seconds.append(video.seconds)
    return TimedFrames(images, seconds)
