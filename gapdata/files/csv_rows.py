"""Read a CSV file that a user names row by row: fields in quotes may hold commas, quotes and newlines.

Rows come as they are in the file, however long it is; a quote that is never closed ends at a limit.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

from gapdata.errors import FileError
from gapdata.files.given_file import open_given
from gapdata.files.storage import Location, RangedFile
from gapdata.files.text import LOOKED_AT, PADDING, incremental_decoder, refusal

BLOCK = 1 << 20  # bytes of one read
MAX_LINE = 1 << 20  # characters
MAX_COLUMNS = 256
HEADER_BYTES = 1 << 14


def csv_header(path: Location) -> tuple[str, ...]:
    """Return the names in a file's first row; empty where its beginning cannot be a row of names.

    Raises:
        FileError: the file cannot be read.
    """
    with open_given(path) as file:
        head = file.read_at(0, HEADER_BYTES)
    decoder, start = incremental_decoder(head[:LOOKED_AT])
    decoder.errors = "replace"  # what is wrong below the names is said by whoever reads the rows
    try:
        row = next(csv.reader(decoder.decode(head[start:]).splitlines()[:1], strict=True), [])
    except csv.Error:
        return ()
    return tuple(name.strip() for name in row) if 1 < len(row) <= MAX_COLUMNS else ()


def csv_rows(path: Location) -> Iterator[dict[str, str] | None]:
    """Yield the rows below the header by the names in it; ``None`` for a row with another number of fields.

    Raises:
        FileError: the file cannot be read, is not text, or has a line or a field of impossible length.
    """
    with open_given(path) as file:
        reader = csv.reader(_lines(file, path), strict=True)
        names: list[str] | None = None
        try:
            for row in reader:
                if names is None:
                    names = [name.strip() for name in row]
                elif row:  # not a blank line
                    yield dict(zip(names, row, strict=True)) if len(row) == len(names) else None
        except csv.Error as error:
            problem = f"is not a sound CSV file: {error} near line {reader.line_num}"
            raise FileError(problem, path=path, cure="download it again") from error


def _lines(file: RangedFile, path: Location) -> Iterator[str]:
    """Yield lines with their ends, of which only one is in memory."""
    decoder, offset = incremental_decoder(file.read_at(0, LOOKED_AT))
    rest = ""
    while offset < file.size:
        data = file.read_at(offset, BLOCK)
        offset += len(data)
        try:
            rest += decoder.decode(data, final=offset >= file.size or not data)
        except UnicodeDecodeError as error:
            problem = refusal(error.encoding, error.object, error, offset - len(error.object))
            raise FileError(f"{problem}; save it as UTF-8", path=path) from error
        if not data:
            raise FileError(f"is cut off at byte {offset} of {file.size}", path=path, cure="download it again")
        *lines, rest = rest.replace("\r\n", "\n").split("\n")
        yield from (f"{line}\n" for line in lines)
        if len(rest) > MAX_LINE:
            raise FileError(f"has a line of more than {MAX_LINE} characters", path=path, cure="check the name")
    if rest := rest.rstrip(PADDING):
        yield rest
