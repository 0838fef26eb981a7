"""A phone's capture with boxes and no mesh is asked what boxes, depth and poses tell, and why not the rest."""

from __future__ import annotations

from collections import Counter

import pytest

from gapdata.commands.main import main
from gapdata.shards.reader import ShardReader
from gapdata.tasks.spatial.kinds import KINDS, spatial_questions
from gapdata.tasks.spatial.question import SpatialQuestion
from gapdata.tasks.task import QuestionOptions
from tests.support.phones import write_twin

SETTINGS = (
    "frames.image_size=[128,96]",
    "clips.interval=4",
    "clips.max_shift=1",
    "clips.step=4",
    "scene_views.frames=16",
    "prompts.per_view=0",
)
FROM_BOXES = ("distance", "nearest", "size", "direction", "imagined_view")
FROM_FRAMES = ("camera_distance", "relation", "pixel_depth", "depth_order")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[SpatialQuestion], Counter[str]]]:
    """The questions of each type about a capture by Stray Scanner with objects.json, and what is refused."""
    root = tmp_path_factory.mktemp("boxes")
    twin = write_twin("stray", root / "in")
    assert (twin.capture / "objects.json").exists()
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    words = ["build-shards", "--rgbd", str(twin.capture), "--out", str(root / "build"), "--executor", "inline"]
    assert main([*words, *settings]) == 0
    found: dict[str, tuple[list[SpatialQuestion], Counter[str]]] = {name: ([], Counter()) for name in KINDS}
    for record in ShardReader(root / "build"):
        assert record.masks == "boxes"
        assert record.mesh_distances is None
        for seed in range(2):
            for kind, items, refused in spatial_questions(record, QuestionOptions(per_kind=5), seed):
                found[kind.name][0].extend(items)
                found[kind.name][1].update(refused)
    return found


@pytest.mark.parametrize("name", [*FROM_BOXES, *FROM_FRAMES])
def test_boxes_depth_and_poses_give_a_type(
    asked: dict[str, tuple[list[SpatialQuestion], Counter[str]]], name: str
) -> None:
    items, _ = asked[name]
    assert items
    assert {item.mesh_value for item in items} == {None}


@pytest.mark.parametrize("name", ["room", "route"])
def test_what_needs_a_labelled_floor_says_so(
    asked: dict[str, tuple[list[SpatialQuestion], Counter[str]]], name: str
) -> None:
    items, refused = asked[name]
    assert items == []
    assert set(refused) == {"the scan has no labelled floor"}


def test_no_type_is_silent(asked: dict[str, tuple[list[SpatialQuestion], Counter[str]]]) -> None:
    assert [name for name, (items, refused) in asked.items() if not items and not refused] == []
