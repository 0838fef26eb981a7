"""A benchmark's chat messages as turns, images and times, for :meth:`gapmodel.processing.GapProcessor.encode_turns`.

Messages are lmms-eval's (``lmms_eval.protocol``): each has a role and a list of contents, which are texts, images
(Pillow's, or the paths of files) and videos (paths, or lists of images). A video becomes its frames, one image each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import UsageError
from gapmodel.harness.video_frames import evenly_spaced, sample_video
from gapmodel.processing import Turn
from gapmodel.questions.chat_turns import read_turn

IMAGE_FILES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a video is shown.

    Attributes:
        frames: most frames of a video; images are shown all, however many a task gives.
        seconds_per_frame: time between the stamps of two images; ``None`` stamps the frames of a video with their
            times, and images as the model was trained.
    """

    frames: int = 32
    seconds_per_frame: float | None = None


@dataclass(slots=True, kw_only=True)
class Dialogue:
    """What a model is shown."""

    turns: list[Turn] = field(default_factory=list)
    images: list[NDArray[np.uint8]] = field(default_factory=list)  # (H, W, 3) RGB each, of any sizes
    times: list[float | None] = field(default_factory=list)  # of each image; None where it is not of a video

    def seconds(self, sampling: Sampling, trained: float) -> list[float] | None:
        """Return the time stamps of the images; ``None`` leaves them to the processor.

        Args:
            sampling: how they are stamped.
            trained: seconds between two images as the model was trained.
        """
        step = sampling.seconds_per_frame
        if step is not None:
            return [index * step for index in range(len(self.images))]
        if all(time is None for time in self.times):
            return None
        return [index * trained if time is None else time for index, time in enumerate(self.times)]


def read_messages(messages: Sequence[Mapping[str, Any]], sampling: Sampling) -> Dialogue:
    """Return messages as a conversation, videos as frames.

    Raises:
        UsageError: a message has another role or kind of content, or an image or a video cannot be read.
    """
    found = Dialogue()

    def show(part: Mapping[str, Any]) -> int:
        images, times = _pictures(part, sampling)
        found.images += images
        found.times += times
        return len(images)

    found.turns = [read_turn(message, show) for message in messages]
    return found


def user_message(visuals: Sequence[Any], text: str) -> dict[str, Any]:
    """Return what a task without messages shows and asks as one: first what is seen, then the text."""
    content: list[dict[str, Any]] = [{"type": _kind(visual), "url": visual} for visual in visuals]
    return {"role": "user", "content": [*content, {"type": "text", "text": text}]}


def _kind(visual: Any) -> str:
    if isinstance(visual, Mapping):
        return str(visual.get("type", "video"))
    if isinstance(visual, (str, Path)):
        return "image" if Path(visual).suffix.lower() in IMAGE_FILES else "video"
    return "video" if isinstance(visual, (list, tuple)) else "image"


def _pictures(item: Mapping[str, Any], sampling: Sampling) -> tuple[list[NDArray[np.uint8]], list[float | None]]:
    kind, source = item["type"], item.get("url")
    if kind == "image":
        return [_image(source)], [None]
    if kind != "video":
        raise UsageError(f"the document has content of type {kind!r}", cure="this model reads texts, images and videos")
    start, end = item.get("start_time"), item.get("end_time")
    if isinstance(source, Mapping):
        start, end = source.get("video_start", start), source.get("video_end", end)
        source = source.get("url") or source.get("path") or source.get("video")
    if isinstance(source, (str, Path)):
        video = sample_video(Path(str(source).removeprefix("file://")), sampling.frames, start, end)
        return video.images, list(video.seconds)
    if isinstance(source, (list, tuple)):
        chosen = [source[number] for number in evenly_spaced(len(source), sampling.frames)] if source else []
        return [_image(image) for image in chosen], [None] * len(chosen)
    raise UsageError(f"a video is given as {type(source).__name__}", cure="give its path or a list of images")


def _image(source: Any) -> NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    if isinstance(source, np.ndarray) and source.dtype == np.uint8 and source.ndim == 3 and source.shape[2] == 3:
        return source
    if isinstance(source, Image.Image):
        return np.asarray(source.convert("RGB"))
    if not isinstance(source, (str, Path)):
        raise UsageError(f"an image is given as {type(source).__name__}", cure="give it as Pillow's, or its path")
    path = Path(str(source).removeprefix("file://"))
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        problem = error.strerror if isinstance(error, OSError) and error.strerror else "is not an image"
        raise UsageError(problem, path=path, cure="see that the task's images were downloaded whole") from error
