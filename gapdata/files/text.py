"""Text as any editor writes it, to one form: no byte order mark, newlines at the ends of lines.

Notepad and PowerShell write byte order marks and UTF-16, old Macs end lines with a carriage return, DOS ends files with
Ctrl-Z, and a disk that lost power pads them with NUL bytes. Every text file that a user hands over is read by
:func:`decode_text`; a file too large for that, by :func:`incremental_decoder`.
"""

from __future__ import annotations

import codecs

MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, with whose mark it begins
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
MARK = "\ufeff"
PADDING = "\x00\x1a"
"""NUL, and Ctrl-Z, which ended a text file in CP/M and DOS."""
LOOKED_AT = 256  # bytes, to tell UTF-16 that has no mark


def decode_text(data: bytes, *, tolerant: bool = False) -> str:
    """Return the text of a file: UTF-8, or UTF-16 or UTF-32 as its byte order mark says, or UTF-16 as its NUL bytes
    say.

    Args:
        data: the whole file.
        tolerant: read what is not UTF-8 as Windows-1252, for files of which only numbers and keys count: their
            comments may be in any encoding.

    Raises:
        ValueError: a byte does not belong into the encoding; its offset is named.
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
    """Return a decoder for a file that begins with these bytes (:data:`LOOKED_AT` or all of them), and the bytes of its
    byte order mark, which the decoder must not get.
    """
    encoding, start = _encoding(head)
    return codecs.getincrementaldecoder(encoding)(), start


def refusal(encoding: str, data: bytes, error: UnicodeDecodeError, before: int = 0) -> str:
    """Return what is wrong with text that cannot be decoded: the encoding, the byte and its offset."""
    return f"is not {encoding.upper()}: {error.reason} 0x{data[error.start]:02x} at offset {before + error.start}"


def _encoding(data: bytes) -> tuple[str, int]:
    """The encoding of a text that begins so, and how many bytes its mark has."""
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
