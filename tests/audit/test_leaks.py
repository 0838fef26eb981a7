"""`gapdata verify --leaks` names every place that builds both train and evaluate on, and the rooms that look alike."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gapdata.audit.alike_rooms import alike_rooms, pairs_to_compare
from gapdata.audit.find_leaks import find_leaks
from gapdata.audit.leaks import SeenScene, leak_warnings, scenes_of, shared_places
from gapdata.commands.main import main
from gapdata.shards.checksums import write_checksums
from gapdata.synthetic.formats.tum import write
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from tests.support import builds
from tests.support.scannet_scenes import write_scene

SEEN = SeenScene(build="a", source="scannet", scene_id="scene0000_00", split="train", places=("scannet scene0000",))


@pytest.fixture(scope="module")
def two_builds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two builds of ScanNet: one trains on a scan of the place that the other evaluates on."""
    root = tmp_path_factory.mktemp("leaks")
    for name, scan, split in (("a", "scene0007_00", "train"), ("b", "scene0007_01", "val")):
        write_scene(root / name / "scans" / scan, frames=8)
        (root / name / f"scannetv2_{split}.txt").write_text(f"{scan}\n")
        assert builds.build(root / name, root / f"{name}-shards") == 0
    return [root / "a-shards", root / "b-shards"]


def test_a_place_in_two_splits_is_an_error_that_names_the_scenes(
    two_builds: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", *map(str, two_builds), "--leaks"]) == 4
    said = capsys.readouterr().out
    assert "1 place in two splits:" in said
    assert "scannet scene0007 is trained on in scene0007_00 (" in said
    assert ") and evaluated on in scene0007_01 (" in said
    assert "compared by shape" not in said  # ScanNet's names tell
    assert main(["verify", *map(str, two_builds), "--leaks", "--json"]) == 4
    facts = json.loads(capsys.readouterr().out)
    assert [place["place"] for place in facts["shared_places"]] == ["scannet scene0007"]


def test_one_build_alone_shares_nothing(two_builds: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(two_builds[0]), "--leaks"]) == 0
    assert "no place is in two splits, by the names of 1 scene" in capsys.readouterr().out


def test_plans_of_before_can_be_read_and_know_equal_scans_only(two_builds: list[Path], tmp_path: Path) -> None:
    old = []
    for build in two_builds:
        copy = Path(shutil.copytree(build, tmp_path / build.name))
        plan = json.loads((copy / "plan.json").read_text())
        for shard in plan["shards"]:
            for scene in shard["scenes"]:
                del scene["places"]
        (copy / "plan.json").write_text(json.dumps(plan))
        write_checksums(copy)
        old.append(copy)
    scenes = scenes_of(old)
    assert not any(scene.named for scene in scenes)
    assert shared_places(scenes) == []
    again = [scenes[0], replace(scenes[0], build="elsewhere", split="val")]
    assert [place.trained[0].scene_id for place in shared_places(again)] == ["scene0007_00"]


def test_training_warns_of_places_that_it_also_evaluates_on(two_builds: list[Path], tmp_path: Path) -> None:
    (warning,) = leak_warnings(list(two_builds))
    assert warning.startswith("warning: scannet scene0007 is trained on in scene0007_00 (")
    assert leak_warnings([two_builds[0], tmp_path]) == []


def test_builds_are_verified_one_at_a_time(two_builds: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *map(str, two_builds)]) == 2
    assert "several builds are named; verify one after the other" in capsys.readouterr().err
    assert main(["verify", str(two_builds[0]), "--leaks", "--sample", "3"]) == 2
    assert "--sample and --workers do not go with --leaks" in capsys.readouterr().err
    assert main(["verify", str(two_builds[0].parent), "--leaks"]) == 2
    assert "holds no build (no plan.json)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("other", "compared"),
    [
        (replace(SEEN, scene_id="scene0001_00", split="val", places=("scannet scene0001",)), 0),
        (replace(SEEN, source="scannetpp", split="val", places=("scannetpp ab",)), 1),
        (replace(SEEN, source="rgbd", split="val", named=False), 1),
        (replace(SEEN, source="rgbd", split="train", named=False), 0),
        (replace(SEEN, source="rgbd", split="unknown", named=False), 0),
        (replace(SEEN, source="rgbd", split="unknown", named=False, build="b"), 1),
    ],
)
def test_rooms_are_compared_where_names_cannot_tell(other: SeenScene, compared: int) -> None:
    assert len(pairs_to_compare([SEEN, other])) == compared


def test_two_scenes_of_unknown_splits_are_one_pair() -> None:
    own = replace(SEEN, source="rgbd", split="unknown", named=False)
    assert len(pairs_to_compare([own, replace(own, build="b")])) == 1
    assert pairs_to_compare([own, replace(own, scene_id="other")]) == []


def test_rooms_that_look_alike_are_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same room under two names in two builds, and another room."""
    settings = (
        "frames.image_size=[128,96]",
        "frames.pointmap_stride=2",
        "scene_views.frames=24",
        "clips.enabled=false",
    )
    write(tmp_path / "all", (Walk(index, WalkOptions(frames=240, width=128)) for index in range(2)))
    rooms = sorted((tmp_path / "all").iterdir())
    for name, folder, scene in (("a", rooms[0], "mine"), ("a", rooms[1], "other"), ("b", rooms[0], "yours")):
        shutil.copytree(folder, tmp_path / name / scene)
    for name in ("a", "b"):
        words = ["build-shards", "--rgbd", str(tmp_path / name), "--out", str(tmp_path / f"{name}-shards")]
        assert main([*words, *builds.overrides(settings), "--executor", "inline"]) == 0
    leaks = find_leaks([tmp_path / "a-shards", tmp_path / "b-shards"])
    assert (leaks.compared, leaks.unseen) == (2, 0)
    assert [(pair.trained.scene_id, pair.held_out.scene_id) for pair in leaks.alike] == [("mine", "yours")]
    assert alike_rooms({}) == []
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "a-shards"), str(tmp_path / "b-shards"), "--leaks"]) == 0
    said = capsys.readouterr().out
    assert f"warning: {leaks.alike[0]}" in said
    assert "do not name places; of these only equal scans are known" in said
