"""Archives read in place: the same for zips, tars, disks and stores; hostile and damaged ones give one clear error."""

from __future__ import annotations

import io
import resource
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gapdata.files.archive import open_archive
from gapdata.files.storage import Location, location
from tests.support.object_stores import BUCKET, Store, s3_server

LIMIT = 1 << 20
CONTENT = {"b/10.png": b"ten" * 5000, "b/9.png": b"nine", "_info.txt": b"m_depthShift = 1000\n", "empty": b""}


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with s3_server() as server:
        yield server


def write_zip(path: Path, members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            archive.addfile(info, io.BytesIO(data))
    return path


WRITERS = {"zip": write_zip, "tar": write_tar}


def problem(path: Location, name: str | None = None, limit: int = LIMIT) -> str:
    """What is wrong with an archive, or with one member of it."""

    def read() -> None:
        with open_archive(path) as archive:
            if name is not None:
                archive.read(name, limit)

    with pytest.raises(ValueError, match=r".") as caught:
        read()
    return str(caught.value)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("remote", [False, True])
def test_members_are_read_in_place(tmp_path: Path, kind: str, remote: bool, store: Store) -> None:
    path = WRITERS[kind](tmp_path / "sequence", list(CONTENT.items()))
    place: Location = path
    if remote:
        store.write(f"archives/{kind}", path.read_bytes())
        place = location(f"s3://{BUCKET}/archives/{kind}")
    with open_archive(place) as archive:
        assert list(archive.sizes) == list(CONTENT)
        for name in reversed(CONTENT):
            assert archive.sizes[name] == len(CONTENT[name])
            assert archive.read(name, LIMIT) == CONTENT[name]
        assert "b/9.png" in archive
        assert "b" not in archive


def test_a_member_of_a_store_costs_few_requests_and_not_the_whole_archive(tmp_path: Path, store: Store) -> None:
    noise = np.random.default_rng(0).bytes(300_000)
    path = write_zip(tmp_path / "a.zip", [(f"{n}.bin", noise) for n in range(30)])
    store.write("archives/large.zip", path.read_bytes())
    with open_archive(location(f"s3://{BUCKET}/archives/large.zip")) as archive:
        store.requests.clear()
        assert archive.read("7.bin", LIMIT) == noise
        asked = [request.bytes_read for request in store.requests if request.method == "GET"]
    assert len(asked) <= 4
    assert sum(asked) < 2 * len(noise)


@pytest.mark.parametrize("kind", WRITERS)
def test_the_digest_changes_with_a_members_name_and_size(tmp_path: Path, kind: str) -> None:
    seen = set()
    for number, changed in enumerate(({}, {"empty": b"1"}, {"other": b""})):
        path = WRITERS[kind](tmp_path / f"{number}", list({**CONTENT, **changed}.items()))
        with open_archive(path) as archive:
            seen.add(archive.digest_input())
            assert archive.digest_input() in seen
    assert len(seen) == 3


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../up", "C:/x", "a\\b"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, kind: str, name: str) -> None:
    assert "unsafe name" in problem(WRITERS[kind](tmp_path / "a", [("fine", b""), (name, b"x")]))


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_is_refused(tmp_path: Path, kind: str) -> None:
    assert "has 0.jpg twice" in problem(WRITERS[kind](tmp_path / "a", [("0.jpg", b"a"), ("0.jpg", b"b")]))


@pytest.mark.parametrize("kind", WRITERS)
def test_what_systems_leave_behind_is_passed_over(tmp_path: Path, kind: str) -> None:
    litter = [("__MACOSX/._0.jpg", b"x"), (".DS_Store", b"x"), ("0.jpg", b"a"), ("rgbd/", b"")]
    with open_archive(WRITERS[kind](tmp_path / "a", litter)) as archive:
        assert list(archive.sizes) == ["0.jpg"]


@pytest.mark.parametrize("kind", WRITERS)
def test_a_member_larger_than_expected_is_not_read(tmp_path: Path, kind: str) -> None:
    path = WRITERS[kind](tmp_path / "a", [("0.depth", bytes(200_000))])
    assert problem(path, "0.depth", 100_000) == "has 0.depth of 200000 bytes unpacked, expected at most 100000"


def test_a_bomb_is_refused_by_its_stated_size(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a", [("0.depth", bytes(100 << 20))])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "expected at most" in problem(path, "0.depth")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 20 << 10  # KiB


def test_a_bomb_that_states_less_than_it_holds_is_damaged(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a", [("0.depth", bytes(100 << 20))])
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, 1000)
    path.write_bytes(data)
    assert "0.depth" in problem(path, "0.depth")


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_cut_archive_is_one_clear_error(tmp_path: Path, kind: str, share: float) -> None:
    noise = np.random.default_rng(0).bytes(40_000)
    path = WRITERS[kind](tmp_path / "a", [(f"{n}.jpg", noise) for n in range(5)])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "cut off or damaged" in problem(path)


@pytest.mark.parametrize("kind", WRITERS)
def test_every_cut_and_flipped_byte_is_an_error_or_harmless(tmp_path: Path, kind: str) -> None:
    data = WRITERS[kind](tmp_path / "a", list(CONTENT.items())).read_bytes()
    rng = np.random.default_rng(5)
    for trial in range(300):
        damaged = bytearray(data[: int(rng.integers(len(data)))] if trial % 3 == 0 else data)
        for at in rng.integers(0, len(damaged), 4) if damaged else ():
            damaged[at] ^= int(rng.integers(1, 256))
        path = tmp_path / "damaged"
        path.write_bytes(damaged)
        try:
            with open_archive(path) as archive:
                for name in archive.sizes:
                    assert len(archive.read(name, LIMIT)) <= LIMIT
        except ValueError as error:
            assert str(error)  # noqa: PT017 any other exception fails the test


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04", "cut off"),
        (b"hello", "is neither a zip nor a tar"),
        (b"\x1f\x8b\x08\0\0\0", "is packed by gzip"),
    ],
)
def test_what_is_not_an_archive_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    assert expected in problem(path)


def test_a_tar_header_that_asks_for_much_memory_gets_none(tmp_path: Path) -> None:
    """A header of further attributes (pax) may state any size (POSIX.1-2001)."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    path = tmp_path / "a.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    assert "tar that cannot be read" in problem(path)


def test_a_missing_member_is_named(tmp_path: Path) -> None:
    assert problem(write_zip(tmp_path / "a", [("x", b"")]), "metadata") == "has no member metadata"


def test_a_member_without_a_name_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a", [("x", b"1")])
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    struct.pack_into("<HH", data, entry + 28, 0, 1)  # the name's byte becomes the one of the extra field
    path.write_bytes(data)
    assert "unsafe name ''" in problem(path)


def test_an_encrypted_member_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a", [("x", b"1")])
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert problem(path, "x") == "has x encrypted"
