"""The page's table of annotation files has a row for every kind that is recognised, as the package says it."""

from __future__ import annotations

from typing import get_args

from gapdata.annotations.known_files import KNOWN_FILES
from gapdata.annotations.recognition import FileKind
from tests.conftest import REPOSITORY


def test_the_table_of_the_page_is_that_of_the_package() -> None:
    page = (REPOSITORY / "gapdata" / "README.md").read_text().split("\n| annotations | files |")[1]
    rows = [line.strip("| ").split(" | ") for line in page.split("\n\n")[0].split("\n")[2:]]
    known = [
        [row.title, f"`{row.files}`", row.told_by, row.gives, row.comes_from, row.terms] for row in KNOWN_FILES.values()
    ]
    assert rows == known


def test_every_kind_that_is_recognised_has_a_row() -> None:
    assert set(KNOWN_FILES) == set(get_args(FileKind)) - {"nothing"}
