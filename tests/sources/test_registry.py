"""A data set opens by the name of its source, in Python as on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gapdata.errors import UsageError
from gapdata.sources.registry import SOURCES, open_dataset


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({}, f"no source is named; name one of {', '.join(SOURCES)} with its place"),
        ({"scannet": "a", "rgbd": "b"}, "more than one source is named (scannet, rgbd)"),
        ({"scanet": "a"}, "option 'scanet' is unknown; did you mean scannet?"),
        ({"scannet": "a", "depth_scale": 1000}, "--depth-scale can be given with --rgbd only"),
        ({"rgbd": "s3://bucket/frames"}, "is not a local folder; --rgbd reads scans from disk"),
        ({"rgbd": ".", "poses": "world-to-camra"}, "poses 'world-to-camra' is unknown; did you mean world-to-camera?"),
        ({"rgbd": ".", "depth_scale": 0}, "--depth-scale is 0, expected a positive number"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(named: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_dataset(**named)
    assert message in str(caught.value)


def test_a_data_set_opens_by_the_name_of_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scans" / "scene0000_00").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    dataset = open_dataset(scannet=".", rgbd=None)
    assert (dataset.name, dataset.root, dataset.scene_ids) == ("scannet", tmp_path, ("scene0000_00",))


@pytest.mark.parametrize("source", ["scannet", "rgbd"])
def test_a_scene_that_a_data_set_lacks_is_refused_by_name(tmp_path: Path, source: str) -> None:
    for kind in ("color", "depth", "pose"):
        (tmp_path / "scene0000_00" / kind).mkdir(parents=True)
        (tmp_path / "scene0000_00" / kind / "0.png").touch()
    dataset = open_dataset(**{source: tmp_path})
    with pytest.raises(UsageError, match="has no scene scene0001_00; among its 1 scene: scene0000_00"):
        dataset.open_scan("scene0001_00")
    assert "scene0000_00" not in repr(dataset)


def test_every_source_can_be_loaded() -> None:
    assert all(callable(source.load().open_folder) for source in SOURCES.values())


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_says_of_another_folder_that_it_holds_none_of_its_own(name: str, tmp_path: Path) -> None:
    """By these words a folder that no source recognises is told from one that lacks something."""
    (tmp_path / "holiday").mkdir()
    with pytest.raises(UsageError) as caught:
        SOURCES[name].load().open_folder(tmp_path)
    assert caught.value.problem.startswith("holds no ")
    assert caught.value.path == str(tmp_path)
