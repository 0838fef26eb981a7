"""Taking geometry away: what each treatment changes, what it leaves, and which place's view stands in for another."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gapdata.errors import UsageError
from gapdata.records.keys import around_key, clip_key, listed_key, scene_key, scene_of_key
from gapdata.shards.records import RecordList
from gapmodel.inspection.geometry_treatments import CHANGES, Treatment, frame_order, shuffled_patches, treated
from gapmodel.questions.strange_views import StrangeViews
from tests.model.test_modeling import make_inputs, make_model, perturb
from tests.support.models import make_record


@given(st.integers(2, 64))
def test_no_frame_keeps_its_own_features_where_there_are_several(frames: int) -> None:
    order = frame_order(frames)
    assert sorted(order) == list(range(frames))
    assert all(place != frame for place, frame in enumerate(order))
    assert order == frame_order(frames)


def test_a_single_frame_has_nothing_to_exchange() -> None:
    assert frame_order(1) == [0]


def test_frames_of_a_view_are_shuffled_among_themselves_and_patches_stay_in_place() -> None:
    grids = torch.tensor([[1, 2, 2]] * 2 + [[1, 2, 4]] * 3)
    places = shuffled_patches([2, 3], grids)
    first, second = places[:8].reshape(2, 4), places[8:].reshape(3, 8) - 8
    assert first.tolist() == [[4, 5, 6, 7], [0, 1, 2, 3]]
    assert [row[0] // 8 for row in second.tolist()] == frame_order(3)
    assert (second % 8 == torch.arange(8)).all()


def features(name: str, stream: str = "") -> tuple[list[Tensor], list[Tensor]]:
    """The visual streams of a model with its own geometry and after a treatment, in the order of its levels."""
    model = make_model()
    perturb(model)
    inputs = make_inputs([[10, 11], [12]])
    strange = [view.flip(-1) for view in inputs["geometry_images"]]
    treatment = Treatment(change=name, stream=stream)  # type: ignore[arg-type]
    changed = treated(model, inputs, treatment, strange)
    assert "geometry_images" not in changed
    grid = (inputs["pixel_values"], inputs["image_grid_thw"])
    found = []
    with torch.no_grad():
        for options in (
            {"geometry_images": inputs["geometry_images"]},
            {"geometry_features": changed.get("geometry_features")},
        ):
            if "mm_encoder_outputs" in changed and "geometry_features" in options:
                fused = changed["mm_encoder_outputs"]["image"]
            else:
                fused = model.model.get_image_features(*grid, **options)
            streams = [*fused.deepstack_features, fused.pooler_output]
            found.append([torch.cat(tuple(tokens)) for tokens in streams])
    return found[0], found[1]


@pytest.mark.parametrize("name", CHANGES)
def test_a_treatment_changes_every_stream(name: str) -> None:
    own, changed = features(name)
    for mine, other in zip(own, changed, strict=True):
        assert mine.shape == other.shape
        assert not torch.equal(mine, other)
        assert name != "blind" or not other.any()


@pytest.mark.parametrize("name", ["zeroed", "strange", "shuffled"])
@pytest.mark.parametrize("level", [0, 3])
def test_a_treatment_of_one_level_leaves_the_others(name: str, level: int) -> None:
    stream = list(make_model().model.streams)[level]
    own, changed = features(name, stream)
    whole = features(name)[1]
    for index, (mine, other, every) in enumerate(zip(own, changed, whole, strict=True)):
        assert torch.equal(other, every if index == level else mine)


def test_a_model_of_one_level_is_changed_there_alone_and_blinded_everywhere() -> None:
    model, inputs = make_model(levels=[3]), make_inputs([[10, 11], [12]])
    assert list(model.model.streams) == ["final"]
    grid = (inputs["pixel_values"], inputs["image_grid_thw"])
    own = model.model.get_image_features(*grid, inputs["geometry_images"])
    zeroed = treated(model, inputs, Treatment(change="zeroed"))
    changed = model.model.get_image_features(*grid, geometry_features=zeroed["geometry_features"])
    blind = treated(model, inputs, Treatment(change="blind"))["mm_encoder_outputs"]["image"]
    levels = (own.deepstack_features, changed.deepstack_features, blind.deepstack_features)
    for mine, other, nothing in zip(*levels, strict=True):
        assert torch.equal(torch.cat(tuple(mine)), torch.cat(tuple(other)))
        assert not torch.cat(tuple(nothing)).any()
    assert not torch.equal(torch.cat(tuple(own.pooler_output)), torch.cat(tuple(changed.pooler_output)))


def strange_views(*scenes: str) -> StrangeViews:
    record = make_record(0, split="val")
    records = [replace(record, key=clip_key(scene, number), scene_id=scene) for number, scene in enumerate(scenes)]
    return StrangeViews(RecordList(records))


def test_another_view_of_the_same_place_never_stands_in() -> None:
    views = strange_views("scene0000_00", "scene0000_01", "scene0001_00", "kitchen", "kitchen", "scene0000")
    for index in range(6):
        other = views.index(index)
        assert other is not None
        assert not views.place(index) & views.place(other)
    assert {views.index(index) for index in (0, 1)} <= {2, 3, 4}


def test_the_choice_follows_from_the_key_alone() -> None:
    scenes = [f"room{number}" for number in range(9)]
    first, again = strange_views(*scenes), strange_views(*scenes)
    chosen = [first.index(index) for index in range(9)]
    assert chosen == [again.index(index) for index in reversed(range(9))][::-1]
    assert len(set(chosen)) > 3


def test_only_a_view_with_frames_of_the_same_size_stands_in() -> None:
    portrait = replace(make_record(1, split="val"), image_size=(96, 128))
    views = StrangeViews(RecordList([make_record(0, split="val"), portrait]))
    assert views.index(0) is None


def test_one_place_alone_is_refused_with_the_way_out() -> None:
    views = strange_views("scene0000_00", "scene0000_01")
    with pytest.raises(UsageError, match=r"no view of another place, .* can lend scene0000_00-.* leave strange"):
        views.images(0, 2)


def test_a_shorter_view_begins_again() -> None:
    views = strange_views("one", "other")
    images = views.images(0, 5)
    assert len(images) == 5
    assert (images[0] == images[4]).all()
    assert (images[0] != images[1]).any()


@pytest.mark.parametrize("scene", ["scene0000_00", "47333462", "a-clip-b", "my-scene-2"])
def test_a_key_says_its_scene(scene: str) -> None:
    for key in (clip_key(scene, 7), scene_key(scene, 3), around_key(scene, 5), listed_key(scene, "scene", [1, 2])):
        assert scene_of_key(key) == scene
