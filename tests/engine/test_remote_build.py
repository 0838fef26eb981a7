"""Datasets and builds in an object store: the same bytes as on a disk, and nothing half written."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.errors import SourceError
from gapdata.files.storage import location
from gapdata.shards.reader import ShardReader
from gapdata.sources.scannet import ScanNetDataset, ScanNetScan
from gapdata.sources.sens import SensReader
from tests.support.builds import build, contents, overrides, without_notes
from tests.support.object_stores import BUCKET, DENIED, Request, Store, kill_at, s3_server
from tests.support.scannet_scenes import write_scene


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dataset")
    for index in range(2):
        write_scene(root / "scans" / f"scene000{index}_00", frames=10, lost=(4,))
    (root / "scannetv2_train.txt").write_text("scene0000_00\n")
    (root / "scannetv2_val.txt").write_text("scene0001_00\n")
    return root


@pytest.fixture(scope="module")
def remote_dataset(store: Store, dataset: Path) -> str:
    return store.copy_in(dataset, "scannet")


@pytest.fixture(scope="module")
def local_build(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build") / "shards"
    assert build(dataset, out) == 0
    return out


@pytest.fixture(scope="module")
def remote_build(store: Store, remote_dataset: str) -> str:
    assert build(remote_dataset, f"s3://{BUCKET}/build") == 0
    return f"s3://{BUCKET}/build"


def test_local_work_never_loads_arrows_file_systems(dataset: Path) -> None:
    code = (
        "import sys\n"
        "from gapdata.sources.scannet import ScanNetDataset\n"
        f"dataset = ScanNetDataset.open({str(dataset)!r})\n"
        "dataset.open_scan('scene0000_00').digest()\n"
        "print([name for name in sys.modules if name.startswith('pyarrow')])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# Scans


def test_a_scan_in_a_store_equals_the_one_contents(store: Store, dataset: Path, remote_dataset: str) -> None:
    local, remote = ScanNetDataset.open(dataset), ScanNetDataset.open(remote_dataset)
    assert remote.scene_ids == local.scene_ids
    assert remote.splits == local.splits
    assert str(remote.sens_path("scene0001_00")) == f"{remote_dataset}/scans/scene0001_00/scene0001_00.sens"
    with local.open_scan("scene0000_00") as one, remote.open_scan("scene0000_00") as other:
        assert one.digest() == other.digest()
        assert isinstance(one, ScanNetScan)
        assert isinstance(other, ScanNetScan)
        assert one.metadata == other.metadata
        np.testing.assert_array_equal(one.camera_to_world, other.camera_to_world)
        for frame in (0, 9, 3):
            np.testing.assert_array_equal(one.depth(frame), other.depth(frame))
            np.testing.assert_array_equal(one.color(frame), other.color(frame))
        left, right = one.annotation(), other.annotation()
        assert left is not None
        assert right is not None
        np.testing.assert_array_equal(left.vertices, right.vertices)
        np.testing.assert_array_equal(left.faces, right.faces)
        np.testing.assert_array_equal(left.colors, right.colors)
        np.testing.assert_array_equal(left.vertex_object_ids(), right.vertex_object_ids())


# Builds


def test_a_build_in_a_store_equals_the_local_one_byte_for_byte(
    store: Store, local_build: Path, remote_build: str
) -> None:
    assert store.folder("build") == contents(local_build)


def test_the_report_of_a_build_in_a_store_equals_that_of_its_copy_contents(
    remote_build: str, local_build: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "build"
    shutil.copytree(local_build, copy)
    for name, place in (("here", str(copy)), ("there", remote_build)):
        assert main(["report", place, "--out", str(tmp_path / name), "--views", "2"]) == 0
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


def test_either_side_may_be_local(
    store: Store, dataset: Path, remote_dataset: str, local_build: Path, tmp_path: Path
) -> None:
    assert build(dataset, f"s3://{BUCKET}/uploaded") == 0
    assert build(remote_dataset, tmp_path / "downloaded") == 0
    assert store.folder("uploaded") == contents(tmp_path / "downloaded") == contents(local_build)


def test_a_build_goes_on_where_it_stopped(store: Store, local_build: Path, remote_dataset: str) -> None:
    out = store.copy_in(local_build, "resumed")
    store.delete("resumed/shard-000001.json")
    store.delete("resumed/report.json")
    store.requests.clear()
    assert build(remote_dataset, out) == 0
    written = {request.path for request in store.requests if request.method == "PUT"}
    names = ("shard-000001.tar", "shard-000001.json", "index.parquet", "splits.json", "report.json", "build.sha256")
    assert written == {f"/{BUCKET}/resumed/{name}" for name in names}
    order = [request.path for request in store.requests if request.method == "PUT"]
    assert order.index(f"/{BUCKET}/resumed/{names[0]}") < order.index(f"/{BUCKET}/resumed/{names[1]}")
    assert {name: data for name, data in store.folder("resumed").items() if name != ".lock"} == contents(local_build)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["plan.json", "shard-000000.tar", "shard-000000.json", "shard-000001.tar", "report.json"]
)
def test_a_build_that_is_killed_goes_on_to_the_same_bytes(
    store: Store, local_build: Path, remote_dataset: str, name: str
) -> None:
    prefix = f"killed-at-{name}"
    out = f"s3://{BUCKET}/{prefix}"
    command = [
        "-m",
        "gapdata",
        "build-shards",
        "--scannet",
        remote_dataset,
        "--out",
        out,
        *overrides(),
        "--executor",
        "inline",
    ]
    kill_at(store, command, lambda request: request.method == "PUT" and request.path.endswith(f"{prefix}/{name}"))
    left = store.folder(prefix)
    assert set(left) <= set(contents(local_build))  # the server may finish a request that it had received
    assert all(data == contents(local_build)[kept] for kept, data in left.items())
    assert build(remote_dataset, out) == 0
    assert store.folder(prefix) == contents(local_build)


def test_a_cut_tar_is_built_again_and_overwriting_starts_over(
    store: Store, local_build: Path, remote_dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = store.copy_in(local_build, "again")
    store.delete("again/.lock")
    store.write("again/shard-000000.tar", b"cut")
    assert build(remote_dataset, out) == 0
    assert store.folder("again") == contents(local_build)
    assert build(remote_dataset, out, "--set", "seed=9") == 2
    assert f"gapdata: {out}: holds a build of another recipe or other sources: seed was 0 and is 9" in (
        capsys.readouterr().err
    )
    store.write("again/failed/scene0000_00.json", b"[]")
    assert build(remote_dataset, out, "--set", "seed=9", "--overwrite") == 0
    assert json.loads(store.read("again/plan.json"))["recipe"]["seed"] == 9
    assert "again/failed/scene0000_00.json" not in store.objects()


def test_a_place_that_holds_something_else_is_left_alone(
    store: Store, remote_dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store.write("thesis/chapter.tex", b"important")
    assert build(remote_dataset, f"s3://{BUCKET}/thesis") == 2
    assert "is not empty and holds no build" in capsys.readouterr().err
    assert store.folder("thesis") == {"chapter.tex": b"important"}


def test_a_truncated_object_is_named_by_its_uri_and_the_rest_is_built(
    store: Store, dataset: Path, local_build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = store.copy_in(dataset, "truncated")
    key = "truncated/scans/scene0000_00/scene0000_00.sens"
    store.write(key, store.read(key)[:-20_000])
    with pytest.raises(SourceError, match=rf"s3://{BUCKET}/{key}: frame \d: is truncated or damaged"):
        SensReader(f"s3://{BUCKET}/{key}")
    assert build(source, f"s3://{BUCKET}/partial") == 3
    assert "quarantined: 1" in capsys.readouterr().out
    (lost,) = json.loads(store.read("partial/report.json"))["quarantined"]
    assert (lost["scene_id"], lost["path"]) == ("scene0000_00", f"s3://{BUCKET}/{key}")
    assert store.read("partial/shard-000001.tar") == (local_build / "shard-000001.tar").read_bytes()
    assert "partial/shard-000000.tar" not in store.objects()
    assert "partial/failed/scene0000_00.json" in store.objects()


# Refusals


def denying(*parts: str) -> Callable[[Request], tuple[str, bytes] | None]:
    def refuse(request: Request) -> tuple[str, bytes] | None:
        return ("403 Forbidden", DENIED) if any(part in request.path for part in parts) else None

    return refuse


def test_a_scene_that_may_not_be_read_is_quarantined(
    store: Store, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = store.copy_in(dataset, "forbidden")
    for name, out in (("scene0000_00.sens", "denied-sens"), ("scene0000_00_vh_clean_2.ply", "denied-mesh")):
        with store.refusing(denying(f"/forbidden/scans/scene0000_00/{name}")):
            assert build(source, f"s3://{BUCKET}/{out}") == 3
        (lost,) = json.loads(store.read(f"{out}/report.json"))["quarantined"]
        assert lost["scene_id"] == "scene0000_00"
        assert lost["path"].endswith(f"/forbidden/scans/scene0000_00/{name}")
        assert "access is denied; check the credentials" in lost["problem"]
        assert f"{out}/shard-000001.tar" in store.objects()
        capsys.readouterr()


def test_an_output_that_may_not_be_written_stops_the_build_with_one_line(
    store: Store, remote_dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with store.refusing(
        lambda request: ("403 Forbidden", DENIED) if request.method == "PUT" and ".tar" in request.path else None
    ):
        assert build(remote_dataset, f"s3://{BUCKET}/readonly") == 1
    *progress, error = without_notes(capsys.readouterr().err).splitlines()
    assert progress == ["building 2 shards in this process"]
    assert f"gapdata: s3://{BUCKET}/readonly/shard-000000.tar: access is denied; check the credentials" in error
    assert set(store.folder("readonly")) == {"plan.json"}


def test_a_bucket_that_does_not_exist_is_known_before_work_starts(
    store: Store, remote_dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store.requests.clear()
    assert build(remote_dataset, "s3://no-such-bucket/x") == 1
    assert "gapdata: s3://no-such-bucket: the bucket does not exist" in capsys.readouterr().err
    assert not any(request.path.endswith(".sens") for request in store.requests)
    assert build("s3://no-such-bucket/scans", f"s3://{BUCKET}/nothing") == 2
    assert "s3://no-such-bucket/scans: is not a directory" in capsys.readouterr().err


@pytest.mark.slow
def test_a_store_that_cannot_be_reached_is_one_line(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    for arguments in (["build-shards", "--scannet", str(dataset), "--out", "s3://lab/x"], ["inspect", "s3://lab/x"]):
        assert main(arguments) == 1
        error = without_notes(capsys.readouterr().err)
        assert error.count("\n") == 1
        assert "gapdata: s3://lab" in error
        assert "the store cannot be reached; check the network and AWS_ENDPOINT_URL" in error


# Reading


def test_the_reader_returns_the_same_records_in_one_request_each(
    store: Store, local_build: Path, remote_build: str
) -> None:
    local, remote = ShardReader(local_build), ShardReader(remote_build)
    assert remote.keys == local.keys
    for one, other in zip(local, remote, strict=True):
        assert one.to_json() == other.to_json()
        assert one.members == other.members
    store.requests.clear()
    for key in remote.keys[:3]:
        remote[key]
    assert [request.method for request in store.requests] == ["GET"] * 3


def test_a_reader_travels_as_a_uri_and_survives_a_fork(local_build: Path, remote_build: str) -> None:
    reader = ShardReader(remote_build)
    expected = [record.to_json() for record in ShardReader(local_build)]
    assert reader[0].to_json() == expected[0]
    again = pickle.loads(pickle.dumps(reader))  # noqa: S301 - our own bytes
    assert again.build == location(remote_build)
    assert again[1].to_json() == expected[1]
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(target=lambda: answers.put([record.to_json() for record in reader]))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert answers.get() == expected


def test_a_damaged_build_in_a_store_is_named_by_its_uri(store: Store, local_build: Path) -> None:
    out = store.copy_in(local_build, "damaged")
    store.write("damaged/shard-000000.tar", store.read("damaged/shard-000000.tar")[:5000])
    with pytest.raises(Exception, match=rf"{out}/shard-000000\.tar: is truncated: \d+ of \d+ bytes"):
        list(ShardReader(out))
    store.delete("damaged/shard-000000.tar")
    with pytest.raises(Exception, match=rf"{out}/shard-000000\.tar: cannot be opened: No such file or directory"):
        ShardReader(out)[0]
    store.write("damaged/index.parquet", b"PAR1garbage")
    with pytest.raises(Exception, match=rf"{out}/index\.parquet: cannot be read"):
        ShardReader(out)


def test_every_kind_of_place_can_be_inspected_and_viewed(
    remote_dataset: str, remote_build: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = f"{remote_dataset}/scans/scene0000_00"
    for arguments, expected in (
        ([remote_dataset], ["scenes", "without_frames"]),
        ([scene], ["Office", "office chair 2"]),
        ([f"{scene}/scene0000_00.sens"], [f"{scene}/scene0000_00.sens", "frames"]),
        ([remote_build], ["in 2 shards"]),
        ([remote_build, "--key", "scene0000_00-scene-0"], ["prompts"]),
    ):
        assert main(["inspect", *arguments]) == 0
        output = capsys.readouterr().out
        assert all(text in output for text in expected), output
    assert main(["view", remote_build, "--key", "scene0000_00-scene-0", "--save", str(tmp_path / "x.ply")]) == 0
    assert (tmp_path / "x.ply").stat().st_size > 1000
    assert main(["inspect", f"{remote_build}-none"]) == 2
    assert f"{remote_build}-none: does not exist" in capsys.readouterr().err
