"""The questions of a file of ``gapdata questions``, found by the record that they are about.

Such a file was balanced over its whole build, which questions drawn for one view cannot be. Only the places of its
lines are kept, so that a process does not hold hundreds of thousands of questions.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from gapdata.errors import UsageError
from gapdata.records.schema import Record
from gapdata.tasks.spatial.question import SpatialQuestion
from gapdata.tasks.spatial.question_file import MAX_LINE, AskedQuestion, question_of_line

CURE = "write the file again with `gapdata questions BUILD --out FILE`, from this build"


class QuestionIndex:
    """The questions of a file, by record.

    Args:
        path: the file.

    Raises:
        UsageError: there is no such file, or a line of it is not a question.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, list[tuple[str, int]]] = defaultdict(list)  # key -> kind and offset of each line
        digest = hashlib.sha256()
        try:
            with open(path, "rb") as file:
                offset = 0
                for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), start=1):
                    item = self._read(line, number)
                    self._places[item.key].append((item.question.kind, offset))
                    digest.update(line)
                    offset += len(line)
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", path=path, cure=CURE) from error
        self.sha256 = digest.hexdigest()

    def counts(self, key: str, types: Collection[str]) -> Counter[str]:
        """Return how many questions of these types there are about a record, by type."""
        return Counter(kind for kind, _ in self._places.get(key, ()) if kind in types)

    def refuse_others(self, keys: Collection[str]) -> None:
        """Refuse a file that is not about the records of a build with these keys.

        Raises:
            UsageError: it has a question about another record.
        """
        other = next((key for key in self._places if key not in keys), None)
        if other is not None:
            raise UsageError(f"has a question about {other}, which the build does not hold", path=self.path, cure=CURE)

    def about(self, record: Record, types: Collection[str]) -> list[AskedQuestion]:
        """Return the questions of these types about a record, in the order of the file.

        Raises:
            UsageError: the file has changed, or a question is about a frame or a pixel that the record lacks.
        """
        found = []
        with open(self.path, "rb") as file:
            for kind, offset in self._places.get(record.key, ()):
                if kind not in types:
                    continue
                file.seek(offset)
                item = self._read(file.readline(MAX_LINE + 1))
                if item.key != record.key or not _fits(record, item.question):
                    raise UsageError(f"question {item.id} is not about this build", path=self.path, cure=CURE)
                found.append(item)
        return found

    def _read(self, line: bytes, number: int | None = None) -> AskedQuestion:
        try:
            return question_of_line(line)
        except ValueError as error:
            where = "a line" if number is None else f"line {number}"
            raise UsageError(f"{where} is not a question: {error}", path=self.path, cure=CURE) from error


@lru_cache(maxsize=8)
def question_index(path: Path) -> QuestionIndex:
    """Return the index of a file, read once a process."""
    return QuestionIndex(path)


def _fits(record: Record, item: SpatialQuestion) -> bool:
    width, height = record.image_size
    pixels = [mark.pixel for mark in item.marks]
    return item.fewest_frames <= len(record) and all(u < width and v < height for u, v in pixels)
