"""A store that answers 500 and 503 in bursts, drops connections, cuts bodies or is late costs time, nothing else."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gapdata.engine.driver import run_build
from gapdata.engine.executors.inline import InlineExecutor
from gapdata.engine.executors.local import LocalExecutor
from gapdata.errors import SourceChanged, StoreError
from gapdata.files import store_failures
from gapdata.files.object_store import ObjectFile, ObjectPath
from tests.support.builds import build, contents
from tests.support.faulty_store import KINDS, Asked, FaultyStore, faulty_store, times
from tests.support.object_stores import BUCKET, Store, s3_server
from tests.support.scannet_scenes import write_scene

WAITS = (0.01, 0.01, 0.02, 0.02)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def faulty(store: Store) -> Iterator[FaultyStore]:
    with faulty_store(store.endpoint) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def brief_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_failures, "WAITS", WAITS)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dataset")
    write_scene(root / "scans" / "scene0000_00", frames=8, lost=(4,))
    return root


@pytest.fixture(scope="module")
def undisturbed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("build") / "shards"
    assert build(dataset, out) == 0
    return contents(out)


@pytest.mark.parametrize("kind", KINDS)
def test_one_fault_while_the_plan_is_made_or_a_worker_reads_changes_nothing(
    store: Store, faulty: FaultyStore, dataset: Path, undisturbed: dict[str, bytes], kind: str, tmp_path: Path
) -> None:
    source = store.copy_in(dataset, f"one-{kind}")
    for suffix in (".sens", "_vh_clean_2.ply"):
        with faulty.failing(times(1, kind, f"scene0000_00{suffix}")) as done:
            assert build(source, tmp_path / f"out{suffix}") == 0
        assert done == [kind]
        assert contents(tmp_path / f"out{suffix}") == undisturbed


def test_a_storm_of_faults_gives_the_same_bytes(
    store: Store, faulty: FaultyStore, dataset: Path, undisturbed: dict[str, bytes]
) -> None:
    source = store.copy_in(dataset, "storm")
    chance = random.Random(5)

    def storm(asked: Asked) -> str | None:
        if chance.random() > 0.1:
            return None
        return chance.choice(KINDS if asked.method == "GET" else ("500", "503"))

    with faulty.failing(storm) as done:
        assert build(source, f"s3://{BUCKET}/stormed") == 0
    assert len(set(done)) >= 3
    assert store.folder("stormed") == undisturbed


def test_a_store_that_keeps_failing_is_never_taken_for_damage(
    store: Store, faulty: FaultyStore, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = store.copy_in(dataset, "down"), tmp_path / "shards"
    with faulty.failing(times(10_000, "503", ".sens")):
        assert build(source, out) == 1
        error = capsys.readouterr().err
        assert f"{source}/scans/scene0000_00/scene0000_00.sens" in error
        assert "the store fails" in error
        assert not (out / "plan.json").exists()
    assert build(source, out) == 0

    (out / "shard-000000.json").unlink()
    with faulty.failing(times(10_000, "500", "_vh_clean_2.ply")):  # not read while the plan is made
        assert build(source, out) == 1
    assert "the same command goes on" in capsys.readouterr().err
    assert not (out / "failed").exists()
    assert build(source, out) == 0


def test_workers_leave_a_shard_undone_that_a_store_keeps_back(dataset: Path, tmp_path: Path) -> None:
    from tests.support.executors import request_for

    request = request_for(dataset, tmp_path / "shards")
    with pytest.raises(StoreError, match="1 shard could not be built, shard-000000 because"):
        run_build(request, LocalExecutor(1, work=_out_of_reach))
    assert not (tmp_path / "shards" / "report.json").exists()
    assert not (tmp_path / "shards" / "failed").exists()
    assert run_build(request, InlineExecutor())["quarantined"] == []


def _out_of_reach(task: object, progress: object) -> dict[str, object]:
    raise StoreError("the store fails", path="s3://lab/x")


@pytest.mark.parametrize(("kind", "error"), [("403", PermissionError), ("404", FileNotFoundError)])
@pytest.mark.parametrize("size", [96, 200_000])
def test_what_a_store_refuses_for_good_is_named_at_once(
    store: Store, faulty: FaultyStore, kind: str, error: type[OSError], size: int
) -> None:
    store.write("refused", bytes(300_000))
    with ObjectFile(ObjectPath("s3", f"{BUCKET}/refused")) as file:
        faulty.asked.clear()
        with faulty.failing(times(10_000, kind, "refused")), pytest.raises(error) as caught:
            file.read_at(5, size)
        assert caught.value.filename == f"s3://{BUCKET}/refused"
        assert len(faulty.asked) == 1


@pytest.mark.parametrize("size", [1, 96, 5000])
def test_a_small_object_is_read_through_faults(store: Store, faulty: FaultyStore, size: int) -> None:
    """The XML of an error is larger than the object."""
    data = random.Random(size).randbytes(size)
    store.write("small", data)
    for kind in KINDS:
        with faulty.failing(times(2, kind, "small")) as done:
            assert ObjectPath("s3", f"{BUCKET}/small").read_bytes() == data
        assert done


# Sources that change


def replaced(at: str, change: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the change when a build reaches a point."""
    from gapdata.engine import build_shard as building
    from gapdata.engine import driver
    from gapdata.engine.scene_records import scene_records

    if at == "planned":
        original = driver._build_missing

        def after_the_change(*items: Any) -> Any:
            change()
            return original(*items)

        monkeypatch.setattr(driver, "_build_missing", after_the_change)
    else:
        records = scene_records

        def late(*scene: Any) -> Iterator[object]:
            yield from records(*scene)
            change()

        monkeypatch.setattr(building, "scene_records", late)


@pytest.mark.parametrize("at", ["planned", "read"])
@pytest.mark.parametrize("name", [".sens", "_vh_clean_2.ply", ".txt"])
def test_a_source_that_is_replaced_after_planning_is_never_committed_as_the_planned_one(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, name: str
) -> None:
    from tests.support.executors import request_for

    source = tmp_path / "source"
    shutil.copytree(dataset, source)
    path = source / "scans" / "scene0000_00" / f"scene0000_00{name}"

    def change() -> None:  # of equal size, as a repaired download is
        data = bytearray(path.read_bytes())
        data[-40] ^= 1
        (path.parent / "new").write_bytes(data)
        os.replace(path.parent / "new", path)

    with monkeypatch.context() as patch:
        replaced(at, change, patch)
        with pytest.raises(SourceChanged, match=f"{path}: scene scene0000_00: was changed"):
            run_build(request_for(source, tmp_path / "out"), InlineExecutor())
    assert not list((tmp_path / "out").glob("shard-*"))


def test_a_scan_that_workers_see_otherwise_than_the_driver_is_given_up_and_can_be_taken_up(
    dataset: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(dataset, source)
    out = tmp_path / "out"
    assert build(source, out) == 0
    (out / "shard-000000.json").unlink()
    (source / "scans" / "scene0000_00" / "scene0000_00.txt").write_text(
        "axisAlignment = 1 0 0 2 0 1 0 0 0 0 1 0 0 0 0 1\n"
    )
    assert build(source, out) == 2
    assert build(source, out, "--retry-failed") == 0
    assert json.loads((out / "report.json").read_bytes())["quarantined"] == []
