"""A build in an object store is exported like one on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from gapdata.export.export_build import export_build
from gapdata.export.registry import EXITS
from gapdata.files.storage import location
from gapdata.shards.reader import ShardReader
from tests.support.builds import write_shards
from tests.support.export_builds import tree
from tests.support.object_stores import s3_server

OPEN = [{"title": "rooms of ours", "terms": "CC0", "redistributable": True, "scenes": 1}]


@pytest.mark.slow
def test_every_form_gives_the_same_files_from_a_store(shards: Path, tmp_path: Path) -> None:
    records = [record for record in ShardReader(shards) if record.split == "val"][:2]
    build = write_shards(tmp_path / "build", records, 2)
    with s3_server() as store:
        there = location(store.copy_in(build, "build"))
        for form in EXITS:
            for place, name in ((build, "disk"), (there, "store")):
                export_build(form, place, tmp_path / name / form, terms=OPEN)
            assert tree(tmp_path / "store" / form) == tree(tmp_path / "disk" / form), form
