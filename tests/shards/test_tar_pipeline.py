"""A build as a webdataset pipeline: the records of the index, decoded, and no tar that was cut off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from gapdata.errors import ShardError, UsageError
from gapdata.shards.reader import ShardReader
from tests.records.test_records import make_record
from tests.support.builds import write_shards


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> ShardReader:
    records = [
        make_record(seed, key=f"s{seed}-clip-00000", scene_id=f"s{seed}", split="val" if seed > 5 else "train")
        for seed in range(8)
    ]
    records[1] = replace(records[1], key="s1-scene-0", view="scene")
    return ShardReader(write_shards(tmp_path_factory.mktemp("tars") / "build", records, per_shard=2))


def test_the_records_of_a_split_come_decoded(build: ShardReader) -> None:
    samples = list(build.webdataset(split="train"))
    assert [sample["__key__"] for sample in samples] == [build.keys[place] for place in build.select(split="train")]
    for sample in samples:
        record = build[sample["key"]]
        np.testing.assert_array_equal(sample["images"], np.stack([record.image(0), record.image(1)]))
        np.testing.assert_array_equal(sample["pointmap"], record.pointmap())
        np.testing.assert_array_equal(sample["camera_to_first"], record.camera_to_first)
    assert [sample["key"] for sample in build.webdataset(split="train", view="scene")] == ["s1-scene-0"]
    assert [sample["record"].key for sample in build.webdataset(split="val", fields=("record",))] == [
        "s6-clip-00000",
        "s7-clip-00000",
    ]
    assert list(build.webdataset(split="test")) == []


@pytest.mark.parametrize("workers", [0, 2, 5])
def test_loader_workers_share_the_tars(build: ShardReader, workers: int) -> None:
    pipeline = build.webdataset(fields=("key",)).shuffle(10)
    found = [sample["key"] for sample in DataLoader(pipeline, batch_size=None, num_workers=workers)]
    assert sorted(found) == sorted(build.keys)


def test_a_tar_that_was_cut_off_is_an_error(build: ShardReader, tmp_path: Path) -> None:
    for path in Path(str(build.build)).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tar = tmp_path / "shard-000001.tar"
    tar.write_bytes(tar.read_bytes()[:5120])
    with pytest.raises(
        ShardError, match=r"shard-000001\.tar: has 5120 bytes, but its commit record states \d+; delete the shard's"
    ):
        list(ShardReader(tmp_path).webdataset(fields=("key",)))


@pytest.mark.parametrize("missing", ["shard-000001.tar", "shard-000001.json"])
def test_a_missing_file_is_an_error(build: ShardReader, tmp_path: Path, missing: str) -> None:
    for path in Path(str(build.build)).iterdir():
        if path.name != missing:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ShardError, match=rf"{missing}: cannot be opened: No such file or directory; delete"):
        list(ShardReader(tmp_path).webdataset(fields=("key",)))


def test_what_no_build_has_is_refused(build: ShardReader) -> None:
    with pytest.raises(UsageError, match="split 'vall' is unknown"):
        build.webdataset(split="vall")
    with pytest.raises(UsageError, match=r"fields is 'images'; give a list of names, as in \['images'\]"):
        build.webdataset(fields="images")
    with pytest.raises(UsageError, match="field 'image' is unknown; did you mean images"):
        build.webdataset(fields=("image",))
