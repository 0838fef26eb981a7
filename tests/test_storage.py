"""Datasets and builds in an object store: the same bytes as on a disk, few requests, and nothing half written."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import pickle
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import look_from
from hypothesis import given
from hypothesis import strategies as st
from s3_fixtures import BROKEN, BUCKET, DENIED, Request, Store, s3_server
from scannet_fixtures import COLOR, DEPTH, write_scene

from gapdata.atomic import atomic_file, write_atomically
from gapdata.cli import main
from gapdata.errors import SourceError, UsageError
from gapdata.object_store import ObjectPath, upload
from gapdata.shards.reader import ShardReader
from gapdata.sources.scannet import ScanNetDataset
from gapdata.sources.sens import SensReader, SensWriter
from gapdata.storage import Location, location, open_ranged, remove_folder, subfolders

SETTINGS = [
    "frames.image_size=[128,96]",
    "clips.frames=2",
    "clips.interval=3",
    "clips.step=2",
    "clips.max_shift=1",
    "scene_views.frames=4",
    "prompts.spacing=8",
    "shards.scenes_per_shard=1",
]
NAMES = st.text("abcdefghij0123456789_-. ", min_size=1, max_size=12).filter(lambda name: name not in (".", ".."))


def build(source: object, out: object, *arguments: str) -> int:
    overrides = [part for setting in SETTINGS for part in ("--set", setting)]
    return main(["build-shards", "--scannet", str(source), "--out", str(out), *overrides, *arguments])


def on_disk(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


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


def long_sens(path: Path, frames: int, payload: int = 3000) -> Path:
    """A scan whose frames vary in size, with lost tracking; its colour bytes are noise that no decoder sees."""
    rng = np.random.default_rng(7)
    depth = np.zeros((48, 64), np.uint16)
    with SensWriter(path, color_intrinsics=COLOR, depth_intrinsics=DEPTH, depth_compression="raw") as writer:
        for frame in range(frames):
            lost = frame % 97 == 5
            pose = np.full((4, 4), -np.inf) if lost else look_from((0.01 * frame, 0, 1), 0.01 * frame)
            color = b"\xff\xd8" + rng.bytes(int(payload * rng.uniform(0.7, 1.3)))
            writer.write(color=color, depth=depth, camera_to_world=pose, color_timestamp=frame)
    return path


# Places


@given(scheme=st.sampled_from(["s3", "gs"]), parts=st.lists(NAMES, min_size=1, max_size=5), name=NAMES)
def test_joining_and_taking_apart_are_inverse(scheme: str, parts: list[str], name: str) -> None:
    place = location(f"{scheme}://{'/'.join(parts)}")
    assert isinstance(place, ObjectPath)
    assert str(place) == f"{scheme}://{'/'.join(parts)}"
    assert location(str(place)) == place
    joined = place / name
    assert (joined.name, joined.parent) == (name, place)
    assert joined.suffix == Path(name).suffix
    assert joined.with_name("other") == place / "other"
    assert location(f"{place}//{name}/") == joined == pickle.loads(pickle.dumps(joined))  # noqa: S301 - our own bytes


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_a_text_without_scheme_is_a_local_path(parts: list[str]) -> None:
    text = "/".join(parts)
    assert location(text) == Path(text)
    assert location(f"file:///{text}") == Path(f"/{text}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://host/x", "https://host/x: has the scheme 'https'; give a local path, s3://... or gs://..."),
        ("s3://", "names no bucket; write s3://bucket/folder"),
        ("s3:///key", "names no bucket"),
        ("s3://bucket/a/../b", "must not contain '..'"),
        ("s3://id:secret@bucket/x", "s3://...@bucket: carries credentials; set them in the environment"),
    ],
)
def test_a_uri_that_names_no_place_is_a_usage_error(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        location(text)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(SystemExit) as exit_status:
        main(["inspect", text])
    assert exit_status.value.code == 2
    assert message in capsys.readouterr().err


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


def test_a_store_answers_as_a_disk_does(store: Store, tmp_path: Path) -> None:
    store.write("tree/a.json", b"one\r\ntwo")
    store.write("tree/b/c.txt", b"three")
    (tmp_path / "b").mkdir()
    (tmp_path / "a.json").write_bytes(b"one\r\ntwo")
    (tmp_path / "b" / "c.txt").write_bytes(b"three")
    places: tuple[Location, Location] = (tmp_path, location(f"s3://{BUCKET}/tree"))
    answers = [
        (
            root.is_dir(),
            root.is_file(),
            [(root / name).exists() for name in ("a.json", "b", "none")],
            [(root / name).is_file() for name in ("a.json", "b", "none")],
            (root / "a.json").stat().st_size,
            (root / "a.json").read_bytes(),
            (root / "a.json").read_text(),
            sorted(path.name for path in root.iterdir()),
            [path.name for path in subfolders(root)],
            [path.name for path in root.glob("*.json")],
            [path.name for path in root.glob("b/*.txt")],
            list(root.glob("none/*")),
        )
        for root in places
    ]
    assert answers[0] == answers[1]
    for root in places:
        for read in (Path.read_bytes, Path.stat):
            with pytest.raises(FileNotFoundError) as caught:
                getattr(root / "none", read.__name__)()
            assert (caught.value.filename, caught.value.strerror) in (
                (str(root / "none"), "No such file or directory"),
                (root / "none", "No such file or directory"),
            )
        (root / "none").unlink(missing_ok=True)
        remove_folder(root / "b")
        remove_folder(root / "b")
        assert [path.name for path in root.iterdir()] == ["a.json"]
        (root / "a.json").unlink()
        assert not (root / "a.json").exists()


def test_ranged_reads_end_where_the_file_does(store: Store, tmp_path: Path) -> None:
    data = bytes(range(100))
    store.write("ranged", data)
    (tmp_path / "ranged").write_bytes(data)
    for place in (tmp_path / "ranged", location(f"s3://{BUCKET}/ranged")):
        file = open_ranged(place)
        assert file.size == 100
        assert file.read_at(10, 20) == data[10:30]
        assert file.read_at(90, 20) == data[90:]
        assert file.read_at(5, 0) == b""
        file.close()
        file.close()


# Uploads


@pytest.mark.parametrize("size", [0, 1, 3 << 20, pytest.param(25 << 20, marks=pytest.mark.slow)])
def test_a_written_object_holds_what_was_written(store: Store, size: int) -> None:
    data = os.urandom(size)
    write_atomically(location(f"s3://{BUCKET}/sized"), data)
    assert store.read("sized") == data


def test_an_interrupted_write_leaves_the_object_as_it_was(store: Store) -> None:
    place = location(f"s3://{BUCKET}/kept")

    def interrupted() -> None:
        with atomic_file(place) as file:
            file.write(b"half of it")
            raise KeyboardInterrupt

    for before in (set(), {"kept"}):
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert store.objects() & {"kept"} == before
        write_atomically(place, b"whole")
    assert store.read("kept") == b"whole"


@pytest.mark.parametrize("failing", ["part", "completion"])
def test_an_upload_whose_part_fails_never_appears(store: Store, failing: str) -> None:
    """Arrow would complete the upload with the parts that did arrive if its stream were merely closed."""

    def refuse(request: Request) -> tuple[str, bytes] | None:
        part = request.method == "PUT" and "partNumber=2" in request.query
        completion = request.method == "POST" and "uploadId" in request.query
        return ("400 Bad Request", BROKEN) if (part if failing == "part" else completion) else None

    place = ObjectPath("s3", f"{BUCKET}/never")
    with store.refusing(refuse), pytest.raises(OSError, match=r"the store fails: .*broken on purpose") as caught:
        upload(io.BytesIO(os.urandom(25 << 20)), place)
    assert caught.value.filename == str(place)
    assert "never" not in store.objects()


def test_a_process_killed_while_it_uploads_leaves_no_object(store: Store, tmp_path: Path) -> None:
    reached, release = threading.Event(), threading.Event()

    def hold(request: Request) -> tuple[str, bytes] | None:
        if request.method == "PUT" and "partNumber=2" in request.query:
            reached.set()
            release.wait(30)
        return None

    code = (
        "import io\n"
        "from gapdata.object_store import ObjectPath, upload\n"
        f"upload(io.BytesIO(bytes(25 << 20)), ObjectPath('s3', '{BUCKET}/killed'))"
    )
    with store.refusing(hold):
        process = subprocess.Popen([sys.executable, "-c", code])
        try:
            assert reached.wait(60)
        finally:
            process.kill()
            process.wait()
            release.set()
    assert "killed" not in store.objects()


# Scans


def test_a_scan_in_a_store_equals_the_one_on_disk(store: Store, dataset: Path, remote_dataset: str) -> None:
    local, remote = ScanNetDataset.open(dataset), ScanNetDataset.open(remote_dataset)
    assert remote.scene_ids == local.scene_ids
    assert remote.splits == local.splits
    assert str(remote.sens_path("scene0001_00")) == f"{remote_dataset}/scans/scene0001_00/scene0001_00.sens"
    with local.open_scan("scene0000_00") as one, remote.open_scan("scene0000_00") as other:
        assert one.digest() == other.digest()
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


def indexing_requests(store: Store, path: Path, key: str) -> tuple[list[Request], SensReader]:
    store.write(key, path.read_bytes())
    store.requests.clear()
    reader = SensReader(f"s3://{BUCKET}/{key}")
    return list(store.requests), reader


def test_small_frames_are_indexed_in_blocks(store: Store, tmp_path: Path) -> None:
    path = long_sens(tmp_path / "small.sens", 400)
    requests, remote = indexing_requests(store, path, "small.sens")
    with SensReader(path) as local, remote:
        assert remote.index_bytes == local.index_bytes
        assert remote.imu_count == local.imu_count
    blocks = path.stat().st_size / (256 << 10)
    assert len(requests) < 2 * blocks + 10
    assert sum(request.bytes_read for request in requests) < 1.3 * path.stat().st_size


@pytest.mark.slow
def test_large_frames_are_indexed_without_their_payloads_and_not_one_after_the_other(
    store: Store, tmp_path: Path
) -> None:
    frames = 400
    path = long_sens(tmp_path / "large.sens", frames, payload=60_000)
    requests, remote = indexing_requests(store, path, "large.sens")
    with SensReader(path) as local, remote:
        assert remote.index_bytes == local.index_bytes
        assert remote.color_bytes(399) == local.color_bytes(399)
    assert len(requests) < 1.2 * frames
    # Each of the 24 parts looks for its first header in a window of two frames; the rest is headers alone.
    assert sum(request.bytes_read for request in requests) < 0.15 * path.stat().st_size
    # Concurrency shows in the order of arrival: one chain alone would only ever ask for later bytes.
    starts = [request.ranged[0] for request in requests if request.ranged is not None]
    assert sum(later < earlier for earlier, later in pairwise(starts)) > 50


def test_bytes_that_look_like_headers_cannot_mislead_the_index(store: Store, tmp_path: Path) -> None:
    """Payloads full of forged headers: what was read ahead is then wrong, and the index must not care."""
    forged = struct.pack("<16f4Q", *np.eye(4).ravel(), 1, 1, 20_000, 20_000)
    depth = np.frombuffer(forged * 64, "<u2")[: 48 * 64].reshape(48, 64)
    path = tmp_path / "forged.sens"
    with SensWriter(path, color_intrinsics=COLOR, depth_intrinsics=DEPTH, depth_compression="raw") as writer:
        for frame in range(120):
            pose = look_from((0.01 * frame, 0, 1), 0.0)
            writer.write(color=b"\xff\xd8" + forged * (300 + frame % 7), depth=depth, camera_to_world=pose)
    _, remote = indexing_requests(store, path, "forged.sens")
    with SensReader(path) as local, remote:
        assert remote.index_bytes == local.index_bytes


def test_choosing_frames_reads_those_frames_alone_and_each_once(store: Store, tmp_path: Path) -> None:
    path = long_sens(tmp_path / "chosen.sens", 120, payload=30_000)
    _, remote = indexing_requests(store, path, "chosen.sens")
    store.requests.clear()
    with remote:
        for frame in range(0, 120, 30):
            remote.depth(frame)
        for frame in range(0, 120, 30):
            remote.color_bytes(frame)
    assert len(store.requests) == 4
    assert sum(request.bytes_read for request in store.requests) < 4.5 * path.stat().st_size / 120


# Builds


def test_a_build_in_a_store_equals_the_local_one_byte_for_byte(
    store: Store, local_build: Path, remote_build: str
) -> None:
    assert store.folder("build") == on_disk(local_build)


def test_either_side_may_be_local(
    store: Store, dataset: Path, remote_dataset: str, local_build: Path, tmp_path: Path
) -> None:
    assert build(dataset, f"s3://{BUCKET}/uploaded") == 0
    assert build(remote_dataset, tmp_path / "downloaded") == 0
    assert store.folder("uploaded") == on_disk(tmp_path / "downloaded") == on_disk(local_build)


def test_a_build_goes_on_where_it_stopped(store: Store, local_build: Path, remote_dataset: str) -> None:
    out = store.copy_in(local_build, "resumed")
    store.delete("resumed/shard-000001.json")
    store.delete("resumed/report.json")
    store.requests.clear()
    assert build(remote_dataset, out) == 0
    written = {request.path for request in store.requests if request.method == "PUT"}
    names = ("shard-000001.tar", "shard-000001.json", "index.parquet", "report.json")
    assert written == {f"/{BUCKET}/resumed/{name}" for name in names}
    order = [request.path for request in store.requests if request.method == "PUT"]
    assert order.index(f"/{BUCKET}/resumed/{names[0]}") < order.index(f"/{BUCKET}/resumed/{names[1]}")
    assert {name: data for name, data in store.folder("resumed").items() if name != ".lock"} == on_disk(local_build)


def test_a_cut_tar_is_built_again_and_overwriting_starts_over(
    store: Store, local_build: Path, remote_dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = store.copy_in(local_build, "again")
    store.delete("again/.lock")
    store.write("again/shard-000000.tar", b"cut")
    assert build(remote_dataset, out) == 0
    assert store.folder("again") == on_disk(local_build)
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


def denying(*parts: str) -> object:
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
    error = capsys.readouterr().err
    assert error.count("\n") == 1
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
    assert "s3://no-such-bucket/scans: is no directory" in capsys.readouterr().err


@pytest.mark.slow
def test_a_store_that_cannot_be_reached_is_one_line(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    for arguments in (["build-shards", "--scannet", str(dataset), "--out", "s3://lab/x"], ["inspect", "s3://lab/x"]):
        assert main(arguments) == 1
        error = capsys.readouterr().err
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
        remote.record(key)
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
        ([remote_dataset], ["scenes", "without_sens"]),
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
