"""What the tests of the build report share: a page, its parts, and a build whose names carry markup."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gapdata.engine.driver import run_build
from gapdata.engine.executors.inline import InlineExecutor
from gapdata.report.page import report_page
from gapdata.shards.index import read_index
from tests.support.executors import request_for

EVIL = "</script><script>document.title = 'ran'</script><img src=x onerror=\"document.title='ran'\">"


class Page(HTMLParser):
    """The elements of a page with their attributes, its visible text, and its data blocks."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.blocks: dict[str, Any] = {}
        self._block: str | None = None
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script" and dict(attrs).get("type") == "application/json":
            self._block = dict(attrs)["id"]

    def handle_endtag(self, tag: str) -> None:
        self._block = None if tag == "script" else self._block

    def handle_data(self, data: str) -> None:
        if self._block is not None:
            self.blocks[self._block] = json.loads(data)
        else:
            self.text += data


def build(dataset: Path, out: Path) -> Path:
    run_build(request_for(dataset, out), InlineExecutor())
    return out


@pytest.fixture(scope="session")
def page(inline_build: Path) -> bytes:
    return report_page(inline_build, 3)[0]


def named_by_a_villain(shards: Path, out: Path) -> Path:
    """A copy of a build whose names carry markup wherever its index, its report and its records allow."""
    shutil.copytree(shards, out)
    report = json.loads((out / "report.json").read_text())
    report["prompts_by_label"] = {EVIL: 3}
    report["notes"] = {EVIL: 1}
    report["losses"] = [{"reason": EVIL, "what": EVIL, "count": 1, "scenes": 1, "first": EVIL}]
    quarantined = {"scene_id": EVIL, "key": None, "frame": 3, "path": EVIL, "problem": EVIL, "cure": EVIL}
    (out / "report.json").write_text(json.dumps({**report, "quarantined": [quarantined]}))
    import pyarrow as pa
    import pyarrow.parquet as pq

    index = read_index(out)
    place = index.column_names.index("scene_id")
    names = pa.array([EVIL] * index.num_rows)
    pq.write_table(index.set_column(place, "scene_id", names), out / "index.parquet")
    tar = out / "shard-000000.tar"
    label = b'"label":"office chair"'
    # As long as what it replaces, so that every member keeps its place.
    tar.write_bytes(tar.read_bytes().replace(label, b'"label":"<script>a()"'.ljust(len(label))))
    return out
