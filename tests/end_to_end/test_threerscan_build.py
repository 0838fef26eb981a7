"""3RScan from a disk and from a store to shards: the walk's truth, equal bytes, and where the command line names it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gapdata
from gapdata.commands.main import main
from gapdata.geometry.upright import Turn
from gapdata.records.schema import Record, SceneLabel
from gapdata.sources.registry import open_dataset
from gapdata.synthetic.formats import threerscan
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from gapdata.synthetic.releases.vocabulary import EMBODIEDSCAN
from gapdata.tasks.spatial.kinds import spatial_questions
from gapdata.tasks.task import QuestionOptions
from tests.support.object_stores import s3_server
from tests.support.walks import Tolerances, compare_with_walk

TOLERANCES = Tolerances(depth=0.006, share=0.92)
"""Depth has a quarter of colour's pixels along each side: more of them lie at edges, or beside what colour shows."""
BOXES_ONLY = replace(TOLERANCES, mask=0.5)
"""A box holds some of what stands in and before it."""
TRAIN = "annotations/embodiedscan_infos_train.pkl"
BOXES = ("--set", "objects.source=embodiedscan", "--annotations")


@pytest.fixture(scope="module")
def walk() -> Walk:
    return Walk(1, WalkOptions(frames=61, width=256, noise=0.0))


@pytest.fixture(scope="module")
def download(walk: Walk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("3rscan")
    threerscan.write(root, [walk])
    return root


def build(root: Path | str, out: Path, *more: str) -> int:
    sizes = ["--set", "frames.image_size=[144, 256]", "--set", "clips.frames=3", "--set", "scene_views.frames=6"]
    return main(["build-shards", "--3rscan", str(root), "--out", str(out), "--executor", "inline", *sizes, *more])


def tars(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.tar"))}


def records(folder: Path, scene_id: str) -> list[Record]:
    with gapdata.open(folder) as found:
        return [record for record in found if record.scene_id == scene_id]


def renamed(record: Record) -> Record:
    """The record with names that each of its objects has alone."""
    names = [{"raw": f"thing{number:02d}"} for number in range(len(record.objects))]
    pairs = zip(record.objects, names, strict=True)
    return replace(
        record,
        objects=tuple(replace(item, label=own["raw"], labels=own) for item, own in pairs),
        scene_objects=tuple(SceneLabel(labels=own, count=1) for own in names),
    )


def test_records_hold_what_the_walk_saw(download: Path, walk: Walk, tmp_path: Path) -> None:
    assert build(download, tmp_path / "build") == 0
    reference = threerscan.scan_id(walk, "reference")
    found = records(tmp_path / "build", reference)
    compare_with_walk(found, walk, TOLERANCES, annotated=True)
    labels = [item.labels for record in found for item in record.objects]
    assert all(names["rio27"] == "chair" for names in labels if names.get("nyu40") == "chair")
    rescan = records(tmp_path / "build", threerscan.scan_id(walk, "rescan"))
    compare_with_walk(rescan, walk, TOLERANCES, annotated=True)


def test_frames_as_they_were_held_hold_the_same(download: Path, walk: Walk, tmp_path: Path) -> None:
    lying = ("--set", "frames.upright=false", "--set", "frames.image_size=[256, 144]")
    reference = threerscan.scan_id(walk, "reference")
    assert build(download, tmp_path / "build", *lying, "--scenes", reference) == 0
    compare_with_walk(records(tmp_path / "build", reference), walk, TOLERANCES, annotated=True, turn=90)


@pytest.mark.parametrize(("upright", "turn"), [("true", 0), ("false", 90)])
def test_boxes_of_embodiedscan_replace_those_of_the_mesh(
    download: Path, walk: Walk, tmp_path: Path, upright: str, turn: Turn
) -> None:
    more = (*BOXES, str(download / TRAIN), "--set", f"frames.upright={upright}")
    assert build(download, tmp_path / "build", *more) == 0
    for purpose in ("reference", "rescan"):  # whose worlds differ
        found = records(tmp_path / "build", threerscan.scan_id(walk, purpose))
        compare_with_walk(found, walk, TOLERANCES, annotated=True, turn=turn)
        boxes = [item for record in found for item in record.objects]
        assert all(item.label == EMBODIEDSCAN[item.labels["raw"]] for item in boxes)


def test_boxes_of_embodiedscan_are_objects_where_there_are_no_others(
    download: Path, walk: Walk, tmp_path: Path
) -> None:
    bare = Path(shutil.copytree(download, tmp_path / "bare"))
    for path in bare.glob("*/semseg.v2.json"):
        path.unlink()
    reference = threerscan.scan_id(walk, "reference")
    assert build(bare, tmp_path / "build", *BOXES, str(download / TRAIN), "--scenes", reference) == 0
    found = records(tmp_path / "build", reference)
    compare_with_walk(found, walk, BOXES_ONLY, annotated=True, labels=EMBODIEDSCAN.__getitem__)
    assert {record.masks for record in found} == {"boxes"}
    assert {record.mesh_distances for record in found} == {None}
    # The walk's few things share their names; with names of their own, they are asked about by their boxes.
    each = [about for record in map(renamed, found) for about in spatial_questions(record, QuestionOptions(), 0)]
    assert {"distance", "size", "camera_distance", "relation"} <= {kind.name for kind, items, _ in each if items}
    assert {reason for kind, _, refused in each if kind.name == "room" for reason in refused} == {
        "the scan has no labelled floor"
    }
    assert build(bare, tmp_path / "without", "--scenes", reference) == 0
    assert not any(record.objects for record in records(tmp_path / "without", reference))


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


def test_a_store_gives_the_bytes_of_the_disk(download: Path, walk: Walk, tmp_path: Path) -> None:
    reference = threerscan.scan_id(walk, "reference")
    only = ("--scenes", reference)
    assert build(download, tmp_path / "disk", *only) == 0
    with s3_server() as store:
        place = store.copy_in(download, "3rscan")
        dataset = open_dataset(**{"3rscan": place})
        assert dataset.kind(threerscan.scan_id(walk, "rescan")) == "missing"  # unpacked frames are not read there
        with dataset.open_scan(reference) as there, open_dataset(**{"3rscan": download}).open_scan(reference) as here:
            assert there.digest() == here.digest()
            np.testing.assert_array_equal(there.depth(5), here.depth(5))
        assert build(place, tmp_path / "store", *only) == 0
    assert tars(tmp_path / "store") == tars(tmp_path / "disk")


def test_an_option_that_begins_with_a_digit_works_everywhere(download: Path) -> None:
    command = [sys.executable, "-m", "gapdata"]
    text = subprocess.run([*command, "build-shards", "--help"], capture_output=True, text=True, check=True).stdout
    assert "--3rscan DIR" in text
    for shell in ("bash", "zsh"):
        script = subprocess.run([*command, "completion", shell], capture_output=True, text=True, check=True).stdout
        assert "--3rscan" in script
    listed = subprocess.run([*command, "sources"], capture_output=True, text=True, check=True).stdout
    assert "3rscan" in listed
    assert len(gapdata.open_dataset(**{"3rscan": download}).scene_ids) == 2
