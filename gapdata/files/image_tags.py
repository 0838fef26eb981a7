"""Read the orientation out of image files, and remove all other metadata that cameras write.

A tag that stayed in a stored frame would turn it in some viewers and not in others; others tell where a home is.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
START, END = b"\xff\xd8", b"\xff\xd9"
SCAN, COMMENT, END_MARKER, ADOBE, JFIF, EXIF_SEGMENT = 0xDA, 0xFE, 0xD9, 0xEE, 0xE0, 0xE1
APPLICATION = range(0xE0, 0xF0)
AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The marker after coded data, within which 0xFF is followed by 0 or a restart (ITU-T T.81, B.1.1.5)."""
EXIF = b"Exif\0\0"
ORIENTATION = 0x0112
"""Tag of TIFF 6.0, in the first directory."""
SHORT = 3


def orientation_tag(data: bytes) -> int:
    """Return how a JPEG, PNG or WebP file is to be turned before it is shown, 1 to 8 (Exif 2.32, tag 274).

    1, which is also returned for a file without the tag, does not turn it.
    """
    if data.startswith(PNG_SIGNATURE):
        return next((_orientation(body) for name, body in _chunks(data) if name == b"eXIf"), 1)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return next((_orientation(body.removeprefix(EXIF)) for name, body in _riff(data) if name == b"EXIF"), 1)
    for marker, segment in _segments(data):
        if marker == SCAN:
            break
        if marker == EXIF_SEGMENT and segment[4:10] == EXIF:
            return _orientation(segment[10:])
    return 1


def jpeg_without_metadata(data: bytes) -> bytes | None:
    """Return a JPEG file with the segments that decide its pixels, and without all others.

    EXIF, GPS, XMP, colour profile, thumbnail, comments and bytes after the end are removed. The result is ``None`` for
    a file with broken segments.
    """
    if not data.startswith(START):
        return None
    kept = [START]
    for marker, segment in _segments(data):
        if marker == END_MARKER:
            return b"".join([*kept, END])
        if marker == JFIF and segment[4:9] == b"JFIF\0" and len(segment) >= 18:
            kept.append(b"\xff\xe0\0\x10" + segment[4:16] + b"\0\0")  # without its thumbnail
        elif marker == ADOBE and segment[4:9] == b"Adobe" and len(segment) >= 16:
            kept.append(b"\xff\xee\0\x0e" + segment[4:16])  # says whether colours are RGB
        elif marker not in APPLICATION and marker != COMMENT:
            kept.append(segment)
    return None


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the markers of a JPEG file with their segments; the segment of a scan has its coded data, too.

    Stops at a length that leads out of the file.
    """
    position = len(START)
    while position + 2 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == END_MARKER:
            yield marker, END
            return
        if position + 4 > len(data):
            return
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if end < position + 4 or end > len(data):
            return
        if marker == SCAN:
            following = AFTER_SCAN.search(data, end)
            if following is None:
                return
            end = following.start()
        yield marker, data[position:end]
        position = end


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        yield data[position + 4 : position + 8], data[position + 8 : end]
        position = end + 4


def _riff(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a WebP file (RFC 9649, section 2.3); those of odd length are padded."""
    position = 12
    while position + 8 <= len(data):
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        yield data[position : position + 4], data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _orientation(tiff: bytes) -> int:
    """Return the tag in the first directory of a TIFF structure (TIFF 6.0, section 2)."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return 1
    (place,) = struct.unpack_from(f"{order}I", tiff, 4)
    if place + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(f"{order}H", tiff, place)
    for entry in range(place + 2, min(place + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
        if tag == ORIENTATION:
            return int(value) if kind == SHORT and 1 <= value <= 8 else 1
    return 1
