"""The page has a row for every source, capture and known layout, and names no other."""

from __future__ import annotations

import re

from gapdata.sources.captures import CAPTURES
from gapdata.sources.known_layouts import LAYOUTS
from gapdata.sources.registry import SOURCES, as_option
from tests.conftest import REPOSITORY

HEADING = "### Which files, which frames, which rotation?"


def rows() -> list[list[str]]:
    """The cells of the table, without its heading."""
    page = (REPOSITORY / "gapdata" / "README.md").read_text().split(HEADING)[1].split("\n| read with |")[1]
    lines = page.split("\n\n")[0].split("\n")[2:]
    return [[cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in lines]


def test_the_table_has_a_row_for_every_source_and_capture() -> None:
    named = {re.findall(r"`([^`]+)`", row[0])[0] for row in rows()}
    assert named == {*map(as_option, SOURCES), *CAPTURES, *LAYOUTS}


def test_every_row_is_filled() -> None:
    assert {len(row) for row in rows()} == {7}
    assert all(cell for row in rows() for cell in row)
