"""A list of records offers what a build's reader offers, with the same answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gapdata.errors import UsageError
from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader
from gapdata.shards.records import RecordList, Records
from tests.shards.test_shards import records
from tests.support.builds import write_build


def measured() -> list[Record]:
    """Five records with different figures, the last of them without any and of another split."""
    figures = [{"neighbour_misalignment": 0.01 * at, "sharpness": [1.0 + at, 2.0 + at]} for at in range(4)]
    found = [replace(record, quality=figure) for record, figure in zip(records(4), figures, strict=True)]
    return [*found, records()[4]]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Records, Records]:
    build = write_build(tmp_path_factory.mktemp("build") / "shards", measured())
    return ShardReader(build), RecordList(measured())


def test_a_list_selects_what_a_build_selects(both: tuple[Records, Records]) -> None:
    build, listed = both
    assert list(build.keys) == list(listed.keys)
    assert len(build) == len(listed) == 5
    for split in (None, "train", "val", "test"):
        for view in (None, "clip", "scene"):
            assert build.select(split=split, view=view) == listed.select(split=split, view=view)
    for quality in ({"neighbour_misalignment": (0.0, 0.015)}, {"sharpness": (2.5, 9.0)}, {"overlap": (0.0, 1.0)}):
        assert build.select(quality=quality) == listed.select(quality=quality)
    assert listed.select(quality={"sharpness": (2.5, 9.0)}) == [1, 2, 3]


def test_a_list_gives_the_records_and_counts_of_a_build(both: tuple[Records, Records]) -> None:
    build, listed = both
    for which in (0, -1, 3, build.keys[2]):
        assert build[which].to_json() == listed[which].to_json()
        assert build[which].members == listed[which].members
    assert [record.key for record in listed] == [record.key for record in build]
    assert build.without_images(1).to_json() == listed.without_images(1).to_json() == listed[1].to_json()
    assert dict(build.without_images(1).members) == dict(listed.without_images(1).members) == {}
    for name in ("prompts", "objects"):
        assert build.counts(name).tolist() == listed.counts(name).tolist()
    assert build.counts("prompts").tolist() == [1] * 5
    assert build.fingerprint is None
    assert listed.fingerprint is None


def test_a_list_mixes_all_of_its_records(both: tuple[Records, Records]) -> None:
    order = both[1].order(seed=3, split="train")
    assert sorted(order.epoch(0).tolist()) == [0, 1, 2, 3]
    assert len({tuple(order.epoch(number).tolist()) for number in range(8)}) > 1
    assert len(both[1].order(seed=3, view="scene")) == 0


@pytest.mark.parametrize("place", [0, 1])
def test_positions_are_any_integers_and_keys_are_members(both: tuple[Records, Records], place: int) -> None:
    known = both[place]
    for which in (np.int64(1), np.uint8(1), np.int8(-4), np.array(1)):
        assert known[which].key == known.keys[1]
    assert known.keys[2] in known
    assert "scene" not in known
    assert 2 not in known
    assert repr(known).endswith("5 records>")


@pytest.mark.parametrize("place", [0, 1])
def test_what_no_build_has_is_refused(both: tuple[Records, Records], place: int) -> None:
    known = both[place]
    with pytest.raises(UsageError, match="split 'vall' is unknown; did you mean val"):
        known.select(split="vall")
    with pytest.raises(UsageError, match="view 'movie' is unknown; choose from clip, scene, around"):
        known.select(view="movie")
    with pytest.raises(UsageError, match="quality figure 'blur'"):
        known.select(quality={"blur": (0.0, 1.0)})
    with pytest.raises(UsageError, match="has no record 'scene0001_00'; keys look like scene0001_00-clip-00000"):
        known["scene0001_00"]
    for which in (5, -6):
        with pytest.raises(IndexError, match=f"there is no record {which} among 5 records"):
            known[which]
        with pytest.raises(IndexError):
            known.without_images(which)
    for several in (slice(0, 2), [0, 1], None, 1.0):
        with pytest.raises(
            TypeError, match=r"by its position or its key, not by a \w+; \[build\[i\] for i in positions\]"
        ):
            known[several]  # type: ignore[index]
    with pytest.raises(UsageError, match="count 'frames' is unknown; choose from prompts, objects"):
        known.counts("frames")
