"""Decode text files of any editor, without byte order marks and with newlines at the ends of lines.

Notepad and PowerShell write byte order marks and UTF-16, old Macs end lines with a carriage return, DOS ends files with
Ctrl-Z, and a disk that lost power pads files with NUL bytes. Every text file of a user is decoded by
:func:`decode_text`, or by :func:`incremental_decoder` if it is too large.
"""

from __future__ import annotations

import codecs

MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, because it begins with the same mark
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
MARK = "\ufeff"
PADDING = "\x00\x1a"
"""NUL, and Ctrl-Z, which ended a text file in CP/M and DOS."""
LOOKED_AT = 256  # bytes in which UTF-16 without a mark is recognised


def decode_text(data: bytes, *, tolerant: bool = False) -> str:
    """Return the text of a file in UTF-8, UTF-16 or UTF-32.

    A byte order mark decides, or the NUL bytes of UTF-16; a file without either is UTF-8.

    Args:
        data: the whole file.
        tolerant: read a file that is not UTF-8 as Windows-1252. This is for files of which only numbers and keys
            count, with comments in any encoding.

    Raises:
        ValueError: a byte does not belong to the encoding; the message has its offset.
    """
    encoding, start = _encoding(data)
    try:
        text = data[start:].decode(encoding)
    except UnicodeDecodeError as error:
        if not tolerant or encoding != "utf-8":
            raise ValueError(f"{refusal(encoding, data[start:], error, start)}; save it as UTF-8") from error
        text = data[start:].decode("cp1252", "replace")
    # Files that were joined have a mark in the middle, too.
    return text.rstrip(PADDING).replace(MARK, "").replace("\r\n", "\n").replace("\r", "\n")


def incremental_decoder(head: bytes) -> tuple[codecs.IncrementalDecoder, int]:
    """Return a decoder for a large file, and the length of its byte order mark, which the decoder must not get.

    Args:
        head: the first :data:`LOOKED_AT` bytes of the file, or all.
    """
    encoding, start = _encoding(head)
    return codecs.getincrementaldecoder(encoding)(), start


def refusal(encoding: str, data: bytes, error: UnicodeDecodeError, before: int = 0) -> str:
    """Return a message for text that cannot be decoded, with the encoding, the byte and its offset."""
    return f"is not {encoding.upper()}: {error.reason} 0x{data[error.start]:02x} at offset {before + error.start}"


def _encoding(data: bytes) -> tuple[str, int]:
    """Return the encoding of a text with this beginning, and the number of bytes of its mark."""
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return encoding, len(mark)
    head = data[: LOOKED_AT // 2 * 2]
    pairs = len(head) // 2
    low, high = head[: 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    # Text in a Latin script has a NUL in nearly every pair, always on one side.
    if pairs and low == 0 and high > 0.7 * pairs:
        return "utf-16-le", 0
    if pairs and high == 0 and low > 0.7 * pairs:
        return "utf-16-be", 0
    return "utf-8", 0
