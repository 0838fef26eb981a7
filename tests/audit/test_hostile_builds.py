"""Builds made by an enemy, or by a bad disk: false claims of indexes, tars, plans and records are refused by name."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gapdata.audit.status import build_status
from gapdata.audit.verify import verify_build
from gapdata.engine.driver import run_build
from gapdata.engine.executors.inline import InlineExecutor
from gapdata.engine.plan import read_plan
from gapdata.engine.report import read_report
from gapdata.errors import ShardError, UsageError
from gapdata.records.reading import record_from_json
from gapdata.shards.reader import ShardReader
from tests.conftest import REPOSITORY
from tests.records.test_records import make_record
from tests.shards.test_shards import write_build
from tests.support.annotation_records import npy
from tests.support.hostile import SCENE, npy_claiming, refused


def test_a_frame_without_prompts_takes_no_memory_for_a_size_that_nothing_else_has() -> None:
    record = make_record(image_size=(9000, 9000))
    refused(ShardError, "its members are too small for images of 9000x9000", lambda: record.prompt_mask(0))


def test_an_image_in_a_format_that_records_never_have_is_not_decoded() -> None:
    for suffix in (".tiff", ".bmp", ".webp"):
        data = cv2.imencode(suffix, np.zeros((24, 32, 3), np.uint8))[1].tobytes()
        record = make_record(members={"00.jpg": data})
        refused(ShardError, r"member 00\.jpg is not an image", lambda record=record: record.image(0))  # type: ignore[misc]


@pytest.fixture
def build(inline_build: Path, tmp_path: Path) -> Path:
    """A build of which files can be replaced."""
    (tmp_path / "build").mkdir()
    for path in inline_build.iterdir():
        if path.is_file():
            (tmp_path / "build" / path.name).write_bytes(path.read_bytes())
    return tmp_path / "build"


def forge_index(build: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """Change rows of the index; it keeps its columns and their types."""
    table = pq.read_table(build / "index.parquet")
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), build / "index.parquet")


def place(name: str, value: int | None) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: rows[0]["members"][1].update({name: value})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (place("offset", -1), "places a member at an impossible offset"),
        (place("offset", -(2**63)), "places a member at an impossible offset"),
        (place("offset", 2**62), "has a record of more than 4 GB"),
        (lambda rows: [member.update(offset=2**62) for member in rows[0]["members"]], "at an impossible offset"),
        (place("offset", 2**59), "has a record of more than 4 GB"),
        (place("size", -5), "or a member of a negative size"),
        (place("size", 2**40), "has a record of more than 4 GB"),
        (place("size", 2**31), r"is truncated: \d+ of 2147\d+ bytes"),
        (place("size", None), "lacks the place of a member"),
        (lambda rows: rows[0].update(members=[]), "lists a record without members"),
        (lambda rows: rows[0].update(members=None), "lacks the key, shard, split, view, counts or members"),
        (lambda rows: rows[0].update(key=None), "lacks the key, shard, split, view, counts or members"),
        (lambda rows: rows[0].update(shard="../other"), r"has a shard with the impossible name '\.\./other'"),
        (lambda rows: rows[0].update(shard="/etc/passwd"), "has a shard with the impossible name '/etc/passwd'"),
    ],
)
def test_an_index_that_places_members_where_none_can_be_is_named(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], Any], problem: str
) -> None:
    write_build(tmp_path)
    forge_index(tmp_path, change)
    refused(ShardError, problem, lambda: ShardReader(tmp_path)[0])


def test_an_index_of_other_columns_is_named(tmp_path: Path) -> None:
    write_build(tmp_path)
    table = pq.read_table(tmp_path / "index.parquet")
    for forged, problem in (
        (table.drop_columns("shard"), "lacks the columns shard"),
        (table.set_column(0, "key", pa.array(range(5))), "has a column key of type int64, expected string"),
        (
            table.set_column(table.column_names.index("members"), "members", table.column("frame_ids")),
            "has a column members of type .*, expected list",
        ),
    ):
        pq.write_table(forged, tmp_path / "index.parquet")
        refused(ShardError, problem, lambda: ShardReader(tmp_path))


def test_a_tar_whose_members_point_outside_is_damage_and_writes_nothing(build: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo("../../outside.json")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"{}"))
    (build / "shard-000000.tar").write_bytes(buffer.getvalue())
    before = sorted(tmp_path.rglob("*"))
    found = [str(defect) for defect in verify_build(build).defects]
    assert any("holds ../../outside.json" in text for text in found)
    refused(ShardError, "is truncated|has no member", lambda: ShardReader(build)[0])
    assert sorted(tmp_path.rglob("*")) == before


def test_a_tar_header_that_claims_8_gb_is_damage(build: Path) -> None:
    """An extended header is read as a whole, by the size that it states."""
    header = bytearray(tarfile.TarInfo("pax").tobuf(tarfile.USTAR_FORMAT))
    header[124:136], header[156:157] = b"77777777777\0", b"x"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    tar = build / "shard-000000.tar"
    tar.write_bytes(bytes(header) + tar.read_bytes()[512:])
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from gapdata.audit.verify import verify_build\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "print(*verify_build(Path(sys.argv[1]), sample=1).defects, sep='\\n')"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    result = subprocess.run([sys.executable, "-c", code, str(build)], capture_output=True, text=True, env=environment)
    assert "shard-000000.tar: is damaged or truncated after 0 members" in result.stdout, result.stderr


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda f: f["shards"][0].update(name="../outside"), r"'\.\./outside' is not a name of a shard"),
        (lambda f: f["shards"][1].update(name="shard-000000"), "a shard is named twice"),
        (lambda f: f["shards"][0]["scenes"][0].update(scene_id="../x"), r"'\.\./x' is not a name of a scene"),
        (lambda f: f["recipe"]["frames"].update(image_size=[0, -16]), "frames.image_size must be two multiples"),
        (
            lambda f: f["recipe"]["frames"].update(pointmap_stride=0),
            "pointmap_stride' is 0, expected at least 1",
        ),
        (lambda f: f["recipe"]["quality"].update(min_overlap=10**400), "'quality.min_overlap' is 1000"),
        (lambda f: f["recipe"].update(frames=[1]), "recipe field 'frames' is a section"),
        (lambda f: f.update(shards=[3]), "plan cannot be read"),
        (lambda f: f["shards"][0].update(scenes="x"), "plan cannot be read"),
    ],
)
def test_a_plan_that_names_other_places_or_impossible_sizes_is_refused(
    build: Path, change: Callable[[dict[str, Any]], Any], problem: str
) -> None:
    edit(build / "plan.json", change)
    refused(UsageError, problem, lambda: read_plan(build))
    assert any(defect.file == "plan.json" for defect in verify_build(build).defects)


def test_a_retry_removes_nothing_outside_the_build(build: Path, tmp_path: Path, small_dataset: Path) -> None:
    """The commit records of shards that quarantined something are removed by the names in the plan."""
    from tests.support.executors import request_for

    victim = tmp_path / "victim.json"
    edit(build / "plan.json", lambda f: f["shards"][0].update(name="../victim"))
    commit = json.loads((build / "shard-000000.json").read_text())
    commit["scenes"][0]["quarantined"] = [{"scene_id": SCENE, "key": None, "frame": None, "problem": "x"}]
    victim.write_text(json.dumps(commit))
    request = replace(request_for(small_dataset, build), retry_failed=True)
    with pytest.raises(UsageError, match="is not a name of a shard"):
        run_build(request, InlineExecutor())
    assert victim.exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda f: f.update(tar_bytes=[1]), "tar_bytes is a list, expected an integer"),
        (lambda f: f.update(tar_bytes=2**70), "tar_bytes is out of range"),
        (lambda f: f.update(shard="../other"), "it belongs to the shard '../other'"),
        (lambda f: f["scenes"][0].update(quarantined=7), r"scenes\[0\].quarantined is an integer, expected a list"),
        (lambda f: f["records"][0].pop("key"), r"records\[0\] lacks key"),
        (
            lambda f: f["records"][0]["members"].update(json=[1, 2, 3]),
            "the place of a member is not an offset and a size",
        ),
        (lambda f: f["records"][0]["members"].update(json=[-1, 2]), r"members\.json\[0\] is out of range"),
    ],
)
def test_a_commit_record_of_another_shape_counts_as_missing_and_is_named(
    build: Path, change: Callable[[dict[str, Any]], Any], problem: str
) -> None:
    edit(build / "shard-000000.json", change)
    assert build_status(build)["missing"] == ["shard-000000"]
    import re

    found = [str(defect) for defect in verify_build(build).defects]
    assert any(re.match(rf"shard-000000\.json: is malformed: .*{problem}", text) for text in found), found


def test_a_commit_record_that_does_not_add_up_is_built_again(build: Path, small_dataset: Path) -> None:
    from tests.support.executors import request_for

    sound = (build / "shard-000000.json").read_bytes()
    edit(build / "shard-000000.json", lambda f: f["scenes"][0].update(frames="many", dropped_views=[{}]))
    run_build(request_for(small_dataset, build), InlineExecutor())
    assert (build / "shard-000000.json").read_bytes() == sound


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda f: f.update(bytes=[1]), "bytes is a list, expected an integer"),
        (lambda f: f.pop("losses"), "it lacks losses"),
        (lambda f: f.update(notes={"x": "y"}), r"notes\.x is text, expected an integer"),
        (lambda f: f.update(quarantined=[{}]), r"quarantined\[0\] lacks scene_id, key"),
    ],
)
def test_a_report_of_another_shape_is_named(build: Path, change: Callable[[dict[str, Any]], Any], problem: str) -> None:
    edit(build / "report.json", change)
    refused(ShardError, rf"report\.json: is malformed: {problem}", lambda: read_report(build))


def test_a_pointmap_that_claims_what_it_has_not_is_refused_without_taking_memory() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    for data, problem in (
        (npy_claiming("(1099511627776, 4)"), r"has shape \(1099511627776, 4\)"),
        (
            npy_claiming("(2, 24, 32, 3)"),
            r"has 0 bytes of float32 for shape \(2, 24, 32, 3\), expected 18432 of float32",
        ),
        (npy_claiming("(2, 24, 32, 3)", "|O"), "does not describe an array of numbers"),
        (npy_claiming("(((((((((" * 400), "its header does not describe"),
        (npy(np.zeros((2, 3, 4, 3))), "bytes of float64"),
        (buffer.getvalue(), "it is not a .npy"),
        (b"\x80\x04cos\nsystem\n", "it is not a .npy"),
    ):
        record = make_record(members={"pointmap.npy": data})
        refused(ShardError, problem, lambda record=record: record.stored_pointmap())  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda f: f.update(image_size=[2**30, 2**30]), "2 frames of 1073741824x1073741824 pixels cannot be a view"),
        (lambda f: f.update(image_size=[]), "does not follow schema 1: IndexError"),
        (lambda f: f.update(objects=[[]]), "does not follow schema 1: AttributeError"),
        (lambda f: f.update(frame_ids=[1e400, 0]), "does not follow schema 1: OverflowError"),
        (lambda f: f.update(quality=[1]), "does not follow schema 1: TypeError"),
        (lambda f: f["camera_to_world"].__setitem__(1, np.zeros((4, 4)).tolist()), "camera_to_world of frame 1 is not"),
        (lambda f: f.update(intrinsics=[[0.0, 1.0, 0.0, 0.0]] * 2), "intrinsics are not finite, or a focal"),
        (lambda f: f.update(axis_alignment=np.ones((4, 4)).tolist()), "axis_alignment is not rigid"),
        (lambda f: f.update(view="x" * 100_000), "view is 'xxx"),
    ],
)
def test_a_record_of_impossible_values_is_refused(change: Callable[[dict[str, Any]], Any], problem: str) -> None:
    fields = json.loads(make_record().to_json())
    change(fields)
    text = json.dumps(fields).replace("Infinity", "1e999").encode()
    refused(ShardError, problem, lambda: record_from_json(text))
