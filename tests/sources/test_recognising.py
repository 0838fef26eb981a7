"""Every format is recognised by its content alone: as a data set, as one scan, and under the wrong option."""

from __future__ import annotations

from pathlib import Path

import pytest

from gapdata.errors import UsageError
from gapdata.sources.base import Dataset
from gapdata.sources.captures import CAPTURES
from gapdata.sources.registry import SOURCES, open_by_content, open_dataset, open_found, recognised_as, title_of
from gapdata.synthetic.formats.registry import FORMATS
from gapdata.synthetic.formats.walk import Walk, WalkOptions

OWN_FORMS = ("arkitscenes", "scannetpp", "matterport3d")
"""Data sets that ``--rgbd`` does not read, not even without their annotation."""


@pytest.fixture(scope="module", params=FORMATS)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """One short walk in a format: the format's name, and the folder."""
    name: str = request.param
    out = tmp_path_factory.mktemp(f"as-{name}")
    FORMATS[name].load().write(out, (Walk(index, WalkOptions(frames=40, width=96)) for index in range(1)))
    return name, out


def test_a_download_is_recognised(written: tuple[str, Path]) -> None:
    name, out = written
    source, found = open_by_content(out)
    assert source == FORMATS[name].option
    assert isinstance(found, Dataset)
    if name in CAPTURES:
        assert {found.kind(scene) for scene in found.scene_ids} == {name}


def test_one_scan_of_it_is_recognised(written: tuple[str, Path]) -> None:
    _, out = written
    dataset = open_by_content(out)[1]
    assert isinstance(dataset, Dataset)
    scene = dataset.scene_ids[0]
    place = dataset.directory(scene)
    assert recognised_as(place) == FORMATS[written[0]].option
    found = open_found(place)
    assert isinstance(found, Dataset) or found.scene_id == scene


def test_the_wrong_option_names_the_right_one(written: tuple[str, Path]) -> None:
    name, out = written
    right = FORMATS[name].option
    for wrong in SOURCES.keys() - {right, "rgbd"} | ({"rgbd"} - {right} if name in OWN_FORMS else set()):
        with pytest.raises(UsageError) as caught:
            open_dataset(**{wrong: out})
        assert f"this looks like {title_of(right)}: use --{right}" in str(caught.value), wrong


def test_a_part_of_a_scene_is_taken_for_the_scene(tmp_path: Path) -> None:
    """ScanNet++'s ``dslr/nerfstudio/`` is in the form of nerfstudio, and 3RScan's ``sequence/`` in that of 7-Scenes."""
    walks = [Walk(0, WalkOptions(frames=40, width=96))]
    (scene,) = FORMATS["scannetpp"].load().write(tmp_path, walks)
    inner = tmp_path / "data" / scene / "dslr" / "nerfstudio"
    for part in ("color", "depth", "pose"):
        (inner / part).mkdir(parents=True)
    assert recognised_as(inner) == "scannetpp"
    assert recognised_as(tmp_path / "data" / scene / "iphone") == "scannetpp"
    with pytest.raises(UsageError, match=r"this looks like ScanNet\+\+: use --scannetpp"):
        open_dataset(rgbd=tmp_path / "data" / scene / "iphone")
    found = open_found(inner)
    assert not isinstance(found, Dataset)
    assert found.scene_id == scene
    found.close()
