"""Read and write JSON files item by item: a list, JSON lines, or one object.

Files of more than a gigabyte consist of items of a few kilobytes; to decode such a file whole takes several times its
size in memory. Only the text around the current item is held here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from gapdata.errors import FileError
from gapdata.files.given_file import open_given
from gapdata.files.storage import Location, RangedFile
from gapdata.files.text import LOOKED_AT, PADDING, incremental_decoder, refusal

BLOCK = 1 << 20  # bytes of one read
MAX_ITEM = 64 << 20  # characters
MAX_JSON_BYTES = 64 << 30
NUMBER_TAIL = 2  # characters after a number that may still become part of it

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def json_items(path: Location) -> Iterator[Any]:
    """Yield the items of a list, the values of JSON lines, or the one value of any other file.

    NaN and infinities, which Python writes into JSON, are read, too: a caller that needs finite numbers must check.

    Raises:
        FileError: the file cannot be read, or is not text or not JSON; or an item is nested too deeply, or longer
            than ``MAX_ITEM``; the message counts items from 0.
    """
    with open_given(path) as file:
        if file.size > MAX_JSON_BYTES:
            problem = f"is too large: it has {file.size} bytes, at most {MAX_JSON_BYTES} are read"
            raise FileError(problem, path=path, cure="check the name")
        text = _Text(file, path)
        if text.next_character() == "[":
            yield from _list_items(text)
        else:
            while text.next_character():
                yield text.value()


def _list_items(text: _Text) -> Iterator[Any]:
    text.expect("[")
    if text.next_character() != "]":
        yield text.value()
        while text.next_character() == ",":
            text.expect(",")
            yield text.value()
    text.expect("]")
    if text.next_character():
        raise text.damaged("is text after the end of the list")


class _Text:
    """The text of a file, of which only the part from the current position on is in memory."""

    def __init__(self, file: RangedFile, path: Location) -> None:
        self.file, self.path = file, path
        self._decoder, self.offset = incremental_decoder(file.read_at(0, LOOKED_AT))  # offset: bytes read
        self.text, self.position = "", 0
        self.dropped = 0  # characters before ``text``
        self.items = 0

    def more(self) -> bool:
        """Read a block, at least as long as the text that waits to be decoded; ``False`` at the end of the file."""
        if self.offset >= self.file.size:
            return False
        data = self.file.read_at(self.offset, max(BLOCK, len(self.text) - self.position))
        if not data:
            raise self.damaged(f"is cut off: only {self.offset} of the file's {self.file.size} bytes could be read")
        self.offset += len(data)
        try:
            added = self._decoder.decode(data, final=self.offset >= self.file.size)
        except UnicodeDecodeError as error:
            # The decoder was also given the bytes that it kept of the block before.
            raise self.damaged(refusal(error.encoding, error.object, error, self.offset - len(error.object))) from error
        if self.offset >= self.file.size:
            added = added.rstrip(PADDING)
        self.dropped += self.position
        self.text, self.position = self.text[self.position :] + added, 0
        return True

    def next_character(self) -> str:
        """Return the next character that is not white space, without stepping over it; empty at the end."""
        while True:
            match = _SPACE.match(self.text, self.position)
            self.position = match.end() if match else self.position
            if self.position < len(self.text):
                return self.text[self.position]
            if not self.more():
                return ""

    def expect(self, character: str) -> None:
        """Step over one character."""
        if self.next_character() != character:
            raise self.damaged(f"lacks a {character!r}")
        self.position += 1

    def value(self) -> Any:
        """Read the next value."""
        self.next_character()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.position)
            except json.JSONDecodeError as error:
                if len(self.text) - self.position > MAX_ITEM:
                    raise self.damaged(f"is longer than {MAX_ITEM} characters, or is not JSON: {error.msg}") from error
                if not self.more():
                    raise self.damaged(f"is not JSON: {error.msg}") from error
            except RecursionError as error:
                raise self.damaged("is nested too deeply") from error
            except ValueError as error:
                raise self.damaged("holds a number with thousands of digits") from error
            else:
                # The text in memory may end inside a number: 0 of "0.", 1 of "1e+".
                if end + NUMBER_TAIL < len(self.text) or not self.more():
                    self.position = end
                    self.items += 1
                    return value

    def damaged(self, problem: str) -> FileError:
        """Return the error for the current item."""
        return FileError(
            f"item {self.items} {problem}, near character {self.dropped + self.position}",
            path=self.path,
            cure="download or write the file again",
        )


@dataclass(slots=True)
class JsonList:
    """A JSON list that is written item by item, an item per line."""

    file: BinaryIO
    count: int = 0

    def extend(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Write some items.

        Raises:
            ValueError: an item has a number that is not finite, which JSON cannot hold.
        """
        for item in items:
            line = json.dumps(item, allow_nan=False).encode()
            self.file.write((b",\n" if self.count else b"[\n") + line)
            self.count += 1

    def close(self) -> None:
        """End the list."""
        self.file.write(b"\n]\n" if self.count else b"[]\n")
