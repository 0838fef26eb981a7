"""Records to training examples for every task: each question once an epoch, marks drawn, variations that keep truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gapdata.errors import UsageError
from gapdata.records.expressions import Conversation
from gapdata.records.schema import Record
from gapdata.shards.records import RecordList
from gapdata.tasks import detection, pointmap
from gapdata.tasks.chat import IMAGE, Question
from gapdata.tasks.pointmap import MarkedPoints, PointmapAnswer
from gapdata.tasks.questions import questions
from gapdata.tasks.targets import camera_box
from gapdata.tasks.task import QuestionOptions
from gapmodel.packing import IGNORED, Example
from gapmodel.questions.recipe import DataRecipe
from gapmodel.training.augment import decode, mirror, subset
from gapmodel.training.dense import dense_targets
from gapmodel.training.recipe import Stream, TrainingRecipe, read_training_recipe
from gapmodel.training.starting_point import first_model
from gapmodel.training.stream_questions import StreamQuestions
from tests.model.test_processing import CONFIG, make_processor
from tests.support.mark_shapes import touched
from tests.support.models import CLASSES, make_record
from tests.support.task_records import describe, random_pose


def told_record(seed: int) -> Record:
    """A record whose objects are described, boxed in an aligned world and proposed, and that somebody talked about."""
    record = make_record(seed, frames=3, prompts=7)
    alignment = random_pose(np.random.default_rng(seed))
    objects = tuple(
        replace(
            item,
            aligned_box=(0.1 * item.object_id, 0.2, 0.3, 0.4, 0.5, 0.6),
            proposal={
                "center": list(item.center),
                "size": list(item.size),
                "rotation": [list(row) for row in item.rotation],
                "iou": 1.0,
            },
        )
        for item in record.objects
    )
    told = [describe(item.object_id, f"the {item.label} number {item.object_id}.").to_fields() for item in objects]
    talk = Conversation(
        task="det", question=f"{IMAGE}\n" * 3 + "Detect.", answer="[]", mark=(1, 40.0, 30.0), source="a.json", index=0
    )
    return replace(record, objects=objects, axis_alignment=alignment, expressions=(*told, talk.to_fields()))


def answer_of(example: Example) -> str:
    return make_processor().decode(example.input_ids[example.labels != IGNORED])


def epoch_of(records: list[Record], data: DataRecipe, epoch: int = 0) -> list[str]:
    """The answers to all questions of an epoch."""
    stream = Stream(name="it", weight=1.0, build="", data=data)
    asked = StreamQuestions(stream, RecordList(records), make_processor(), seed=3)
    order = asked.order()
    size = order.shares * len(records)
    visits = [order.visit(0, number) for number in range(epoch * size, (epoch + 1) * size)]
    return [answer_of(example) for visit in visits for example in asked.examples(visit)]


@pytest.mark.parametrize("visits", [1, 3])
@pytest.mark.parametrize(
    "task", ["grounding_frame", "grounding_box", "grounding", "captioning", "conversation", "detection", "pointmap"]
)
def test_an_epoch_asks_every_question_of_a_task_once(task: str, visits: int) -> None:
    records = [told_record(seed) for seed in range(2)]
    options = QuestionOptions()
    expected = [
        item.answer for record in records for item in questions(record, task, options, np.random.default_rng(0))
    ]
    for epoch in range(2):
        asked = epoch_of(records, DataRecipe(task=task, min_visible_pixels=1, visits=visits), epoch)
        assert sorted(asked) == sorted(expected)


def test_an_epoch_with_several_marks_asks_about_every_prompt_once() -> None:
    records = [make_record(seed, prompts=7) for seed in range(2)]
    for epoch in range(2):
        answers = epoch_of(records, DataRecipe(marks=3, visits=2), epoch)
        assert len(answers) == 6
        points: list[tuple[float, ...]] = []
        for answer in answers:
            read = pointmap.parse_several(answer)
            if isinstance(read, MarkedPoints):
                points += [item.point for item in read.points.values()]
            else:
                one = pointmap.parse(answer)
                assert isinstance(one, PointmapAnswer)
                points.append(one.point)
        wanted = [tuple(round(value, 2) for value in prompt.point) for record in records for prompt in record.prompts]
        assert sorted(points) == sorted(wanted)


def test_prompts_of_frames_that_are_not_used_are_not_asked_about() -> None:
    record = make_record(1, frames=3, prompts=12)
    record = replace(record, prompts=tuple(sorted(record.prompts, key=lambda prompt: -prompt.frame)))
    used = [prompt for prompt in record.prompts if prompt.frame < 2]
    assert 0 < len(used) < len(record.prompts)
    answers = sorted(epoch_of([record], DataRecipe(frames=2)))
    assert answers == sorted(pointmap.render(record, prompt).answer for prompt in used)


def test_numbered_marks_are_drawn_where_their_mask_is() -> None:
    record = make_record(2, prompts=6)
    images = [record.image(frame) for frame in range(len(record))]
    (question,) = questions(record, "pointmap", QuestionOptions(marks=6), np.random.default_rng(0))
    marked = make_processor().look(images, question.marks).geometry_images  # (F, 3, H, W)
    plain = make_processor().look(images).geometry_images
    for frame in range(len(record)):
        pixels = {mark.number: mark.pixel for mark in question.marks if mark.frame == frame}
        assert pixels
        drawn = touched((128, 96), pixels, CONFIG.mark_native_width)
        changed = (marked[frame] != plain[frame]).any(axis=0)
        assert not (changed & ~drawn).any()
        assert np.count_nonzero(changed) > 0.9 * np.count_nonzero(drawn)


def test_dense_targets_know_all_marks_and_no_single_asked_point_among_several() -> None:
    view = decode(make_record(6, prompts=3), geometry=True)
    (question,) = questions(view.record, "pointmap", QuestionOptions(marks=3), np.random.default_rng(0))
    targets = dense_targets(view, question, CONFIG, {label: index for index, label in enumerate(CLASSES)})
    assert np.isnan(targets["asked"]).all()
    tokens = {
        mark.frame * CONFIG.tokens_per_frame + (mark.pixel[1] // 32) * (CONFIG.grid[1] // 2) + mark.pixel[0] // 32
        for mark in question.marks
    }
    assert set(np.flatnonzero(targets["mark"]).tolist()) == tokens


def test_a_line_break_after_a_placeholder_does_not_reach_the_model() -> None:
    processor = make_processor()
    with_breaks = detection.render(make_record(0), QuestionOptions(wording="vgllm_v2")).text
    assert with_breaks.startswith("<image>\n<image>\nDetect")
    without = with_breaks.replace("\n", "", 2)
    first, second = (processor.token_sequence(Question(text=text, answer=""), 2) for text in (with_breaks, without))
    assert first == second


def test_a_sub_view_and_a_mirror_take_proposals_and_aligned_boxes_along() -> None:
    view = decode(told_record(3), geometry=False)
    flip = np.diag([-1.0, 1.0, 1.0])
    for changed, frames in ((subset(view, [2, 0]), [2, 0]), (mirror(view), [0, 1, 2])):
        for before, after in zip(view.record.objects, changed.record.objects, strict=True):
            assert after.proposal is not None
            np.testing.assert_allclose(after.proposal["center"], after.center)
            np.testing.assert_allclose(after.proposal["rotation"], after.rotation)
            for position, frame in enumerate(frames):
                expected = camera_box(view.record, before, frame, "aligned")
                found = camera_box(changed.record, after, position, "aligned")
                if frames == [0, 1, 2]:
                    order = np.lexsort((found.corners @ flip).round(6).T), np.lexsort(expected.corners.round(6).T)
                    np.testing.assert_allclose((found.corners @ flip)[order[0]], expected.corners[order[1]], atol=1e-6)
                else:
                    np.testing.assert_allclose(found.corners, expected.corners, atol=1e-9)


def test_a_new_model_knows_the_words_of_its_task() -> None:
    recipe = TrainingRecipe(data=DataRecipe(task="grounding_frame", min_visible_pixels=1))
    _, processor = first_model({"": RecordList([told_record(0)])}, recipe)
    assert len(processor.tokenizer("Localize")["input_ids"]) == 1


@pytest.mark.parametrize("change", ["data.mirror=true", "data.reframe=true", "data.frames=2"])
def test_variations_that_language_does_not_follow_are_refused(change: str) -> None:
    with pytest.raises(UsageError, match=r"data\.frames, \.reframe and \.mirror are not for captioning, because"):
        read_training_recipe(None, ["data.task=captioning", change])
