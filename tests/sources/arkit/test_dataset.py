"""A download of ARKitScenes: where captures are found, and what their folds and visits are."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

import gapdata
from gapdata.commands.main import main
from gapdata.errors import UsageError
from gapdata.sources.arkitscenes import ArkitScenes
from gapdata.sources.registry import open_found
from tests.support.arkit_captures import (
    CAPTURE,
    STAMPS,
    write_boxes,
    write_capture,
    write_confidence,
    write_frames,
    write_metadata,
)

OTHER = "40753679"


@pytest.fixture
def download(tmp_path: Path) -> Path:
    root = tmp_path / "download"
    write_capture(root)
    write_capture(root, OTHER, "Training")
    write_metadata(root / "3dod", [(CAPTURE, "381879", "Validation"), (OTHER, "NA", "Training")])
    return root


@pytest.mark.parametrize("below", ["", "3dod"])
def test_a_download_and_its_packages_are_found(download: Path, below: str) -> None:
    dataset = ArkitScenes.open(download / below)
    assert dataset.scene_ids == (OTHER, CAPTURE)
    assert [dataset.split(scene) for scene in dataset.scene_ids] == ["train", "val"]
    assert [dataset.kind(scene) for scene in dataset.scene_ids] == ["3dod", "3dod"]
    assert [dataset.places(scene) for scene in dataset.scene_ids] == [(), ("arkitscenes visit 381879",)]


@pytest.mark.parametrize("below", ["3dod/Validation", f"3dod/Validation/{CAPTURE}"])
def test_a_fold_and_a_capture_have_the_lists_above_them(download: Path, below: str) -> None:
    dataset = ArkitScenes.open(download / below)
    assert dataset.scene_ids == (CAPTURE,)
    assert dataset.split(CAPTURE) == "val"
    assert dataset.places(CAPTURE) == ("arkitscenes visit 381879",)


def test_the_frames_folder_alone_stands_for_its_capture(download: Path) -> None:
    dataset = ArkitScenes.open(download / "3dod" / "Validation" / CAPTURE / f"{CAPTURE}_frames")
    assert dataset.scene_ids == (CAPTURE,)
    assert dataset.annotated(CAPTURE)


def test_a_bare_folder_of_captures_says_no_split(download: Path, tmp_path: Path) -> None:
    shutil.copytree(download / "3dod" / "Validation" / CAPTURE, tmp_path / "mine" / CAPTURE)
    dataset = ArkitScenes.open(tmp_path / "mine")
    assert dataset.split(CAPTURE) == "unknown"
    notes = " ".join(dataset.lacks([CAPTURE], splits_given=False))
    assert "their split is 'unknown'" in notes
    assert "no metadata.csv" in notes


def test_a_renamed_capture_keeps_its_id(download: Path, tmp_path: Path) -> None:
    shutil.copytree(download / "3dod" / "Validation" / CAPTURE, tmp_path / "mine" / "kitchen")
    assert ArkitScenes.open(tmp_path / "mine").scene_ids == (CAPTURE,)
    assert ArkitScenes.open(tmp_path / "mine" / "kitchen").scene_ids == (CAPTURE,)


def test_a_capture_in_both_packages_is_one_scene(download: Path) -> None:
    raw = download / "raw" / "Validation" / CAPTURE
    write_confidence(raw, [f"{CAPTURE}_{float(stamp):.3f}" for stamp in STAMPS], np.full((24, 32), 2, np.uint8))
    with ArkitScenes.open(download).open_scan(CAPTURE) as scan:
        assert scan.assets.package == "3dod"
        assert scan.confidence(0) is not None
    with ArkitScenes.open(download).open_scan(OTHER) as scan:
        assert scan.confidence(0) is None


def test_a_raw_capture_is_read_from_its_own_folder(tmp_path: Path) -> None:
    home = tmp_path / "raw" / "Training" / CAPTURE
    write_frames(home)
    write_boxes(home)
    dataset = ArkitScenes.open(tmp_path)
    assert (dataset.kind(CAPTURE), dataset.split(CAPTURE)) == ("raw", "train")
    with dataset.open_scan(CAPTURE) as scan:
        assert scan.present.sum() == len(STAMPS)


def test_the_folds_of_the_published_lists_are_the_splits(samples: Path, tmp_path: Path) -> None:
    """All 5,071 captures as empty folders beside the real lists; one has files, by which the data set is known."""
    real = samples / "samples" / "arkitscenes"
    with open(real / "metadata.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        (tmp_path / "raw" / row["fold"] / row["video_id"]).mkdir(parents=True)
    write_frames(tmp_path / "raw" / rows[0]["fold"] / rows[0]["video_id"], rows[0]["video_id"])
    shutil.copy(real / "metadata.csv", tmp_path / "raw")
    (tmp_path / "threedod").mkdir()
    shutil.copy(real / "3dod_train_val_splits.csv", tmp_path / "threedod")
    dataset = ArkitScenes.open(tmp_path)
    splits = [dataset.split(scene) for scene in dataset.scene_ids]
    assert (splits.count("train"), splits.count("val")) == (4520, 551)
    assert sum(not dataset.places(scene) for scene in dataset.scene_ids) == 8
    assert set(dataset.in_two_splits) == {"41159519", "41159521", "41159525", "41159526"}
    warnings = [line for line in dataset.lacks(dataset.scene_ids, splits_given=False) if line.startswith("warning")]
    assert len(warnings) == 1
    assert "visit 381879" in warnings[0]
    assert "41159521, 41159526 (train) and 41159519, 41159525 (val)" in warnings[0]
    assert not [line for line in dataset.lacks(["41159521"], splits_given=False) if line.startswith("warning")]


def test_folder_and_list_that_disagree_are_named_and_the_capture_is_held_out(download: Path) -> None:
    write_metadata(download / "3dod", [(CAPTURE, "1", "Validation"), (OTHER, "2", "Validation")])
    dataset = ArkitScenes.open(download)
    assert dataset.in_two_splits == {OTHER: ("train", "val")}
    assert dataset.split(OTHER) == "val"
    assert f"warning: {OTHER} is in both folds" in " ".join(dataset.lacks([OTHER], splits_given=False))


def test_lists_as_a_table_program_writes_them_are_read(download: Path) -> None:
    write_metadata(download / "3dod", [(f"{CAPTURE}.0", "381879.0", "Validation")])
    assert ArkitScenes.open(download).places(CAPTURE) == ("arkitscenes visit 381879",)


def test_a_metadata_file_of_another_program_is_passed_over(download: Path) -> None:
    (download / "metadata.csv").write_text("name,size\nx,3\n")
    (download / "3dod" / "metadata.csv").unlink()
    assert ArkitScenes.open(download).split(CAPTURE) == "val"


def test_a_split_list_without_its_columns_is_refused(download: Path) -> None:
    (download / "3dod_train_val_splits.csv").write_text("video_id,fold\n")
    with pytest.raises(UsageError, match="lacks the columns visit_id"):
        ArkitScenes.open(download)


def test_what_is_missing_is_named_with_the_command_that_gets_it(download: Path) -> None:
    (download / "3dod" / "Training" / OTHER / f"{OTHER}_3dod_annotation.json").unlink()
    (download / "3dod" / "Validation" / CAPTURE / f"{CAPTURE}_3dod_mesh.ply").unlink()
    lines = ArkitScenes.open(download).lacks([OTHER, CAPTURE], splits_given=False)
    assert f"1 capture without boxes: {OTHER}" in lines[0]
    assert f"download_data.py 3dod --split Training --video_id {OTHER}" in lines[0]
    assert f"1 capture without a mesh: {CAPTURE}" in lines[1]
    assert f"2 captures without confidence, so that all of their depth counts as sure: {OTHER}, {CAPTURE}" in lines[2]
    assert f"raw --split Training --video_id {OTHER} --raw_dataset_assets confidence" in lines[2]


def test_the_upsampling_package_is_passed_over_with_the_reason(download: Path) -> None:
    (download / "upsampling" / "Training" / OTHER / "wide").mkdir(parents=True)
    assert "no poses" in ArkitScenes.open(download).passed_over["upsampling"]


def test_a_folder_of_something_else_says_what_was_looked_for_and_what_lies_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "20240101" / "photos").mkdir(parents=True)
    assert main(["build-shards", "--arkitscenes", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    for part in ("holds no capture of ARKitScenes", "lowres_wide", "it holds 20240101/", "download_data.py 3dod"):
        assert part in said


def test_inspect_finds_a_capture_without_being_told_its_kind(
    download: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = download / "3dod" / "Validation" / CAPTURE
    scan = open_found(place)
    assert isinstance(scan, gapdata.sources.base.Scan)
    assert main(["inspect", str(place)]) == 0
    said = capsys.readouterr().out
    assert "lowres_wide" in said
    assert "chair" in said
    assert main(["inspect", str(download)]) == 0


def test_labels_are_known_in_our_taxonomies(download: Path) -> None:
    labels = ArkitScenes.open(download).labels("tv/monitor")
    assert (labels["raw"], labels["nyu40"], labels["embodiedscan"]) == ("tv/monitor", "television", "tv")


def test_stamps_name_every_file_that_may_be_read(download: Path) -> None:
    stamps = ArkitScenes.open(download).stamps(CAPTURE)
    kinds = sorted({Path(place).suffix for place in stamps})
    assert kinds == [".json", ".pincam", ".ply", ".png", ".traj"]
    assert len(stamps) == 3 * len(STAMPS) + 3
