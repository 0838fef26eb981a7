"""Matterport3D to shards: what the walk saw, through lenses, with EmbodiedScan's boxes, from disk and from a store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gapdata
from gapdata.commands.main import main
from gapdata.records.schema import Record
from gapdata.sources.registry import open_dataset
from gapdata.synthetic.formats import matterport3d
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from gapdata.synthetic.releases.vocabulary import EMBODIEDSCAN
from tests.support.object_stores import s3_server
from tests.support.walks import Tolerances, compare_with_walk

TOLERANCES = Tolerances(share=0.93, depth=0.006)
"""Depth is sampled twice, through the lens and back."""
BOXES = ("--set", "objects.source=embodiedscan", "--annotations")
INFOS = "embodiedscan_infos_train.pkl"


@pytest.fixture(scope="module")
def walks() -> list[Walk]:
    return [Walk(index, WalkOptions(frames=36, width=160, noise=0.0)) for index in range(3)]


@pytest.fixture(scope="module")
def download(walks: list[Walk], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("matterport")
    matterport3d.write(root, walks)
    return root


def build(root: Path | str, out: Path, *more: str) -> int:
    small = ["--set", "frames.image_size=[160, 128]", "--set", "scene_views.frames=8", "--set", "clips.enabled=false"]
    return main(["build-shards", "--matterport3d", str(root), "--out", str(out), "--executor", "inline", *small, *more])


def records(folder: Path, scene_id: str) -> list[Record]:
    with gapdata.open(folder) as found:
        return [record for record in found if record.scene_id == scene_id]


def tars(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.tar"))}


def walked(walk: Walk, region: int) -> Callable[[int], int]:
    """The frame of the walk that a still is."""
    frames = matterport3d.stills(walk, region)
    return lambda frame: frames[frame // 30]


def test_records_hold_what_the_walk_saw_however_a_house_is_stored(
    download: Path, walks: list[Walk], tmp_path: Path
) -> None:
    out = tmp_path / "build"
    assert build(download, out) == 0
    for walk, way in zip(walks, matterport3d.STORAGE, strict=True):
        house = matterport3d.house_name(walk)
        for region in (matterport3d.REGION, matterport3d.OTHER_REGION):
            found = records(out, f"{house}_region{region}")
            annotated = way != "undistorted" and region == matterport3d.REGION
            compare_with_walk(found, walk, TOLERANCES, walk_frame=walked(walk, region), annotated=annotated)


def test_boxes_and_names_come_from_embodiedscan(download: Path, walks: list[Walk], tmp_path: Path) -> None:
    out = tmp_path / "build"
    assert build(download, out, *BOXES, str(download / INFOS)) == 0
    for walk, way in zip(walks, matterport3d.STORAGE, strict=True):
        found = records(out, f"{matterport3d.house_name(walk)}_region{matterport3d.REGION}")
        alone = way == "undistorted"
        assert {record.masks for record in found} == {"boxes" if alone else ""}
        compare_with_walk(
            found,
            walk,
            replace(TOLERANCES, mask=0.45) if alone else TOLERANCES,
            walk_frame=walked(walk, matterport3d.REGION),
            annotated=True,
            labels=EMBODIEDSCAN.__getitem__ if alone else lambda label: label,
        )


def test_a_build_is_the_same_twice_and_goes_on_where_it_stopped(download: Path, tmp_path: Path) -> None:
    assert build(download, tmp_path / "one") == 0
    assert build(download, tmp_path / "other") == 0
    first = tars(tmp_path / "one")
    assert first
    assert first == tars(tmp_path / "other")
    lost = next(iter(first))
    (tmp_path / "one" / lost).unlink()
    (tmp_path / "one" / lost).with_suffix(".json").unlink()
    assert build(download, tmp_path / "one") == 0
    assert tars(tmp_path / "one") == first


def test_a_zipped_house_is_read_from_a_store(download: Path, walks: list[Walk], tmp_path: Path) -> None:
    house = matterport3d.house_name(walks[1])
    only = ("--scenes", f"{house}_region3")
    assert build(download, tmp_path / "disk", *only) == 0
    with s3_server() as store:
        place = store.copy_in(download / house, f"mp/{house}").removesuffix(f"/{house}")
        store.write(f"mp/{INFOS}", (download / INFOS).read_bytes())
        dataset = open_dataset(matterport3d=place)
        assert dataset.scene_ids == (f"{house}_region3", f"{house}_region5")
        with dataset.open_scan(only[1]) as there, open_dataset(matterport3d=download).open_scan(only[1]) as here:
            assert there.digest() == here.digest()
            np.testing.assert_array_equal(there.color(30), here.color(30))
        assert build(place, tmp_path / "store", *only) == 0
    assert tars(tmp_path / "store") == tars(tmp_path / "disk")
