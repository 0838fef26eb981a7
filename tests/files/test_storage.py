"""Places on a disk and in an object store: the same answers, whole uploads or none, few requests for an index."""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.commands.main import main
from gapdata.errors import UsageError
from gapdata.files.atomic import atomic_file, write_atomically
from gapdata.files.object_store import ObjectPath, upload
from gapdata.files.storage import Location, local_path, location, open_ranged, remove_folder, subfolders
from gapdata.sources.sens import SensReader
from gapdata.synthetic.sens_writer import SensWriter
from tests.conftest import look_from
from tests.support.object_stores import BROKEN, BUCKET, Request, Store, kill_at, s3_server
from tests.support.scannet_scenes import COLOR, DEPTH

NAMES = st.text("abcdefghij0123456789_-. ", min_size=1, max_size=12).filter(lambda name: name not in (".", ".."))


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with s3_server() as server:
        yield server


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


def test_the_home_folder_is_found_from_python_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for place in ("~/shards", Path("~/shards")):
        assert location(place) == local_path(place) == tmp_path / "shards"
    assert location("~") == tmp_path
    for name in ("~old/shards", "a/~/b"):
        assert location(name) == Path(name)


def test_a_uri_that_pathlib_spoilt_is_a_usage_error() -> None:
    for uri in ("s3://bucket/shards", "gs://bucket/shards"):
        with pytest.raises(UsageError, match="has lost a slash; give a URI as a text"):
            location(Path(uri))


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_a_text_without_scheme_is_a_local_path(parts: list[str]) -> None:
    text = "/".join(parts)
    assert location(text) == Path(text)
    assert location(f"file:///{text}") == Path(f"/{text}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://host/x", "https://host/x: has the unknown scheme 'https'; give a local path, s3://... or gs://..."),
        ("s3://", "does not name a bucket; write s3://bucket/folder"),
        ("s3:///key", "does not name a bucket"),
        ("s3://bucket/a/../b", "must not contain '..'"),
        ("s3://id:secret@bucket/x", "s3://...@bucket: contains credentials; set them in the environment"),
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
    with store.refusing(refuse), pytest.raises(OSError, match=r"the store refuses: .*broken on purpose") as caught:
        upload(io.BytesIO(os.urandom(25 << 20)), place)
    assert caught.value.filename == str(place)
    assert "never" not in store.objects()


def test_a_process_killed_while_it_uploads_leaves_no_object(store: Store) -> None:
    code = (
        "import io\n"
        "from gapdata.files.object_store import ObjectPath, upload\n"
        f"upload(io.BytesIO(bytes(25 << 20)), ObjectPath('s3', '{BUCKET}/killed'))"
    )
    kill_at(store, ["-c", code], lambda request: request.method == "PUT" and "partNumber=2" in request.query)
    assert "killed" not in store.objects()


# Scans


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
    """Payloads full of forged headers that lead to one another: what was read ahead is wrong, the index must not be."""
    forged = struct.pack("<16f4Q", *np.eye(4).ravel(), 1, 1, 960, 960)
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
