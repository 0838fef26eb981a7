"""Keep the questions of a build as the lines of a temporary file, so that millions of them fit in memory.

In memory a question has the eight bytes of its place in the file. The file stays in memory, too, while it is small.
"""

from __future__ import annotations

import tempfile
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from gapdata.files.atomic import naming_full_disk
from gapdata.tasks.spatial.question_file import AskedQuestion, question_of_line

IN_MEMORY = 64 << 20
"""Bytes of lines up to which no file is made."""
Form = tuple[str, str]  # type of question, form


class QuestionSpool:
    """Questions in the order in which they were entered."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - open as long as the questions are
        self._size = 0
        self._begins: dict[Form, array[int]] = defaultdict(lambda: array("Q"))

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(map(len, self._begins.values()))

    def __iter__(self) -> Iterator[AskedQuestion]:
        """Yield them, each made anew from its line."""
        return map(question_of_line, self.lines())

    @property
    def forms(self) -> tuple[Form, ...]:
        """The forms of which there are questions, in the order of the first of each."""
        return tuple(sorted((form for form, begins in self._begins.items() if begins), key=self._first))

    def extend(self, questions: Iterable[AskedQuestion]) -> None:
        """Enter more.

        Raises:
            OSError: the disk for temporary files is full.
        """
        with naming_full_disk(tempfile.gettempdir()):
            self._file.seek(self._size)
            for item in questions:
                self._begins[item.question.kind, item.question.form].append(self._size)
                self._size += self._file.write(item.to_line().encode())

    def of_form(self, form: Form) -> list[AskedQuestion]:
        """Return those of a form."""
        return [question_of_line(line) for line in self._lines(self._begins[form])]

    def keep(self, form: Form, wanted: Sequence[bool]) -> None:
        """Leave out the questions of a form that are not wanted; there is a value for each."""
        kept = zip(self._begins[form], wanted, strict=True)
        self._begins[form] = array("Q", [begin for begin, keep in kept if keep])

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of a question file."""
        begins = [np.frombuffer(places, dtype=np.uint64) for places in self._begins.values() if places]
        return self._lines(np.sort(np.concatenate(begins)).tolist() if begins else [])

    def _lines(self, begins: Iterable[int]) -> Iterator[bytes]:
        for begin in begins:
            self._file.seek(begin)
            yield self._file.readline()

    def _first(self, form: Form) -> int:
        return self._begins[form][0]
