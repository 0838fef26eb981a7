"""Image space: the trip through text, and boxes that agree with the masks they were taken from."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.errors import ShardError
from gapdata.tasks import image_space
from gapdata.tasks.chat import Unparsable
from gapdata.tasks.image_space import ImageBox, ImagePoint
from tests.support.task_records import make_object, make_prompt, make_record

labels = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
thousandths = st.integers(0, image_space.SCALE).map(float)
points = st.builds(lambda label, x, y: ImagePoint(label=label, point=(x, y)), labels, thousandths, thousandths)
boxes = st.builds(
    lambda label, frame, box: ImageBox(label=label, frame=frame, box=box),
    labels,
    st.integers(0, 31),
    st.tuples(*[thousandths] * 4),
)


def boxes_in(answer: str) -> list[ImageBox]:
    listed = json.loads(answer.removeprefix("```json\n").removesuffix("```"))
    return [
        ImageBox(label=item["label"], frame=item["frame"], box=tuple(map(float, item["bbox_2d"]))) for item in listed
    ]


@given(points)
def test_a_point_makes_the_trip_through_text(point: ImagePoint) -> None:
    assert image_space.parse_point(image_space.point_text(point)) == point


@given(st.lists(boxes, max_size=5))
def test_boxes_make_the_trip_through_text(listed: list[ImageBox]) -> None:
    assert boxes_in(image_space.boxes_text(listed)) == listed


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    assert isinstance(image_space.parse_point(text), ImagePoint | Unparsable)


def test_a_marked_pixel_is_asked_about_with_its_centre_in_thousandths() -> None:
    question = image_space.render_point(make_record(), make_prompt("chair", pixel=(0, 47)))
    assert question.answer == '```json\n{"label": "chair", "point_2d": [8, 990]}\n```'
    assert question.text.startswith("<image><image>What is at the red cross")
    assert question.mark is not None
    assert question.mark.pixel == (0, 47)


def test_nothing_of_a_question_in_image_space_is_geometry() -> None:
    record, far = make_record(), make_record(camera_to_first=np.tile(2 * np.eye(4), (2, 1, 1)))
    near, away = make_prompt("chair"), make_prompt("chair", point=(9.0, 9.0, 9.0))
    assert image_space.render_point(record, near) == image_space.render_point(far, away)


@pytest.mark.parametrize(
    ("prompt", "why"), [(make_prompt(None), "has no label"), (make_prompt("a", frame=2), "in frame 2, the view has 2")]
)
def test_a_prompt_that_cannot_be_asked_about_is_named(prompt: object, why: str) -> None:
    with pytest.raises(ShardError, match=f"record room-clip-00000: prompt 1 .*{why}"):
        image_space.render_point(make_record(), prompt)  # type: ignore[arg-type]


@given(st.integers(0, 2**32 - 1))
def test_a_box_holds_all_of_its_objects_pixels_in_the_frame_that_shows_most_of_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    instances = rng.integers(0, 4, size=(2, 48, 64)).astype(np.uint16) * (rng.random((2, 48, 64)) < 0.01)
    counts = [tuple(int((frame == number + 1).sum()) for frame in instances) for number in range(3)]
    objects = tuple(make_object(number, f"thing {number}", counts[number]) for number in range(3))
    found = boxes_in(image_space.render_boxes(make_record(objects), objects, instances).answer)
    seen = [number for number in range(3) if any(counts[number])]
    assert [box.label for box in found] == [f"thing {number}" for number in seen]
    for box, number in zip(found, seen, strict=True):
        assert counts[number][box.frame] == max(counts[number])
        rows, columns = np.nonzero(instances[box.frame] == number + 1)
        edges = [columns.min() / 64, rows.min() / 48, (columns.max() + 1) / 64, (rows.max() + 1) / 48]
        assert np.abs(np.array(box.box) / image_space.SCALE - edges).max() <= 0.5 / 48 + 1e-3
