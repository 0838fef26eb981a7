"""Read a ``.sens`` from an object store with few waits: headers by parallel requests, a frame's payloads in one.

Only the header of a frame says where the next one begins, so a plain reader waits for one round trip per frame: minutes
for a long scan. Here the file is cut into parts, a first frame header is guessed in each part by the constant bytes
of a pose, and all parts are followed at once. The reader still follows the one chain from the beginning of the file and
looks each header up by its exact position, so a wrong guess costs a request and cannot change a result.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from gapdata.files.object_store import ObjectFile

HEADER_BYTES = 96
POSE_BYTES = 64
SIZES = struct.Struct("<QQ")
SIZES_AT = 80
LAST_ROW = struct.pack("<4f", 0, 0, 0, 1)  # of every rigid pose
LAST_ROW_AT = 48
LOST_POSE = struct.pack("<f", float("-inf")) * 16  # ScanNet's mark of lost tracking
CHAINS = 24
"""Arrow's S3 client keeps up to 25 connections (``S3FileSystem``'s default pool)."""
MIN_FRAMES_PER_CHAIN = 16
SMALL_FRAME = 16 << 10
BLOCK = 256 << 10
"""Below ``SMALL_FRAME`` bytes a frame, whole blocks cost less than a request per header."""
PLAUSIBLE = 16  # times the mean: all frames of a scan are smaller than that
REMEMBERED_FRAMES = 48


def fetch_headers(file: ObjectFile, start: int, count: int) -> Callable[[int, int], bytes]:
    """Read ahead the headers of ``count`` frames from byte ``start`` on.

    Returns:
        A function like ``file.read_at`` that answers from what was read ahead and asks the store for anything else.

    Raises:
        OSError: the store fails.
    """
    room = file.size - start
    mean = room / max(count, 1)
    block = BLOCK if mean < SMALL_FRAME else HEADER_BYTES
    chains = max(1, min(CHAINS, count // MIN_FRAMES_PER_CHAIN, room // (4 * block)))
    cuts = [start + room * part // chains for part in range(chains + 1)]
    with ThreadPoolExecutor(chains, "sens-headers") as threads:
        parts = [
            threads.submit(_follow, file, begin, end, block, mean, guess=begin > start) for begin, end in pairwise(cuts)
        ]
        known = {position: header for part in parts for position, header in part.result().items()}

    def read_at(position: int, size: int) -> bytes:
        return known.pop(position, b"") or file.read_at(position, size)

    return read_at


def _follow(file: ObjectFile, begin: int, end: int, block: int, mean: float, *, guess: bool) -> dict[int, bytes]:
    """Return headers by position, from ``begin`` (with ``guess``, from the first one found after it) up to ``end``."""
    headers: dict[int, bytes] = {}
    window_at, window = begin, file.read_at(begin, max(block, int(2 * mean) + HEADER_BYTES)) if guess else b""
    position = begin if not guess else next((begin + at for at in _candidates(window, mean)), end)
    while position < end:
        at = position - window_at
        if at + HEADER_BYTES > len(window):
            window_at, window, at = position, file.read_at(position, block), 0
        header = window[at : at + HEADER_BYTES]
        if len(header) < HEADER_BYTES or (guess and not _looks_like_header(header, mean)):
            break
        headers[position] = header
        position += HEADER_BYTES + sum(SIZES.unpack_from(header, SIZES_AT))
    return headers


def _candidates(window: bytes, mean: float) -> Iterator[int]:
    """Yield offsets that look like a header, with another one after its frame if that is in the window."""
    found = {at - LAST_ROW_AT for at in _occurrences(window, LAST_ROW)} | set(_occurrences(window, LOST_POSE))
    for at in sorted(found):
        header = window[max(at, 0) : at + HEADER_BYTES]
        if at >= 0 and len(header) == HEADER_BYTES and _looks_like_header(header, mean):
            following = at + HEADER_BYTES + sum(SIZES.unpack_from(header, SIZES_AT))
            after = window[following : following + HEADER_BYTES]
            if len(after) < HEADER_BYTES or _looks_like_header(after, mean):
                yield at


def _occurrences(window: bytes, pattern: bytes) -> Iterator[int]:
    at = window.find(pattern)
    while at >= 0:
        yield at
        at = window.find(pattern, at + 1)


def _looks_like_header(header: bytes, mean: float) -> bool:
    posed = header[LAST_ROW_AT:POSE_BYTES] == LAST_ROW or header[:POSE_BYTES] == LOST_POSE
    return posed and 0 < sum(SIZES.unpack_from(header, SIZES_AT)) < PLAUSIBLE * mean


class FramePayloads:
    """A reader of whole frames that remembers the last few: a frame's depth is read first, its colour soon after.

    Args:
        file: the ``.sens``.
        offsets: where each frame's payloads begin, ascending.
        sizes: bytes of both payloads of each frame.
    """

    def __init__(self, file: ObjectFile, offsets: Sequence[int], sizes: Sequence[int]) -> None:
        self._file, self._offsets, self._sizes = file, offsets, sizes
        self._recent: OrderedDict[int, bytes] = OrderedDict()

    def read_at(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset`` on; they must lie within the payloads of one frame."""
        frame = bisect_right(self._offsets, offset) - 1
        if frame in self._recent:
            self._recent.move_to_end(frame)
        else:
            self._recent[frame] = self._file.read_at(self._offsets[frame], self._sizes[frame])
            if len(self._recent) > REMEMBERED_FRAMES:
                self._recent.popitem(last=False)
        start = offset - self._offsets[frame]
        return self._recent[frame][start : start + size]
