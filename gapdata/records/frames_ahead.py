"""Keep the frames of a video that are passed on the way to another, so that the video is decoded once.

Clips ask for frames in the order of time, but a view of the whole scan asks for frames from its beginning again. Frames
that a later view needs are therefore made as they pass, and kept until the last view that needs them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from gapdata.errors import SourceError

Frame = TypeVar("Frame")


class FramesAhead(Generic[Frame]):
    """The frames that views are going to ask for; those that were made early are kept.

    Args:
        make: makes a frame; it may raise :class:`gapdata.errors.SourceError`, which is kept as well.
    """

    def __init__(self, make: Callable[[int], Frame]) -> None:
        self._make = make
        self._uses: Counter[int] = Counter()
        self._waiting: list[int] = []  # not made yet, descending
        self._kept: dict[int, Frame | SourceError] = {}

    def expect(self, views: Iterable[Sequence[int]]) -> None:
        """Say which frames views are going to ask for, each view once."""
        for frames in views:
            self._uses.update(frames)
        self._waiting = sorted(self._uses.keys() - self._kept.keys(), reverse=True)

    def reach(self, frame: int) -> None:
        """Make all expected frames up to this one, so that nothing behind it is left to go back for."""
        while self._waiting and self._waiting[-1] <= frame:
            self._keep(self._waiting.pop())

    def kept(self, frame: int) -> Frame | None:
        """Return a frame if it was made early, without counting this as a use.

        Raises:
            SourceError: it was found damaged.
        """
        found = self._kept.get(frame)
        if isinstance(found, SourceError):
            raise found
        return found

    def take(self, frame: int) -> Frame:
        """Return a frame; expected ones before it are made first.

        Raises:
            SourceError: the frame is damaged.
        """
        self.reach(frame)
        found = self.kept(frame)
        if found is None:
            found = self._make(frame)
        self.used(frame)
        return found

    def used(self, frame: int) -> None:
        """Count a use of a frame, and let go of it after the last."""
        self._uses[frame] -= 1
        if self._uses[frame] <= 0:
            self._kept.pop(frame, None)

    def _keep(self, frame: int) -> None:
        try:
            self._kept[frame] = self._make(frame)
        except SourceError as error:
            self._kept[frame] = error
