"""The page's table of a record's JSON names every field that a build writes, and nothing else."""

from __future__ import annotations

import json
import re
import tarfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gapdata.records.expressions import Conversation
from gapdata.records.mesh_distances import MeshDistances
from gapdata.records.reading import record_from_json
from gapdata.records.room_floor import RoomFloor
from tests.conftest import REPOSITORY
from tests.support.annotation_records import detection, images, sample, sentence, write_embodiedscan, write_json
from tests.support.builds import build
from tests.support.scannet_scenes import write_scene

SCENE = "scene0000_00"
BOX = ("chair", [0, 0, 1, 1, 1, 1, 0.1, 0.2, 0.3])
OPEN = {"objects[].labels", "scene_objects[].labels"}
"""Objects whose names are data."""
ROOM = RoomFloor(
    outline=np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]),
    area=6.0,
    walled=1.0,
    height=0.0,
    free_origin=(0.0, 0.0),
    free=np.ones((2, 3), dtype=bool),
)
BENCHMARK = Conversation(
    task="benchmark",
    question="How many?",
    answer="2",
    mark=None,
    source="test.jsonl",
    index=0,
    benchmark="vsi-bench",
    question_type="object_counting",
    answers=("2",),
    options=("A. 2", "B. 3"),
    id="7",
    object_ids=(3,),
    marks=((0, "red", (1.0, 2.0)),),
)
DISTANCES = MeshDistances(object_ids=(0, 1), metres=np.array([[np.nan, 1.5], [1.5, np.nan]]))
ROW = re.compile(r"^\| (\(?)`([a-z_.\[\]]+)`\)? \| .+ \|$", re.MULTILINE)


def fields_of(value: Any, name: str = "") -> set[str]:
    """The names of all leaves of decoded JSON; lists of objects are ``name[]``, lists of numbers leaves."""
    if isinstance(value, dict) and name not in OPEN:
        return {leaf for key, inner in value.items() for leaf in fields_of(inner, f"{name}.{key}" if name else key)}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {leaf for item in value for leaf in fields_of(item, f"{name}[]")}
    return {name}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The records of a bare build, and of one with descriptions, proposals, conversations and splits from files."""
    folder = tmp_path_factory.mktemp("fields")
    root = folder / "in"
    write_scene(root / SCENE, frames=10)
    talk = {**detection([BOX], (0, 3)), "images": images((0, 3), SCENE)}
    files = [
        write_embodiedscan(folder / "infos_train.pkl", [sample(SCENE)]),
        write_json(folder / "sentences_train.json", [sentence(SCENE, "1", "0")]),
        write_json(folder / "boxes_train.json", {f"scannet/{SCENE}": [[0, 0, 0, 9, 9, 9]]}),
        write_json(folder / "det_train.json", [talk]),
    ]
    told = ("--set", "annotations.splits=true", "--set", "annotations.conversations=true")
    assert build(root, folder / "bare") == 0
    assert build(root, folder / "told", "--annotations", *map(str, files), *told) == 0
    found = []
    for tar in sorted(folder.glob("*/shard-*.tar")):
        with tarfile.open(tar) as file:
            found += [json.load(file.extractfile(item)) for item in file if item.name.endswith(".json")]  # type: ignore[arg-type]
    # The scenes above lie upright, have vertices, and do not have a floor, something round, or a benchmark's question.
    first = record_from_json(json.dumps(found[0]).encode())
    turned = replace(
        first,
        objects=tuple(replace(item, box_slack=(0.1, 0.0)) for item in first.objects),
        turned=90,
        masks="boxes",
        room=ROOM,
        mesh_distances=DISTANCES,
        expressions=(BENCHMARK.to_fields(),),
    )
    return [*found, json.loads(turned.to_json())]


def test_the_table_of_the_page_is_the_json_of_a_record(records: list[dict[str, Any]]) -> None:
    page = (
        (REPOSITORY / "gapdata" / "README.md").read_text().split("field by field")[1].split("\n\n`gapdata inspect")[0]
    )
    rows = ROW.findall(page)
    table = {name: bool(sometimes) for sometimes, name in rows}
    assert len(table) == len(rows) > 40
    written = set().union(*map(fields_of, records))
    # An empty list says nothing about its objects.
    written -= {"objects", "prompts", "expressions"}
    assert written - table.keys() == set(), "fields that the table lacks"
    assert table.keys() - written == set(), "rows that no record has"
    always = {name for name in table if all(has(record, name) for record in records)}
    assert {name for name, sometimes in table.items() if not sometimes} <= always, "rows that belong in brackets"


def has(record: Any, name: str) -> bool:
    """Whether a record has a field, in every object of the lists that it is in."""
    head, *rest = name.split(".")
    if head.endswith("[]"):
        return all(has(item, ".".join(rest)) for item in record[head.removesuffix("[]")])
    if head not in record:
        return False
    return has(record[head], ".".join(rest)) if rest else True
