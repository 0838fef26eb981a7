"""Shards are plain tars that anybody can read, and the reader trusts its index more than the tar."""

from __future__ import annotations

import hashlib
import pickle
import random
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from gapdata.errors import ShardError, UsageError
from gapdata.records.schema import Prompt, Record
from gapdata.shards.index import LATER_FIGURES, read_index, write_index
from gapdata.shards.reader import ShardReader
from gapdata.shards.writer import ShardWriter
from tests.records.test_records import make_record
from tests.support.builds import write_build as fixtures_build


def records(count: int = 5) -> list[Record]:
    asked = Prompt(index=1, frame=1, pixel=(3, 4), point=(0.0, 1.0, 2.0), object_id=0, label="chair")
    return [
        make_record(
            seed,
            key=f"scene000{seed}_00-clip-00000",
            scene_id=f"scene000{seed}_00",
            split="val" if seed == 4 else "train",
            prompts=(asked,),
        )
        for seed in range(count)
    ]


def write_build(path: Path, per_shard: int = 2) -> list[Record]:
    written, commits = records(), []
    path.mkdir(exist_ok=True)
    for start in range(0, len(written), per_shard):
        name = f"shard-{start // per_shard:06d}"
        with ShardWriter(path / f"{name}.tar") as writer:
            for record in written[start : start + per_shard]:
                writer.write(record)
        commits.append({"shard": name, "records": writer.records})
    write_index(path, commits)
    return written


def test_records_come_back_by_position_and_by_key(tmp_path: Path) -> None:
    written = write_build(tmp_path)
    reader = ShardReader(tmp_path)
    assert reader.keys == tuple(record.key for record in written)
    for index in (3, 0, 4, -1):
        assert reader[index].to_json() == written[index].to_json()
        assert reader[index].members == written[index].members
    assert reader[written[2].key].key == written[2].key
    assert [record.key for record in reader] == list(reader.keys)
    assert reader.select(split="val") == [4]
    assert reader.select(split="train", view="scene") == []


def test_records_are_selected_by_their_quality(tmp_path: Path) -> None:
    found = [replace(record, quality={"neighbour_misalignment": 0.01 * at}) for at, record in enumerate(records(4))]
    fixtures_build(tmp_path / "build", [*found, records()[4]])
    reader = ShardReader(tmp_path / "build")
    good = {"neighbour_misalignment": (0.0, 0.015)}
    assert reader.select(quality=good) == [0, 1]  # the last one was not measured
    assert sorted(reader.order(seed=0, quality=good).positions(0, 2).tolist()) == [0, 1]
    assert reader.select(quality={"neighbour_misalignment": (0.015, 0.025), "sharpness": (0.0, 9.0)}) == []
    with pytest.raises(UsageError, match="has no quality figure 'blur'; it has valid_depth, sharpness, "):
        reader.select(quality={"blur": (0.0, 1.0)})


def test_the_index_of_an_earlier_version_reads_with_unknown_figures(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    write_build(tmp_path)
    path = tmp_path / "index.parquet"
    pq.write_table(pq.read_table(path).drop_columns(list(LATER_FIGURES)), path)
    assert len(ShardReader(tmp_path)) == 5
    assert read_index(tmp_path).column("neighbour_residual").null_count == 5
    assert ShardReader(tmp_path).select(quality={"neighbour_residual": (0.0, 9.0)}) == []


def test_the_recorded_digest_and_offsets_are_those_of_the_file(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "a.tar") as writer:
        for record in records():
            writer.write(record)
    data = (tmp_path / "a.tar").read_bytes()
    assert writer.sha256 == hashlib.sha256(data).hexdigest()
    assert writer.size == len(data)
    with tarfile.open(tmp_path / "a.tar") as tar:
        for entry, record in zip(writer.records, records(), strict=True):
            for name, (offset, size) in entry["members"].items():
                info = tar.getmember(f"{record.key}.{name}")
                assert (info.offset_data, info.size) == (offset, size)
                assert (info.mtime, info.uid, info.mode) == (0, 0, 0o644)


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with ShardWriter(tmp_path / f"{name}.tar") as writer:
            for record in records():
                writer.write(record)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_an_interrupted_shard_never_appears(tmp_path: Path) -> None:
    def interrupted() -> None:
        with ShardWriter(tmp_path / "a.tar") as writer:
            writer.write(records()[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_tar_cut_at_a_member_boundary_is_an_error(tmp_path: Path) -> None:
    """Webdataset reads such a tar without complaint: the index is what knows better."""
    write_build(tmp_path)
    tar = tmp_path / "shard-000000.tar"
    with tarfile.open(tar) as opened:
        boundary = opened.getmembers()[len(opened.getmembers()) // 2].offset
    tar.write_bytes(tar.read_bytes()[:boundary])
    assert ShardReader(tmp_path)[0].key == "scene0000_00-clip-00000"
    with pytest.raises(ShardError, match=r"shard-000000\.tar: is truncated: 0 of \d+ bytes"):
        ShardReader(tmp_path)[1]


def test_a_tar_that_disagrees_with_its_index_is_an_error(tmp_path: Path) -> None:
    write_build(tmp_path)
    one, other = tmp_path / "shard-000000.tar", tmp_path / "shard-000001.tar"
    other.write_bytes(one.read_bytes())
    with pytest.raises(ShardError, match=r"shard-000001\.tar: has no member scene0002_00-clip-00000"):
        ShardReader(tmp_path)[2]
    one.unlink()
    with pytest.raises(ShardError, match=r"shard-000000\.tar: cannot be opened: No such file or directory"):
        ShardReader(tmp_path)[0]


def test_no_build_and_an_unknown_key_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no finished build \(no index\.parquet\)"):
        ShardReader(tmp_path)
    write_build(tmp_path)
    with pytest.raises(UsageError, match="has no record 'scene0001_00'; keys look like scene0001_00-clip-00000"):
        ShardReader(tmp_path)["scene0001_00"]


def test_a_damaged_index_is_named(tmp_path: Path) -> None:
    (tmp_path / "index.parquet").write_bytes(b"PAR1garbage")
    with pytest.raises(ShardError, match=r"index\.parquet: cannot be read"):
        ShardReader(tmp_path)


def test_a_reader_travels_to_another_process_as_a_path(tmp_path: Path) -> None:
    write_build(tmp_path)
    data = pickle.dumps(ShardReader(tmp_path))
    assert len(data) < 500
    assert len(pickle.loads(data)) == 5  # noqa: S301 - our own bytes


def test_a_reader_by_a_relative_place_outlives_a_change_of_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_build(tmp_path / "shards")
    monkeypatch.chdir(tmp_path)
    reader = ShardReader("shards")
    monkeypatch.chdir("/")
    assert len(pickle.loads(pickle.dumps(reader))) == 5  # noqa: S301 - our own bytes
    assert reader[4].key == reader.keys[4]
    assert len(reader.figure("overlap")) == 5


def test_what_a_reader_answers_cannot_be_changed_and_its_block_closes_its_tars(tmp_path: Path) -> None:
    write_build(tmp_path)
    with ShardReader(tmp_path) as reader:
        for values in (reader.counts("objects"), reader.figure("overlap")):
            with pytest.raises(ValueError, match="read-only"):
                values[0] = 9
        assert reader[0].key in reader
        assert reader._files
    assert not reader._files


def test_threads_may_read_more_tars_than_are_kept_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tar that is closed while another thread reads from it gives the bytes of the file that is opened next."""
    written = write_build(tmp_path, per_shard=1)
    monkeypatch.setattr("gapdata.shards.reader.MAX_OPEN_SHARDS", 2)
    reader, before = ShardReader(tmp_path), sys.getswitchinterval()

    def read(seed: int) -> list[tuple[int, bytes]]:
        return [(at, reader[at].to_json()) for at in random.Random(seed).choices(range(len(written)), k=200)]

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(read, range(8)))
    finally:
        sys.setswitchinterval(before)
    assert all(data == written[at].to_json() for part in found for at, data in part)
    assert len(reader._files) <= 2 + 8


def test_keys_that_webdataset_would_split_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ShardError, match="has a dot or a slash"),
        ShardWriter(tmp_path / "a.tar") as writer,
    ):
        writer.write(make_record(key="scene.0"))
