"""Read the size and the number of frames of a video from its header, which takes no decoder and few bytes.

An mp4 or mov lists every coded frame (ISO/IEC 14496-12, "stsz"), so that the number is exact for a whole file, whatever
players hide by edit lists. An mkv has no such list; for it, and for anything unusual, FFmpeg tells the size.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from gapdata.files.storage import Location, RangedFile, open_ranged
from gapdata.files.video import MATROSKA, MAX_PIXELS, VideoFrames

MAX_MOVIE_BYTES = 64 << 20
"""Of the largest "moov" atom that is read: a coded frame takes some 20 bytes there."""
CONTAINERS = (b"trak", b"mdia", b"minf", b"stbl")
SIZE_AT = 8 + 32  # of the first entry of "stsd": after the number of entries; then its header and reserved fields
HANDLER_AT, COUNT_AT = 8, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoHeader:
    """What a video's header states."""

    size: tuple[int, int]  # (width, height) as coded
    frames: int | None  # None where only decoding tells
    longest_step: float = 0.0
    """Seconds between two of its frames: a phone that was interrupted goes on later. 0 where it is not known."""


def read_video_header(place: Location) -> VideoHeader:
    """Read the header of a video.

    Raises:
        ValueError: it is not a video that can be decoded; the message says why, without the place.
        OSError: it is missing or may not be read.
        StoreError: the store fails.
    """
    file = open_ranged(place)
    try:
        found = None if file.read_at(0, 4) == MATROSKA else _movie_header(file)
    finally:
        file.close()
    if found is None:
        with VideoFrames(place) as video:
            return VideoHeader(size=video.size, frames=None)
    width, height = found.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"states frames of {width}x{height} pixels, more than {MAX_PIXELS}")
    return found


def _movie_header(file: RangedFile) -> VideoHeader | None:
    """Return what the first video track of an mp4 or mov states; ``None`` where it is not written as usual."""
    position = 0
    while position + 8 <= file.size:
        head = file.read_at(position, 16)
        length, kind = struct.unpack_from(">I4s", head)
        start = 8
        if length == 1 and len(head) == 16:
            length, start = struct.unpack_from(">Q", head, 8)[0], 16
        if kind == b"moov":
            if not start < length <= min(MAX_MOVIE_BYTES, file.size - position):
                return None
            return _first_video(file.read_at(position + start, length - start))
        if length < start:  # 0: to the end of the file
            return None
        position += length
    return None


def _first_video(movie: bytes) -> VideoHeader | None:
    for kind, track in _atoms(movie):
        # A mov has a second handler, of data, after that of the track.
        parts = dict(reversed(list(_nested(track)))) if kind == b"trak" else {}
        if parts.get(b"hdlr", b"")[HANDLER_AT : HANDLER_AT + 4] != b"vide":
            continue
        entries, sizes = parts.get(b"stsd", b""), parts.get(b"stsz", parts.get(b"stz2", b""))
        if len(entries) < SIZE_AT + 4 or len(sizes) < COUNT_AT + 4:
            return None
        width, height = struct.unpack_from(">HH", entries, SIZE_AT)
        (frames,) = struct.unpack_from(">I", sizes, COUNT_AT)
        # A fragmented file lists its frames elsewhere.
        if not width or not height:
            return None
        step = _longest_step(parts.get(b"stts", b""), parts.get(b"mdhd", b""))
        return VideoHeader(size=(width, height), frames=frames or None, longest_step=step)
    return None


def _longest_step(durations: bytes, media: bytes) -> float:
    """Return the longest duration of a frame but the last, seconds, by the atoms "stts" and "mdhd"."""
    if len(media) < 24 or len(durations) < 8:
        return 0.0
    (ticks_per_second,) = struct.unpack_from(">I", media, 20 if media[0] == 1 else 12)
    (count,) = struct.unpack_from(">I", durations, 4)
    runs = list(struct.iter_unpack(">II", durations[8 : 8 + 8 * min(count, (len(durations) - 8) // 8)]))
    steps = [step for frames, step in runs[:-1]] + [step for frames, step in runs[-1:] if frames > 1]
    return max(steps, default=0) / ticks_per_second if ticks_per_second else 0.0


def _nested(atom: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the atoms in a track, also those within other atoms."""
    for kind, body in _atoms(atom):
        if kind in CONTAINERS:
            yield from _nested(body)
        else:
            yield kind, body


def _atoms(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the atoms of a part of a file that is in memory, up to one that does not fit."""
    position = 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if not 8 <= length <= len(data) - position:
            return
        yield kind, data[position + 8 : position + length]
        position += length
