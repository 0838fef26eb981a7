"""3RScan from a disk and from a store to shards: the walk's truth, equal bytes, and where the command line names it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import gapdata
from gapdata.commands.main import main
from gapdata.sources.registry import open_dataset
from gapdata.synthetic.formats import threerscan
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from tests.support.object_stores import s3_server

RECIPE = {"clips.count": 2}


@pytest.fixture(scope="module")
def walk() -> Walk:
    return Walk(1, WalkOptions(frames=61, width=160))


@pytest.fixture(scope="module")
def download(walk: Walk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("3rscan")
    threerscan.write(root, [walk])
    return root


def build(root: Path | str, out: Path, *more: str) -> int:
    sizes = ["--set", "frames.image_size=[96, 128]", "--set", "clips.frames=3", "--set", "scene_views.frames=6"]
    return main(["build-shards", "--3rscan", str(root), "--out", str(out), "--executor", "inline", *sizes, *more])


def tars(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.tar"))}


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
        assert build(place, tmp_path / "store", *only) == 0
    assert tars(tmp_path / "store") == tars(tmp_path / "disk")


def test_records_keep_objects_in_three_taxonomies(download: Path, tmp_path: Path) -> None:
    assert build(download, tmp_path / "build") == 0
    with gapdata.open(tmp_path / "build") as records:
        objects = [item for record in records for item in record.objects]
    chairs = [item for item in objects if item.labels.get("nyu40") == "chair"]
    assert chairs
    assert all(item.labels["rio27"] == "chair" for item in chairs)
    assert {item.label for item in objects} <= set(walk_labels(download))


def walk_labels(download: Path) -> list[str]:
    groups = [json.loads(path.read_text())["segGroups"] for path in download.glob("*/semseg.v2.json")]
    return [group["label"] for found in groups for group in found if group["label"] != "remove"]


def test_an_option_that_begins_with_a_digit_works_everywhere(download: Path) -> None:
    command = [sys.executable, "-m", "gapdata"]
    text = subprocess.run([*command, "build-shards", "--help"], capture_output=True, text=True, check=True).stdout
    assert "--3rscan DIR" in text
    for shell in ("bash", "zsh"):
        script = subprocess.run([*command, "completion", shell], capture_output=True, text=True, check=True).stdout
        assert "--3rscan" in script
    listed = subprocess.run([*command, "sources"], capture_output=True, text=True, check=True).stdout
    assert "3rscan" in listed
    assert len(gapdata.sources.registry.open_dataset(**{"3rscan": download}).scene_ids) == 2
