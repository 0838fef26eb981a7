"""A trained directory answers dialogues: as an evaluation of this package asks it, in batches of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gapdata.errors import UsageError
from gapdata.shards.reader import ShardReader
from gapmodel.evaluation.asking import TaskQuestions
from gapmodel.harness.conversation import Sampling, user_message
from gapmodel.harness.generation import Generation
from gapmodel.harness.respondent import Respondent
from gapmodel.packing import IGNORED
from gapmodel.processing import AUTHORS, GapProcessor, Turn
from gapmodel.questions.taught import trained_frames
from tests.harness.conftest import FRAMES, frames

SHORT = Generation(max_new_tokens=8)


@pytest.fixture(scope="module")
def respondent(model: Path) -> Respondent:
    return Respondent.load(model, Sampling(), "cpu")


def dialogues() -> list[list[dict[str, Any]]]:
    """Of different lengths and numbers of frames, one of none, one of images of two sizes, one of several turns."""
    long = "How far apart are the table and the sofa, in metres? " * 3
    several = [
        {"role": "system", "content": "Answer with the letter."},
        user_message(frames(2, seed=5), "Which?"),
        {"role": "assistant", "content": "B"},
        user_message(frames(1, seed=6), "And now?"),
    ]
    return [
        [user_message(frames(4), "How long is the table?")],
        [user_message([], "How long is the table?")],
        [user_message([*frames(1, (64, 96)), *frames(2, (160, 80), seed=2)], long)],
        several,
        [user_message(frames(1, seed=3), long)],
    ]


def test_a_document_reads_as_the_same_question_of_an_evaluation(
    respondent: Respondent, build: Path, asked: Sequence[TaskQuestions]
) -> None:
    record = ShardReader(build)[0]
    images = [record.image(frame) for frame in range(FRAMES)]
    for item in (task.asked[0] for task in asked):
        question = replace(item.question, marks=())
        ours = respondent.processor.encode("k", images, question, with_answer=False)
        theirs = respondent.example("k", [user_message(images, question.text.replace("<image>", ""))])
        assert ours.input_ids.tolist() == theirs.input_ids.tolist()
        assert np.array_equal(ours.frames.pixel_values, theirs.frames.pixel_values)
        assert np.array_equal(ours.frames.geometry_images, theirs.frames.geometry_images)


def test_answers_do_not_depend_on_the_batch(respondent: Respondent) -> None:
    examples = [respondent.example(str(number), messages) for number, messages in enumerate(dialogues())]
    alone = [respondent.answers([example], SHORT)[0] for example in examples]
    assert len(set(alone)) > 2
    assert respondent.answers(examples, SHORT) == alone
    assert respondent.answers(examples[::-1], SHORT) == alone[::-1]
    assert respondent.answers(examples[1:2] * 2, SHORT) == alone[1:2] * 2  # none of the batch shows anything


def test_a_likelihood_is_that_of_the_tokens_one_after_the_other(respondent: Respondent) -> None:
    model, processor = respondent.model, respondent.processor
    answers = ["2.7", "B", "", "a table", "12"]
    examples = [
        respondent.example(str(number), messages, answer)
        for number, (messages, answer) in enumerate(zip(dialogues(), answers, strict=True))
    ]
    together = respondent.likelihoods(examples)
    for example, answer, (value, greedy) in zip(examples, answers, together, strict=True):
        assert value == pytest.approx(respondent.likelihoods([example])[0][0], abs=1e-4)
        total, best = 0.0, True
        ids = example.input_ids
        for place in range(int((example.labels == IGNORED).sum()), len(ids)):
            shorter = replace(
                example, input_ids=ids[:place], labels=example.labels[:place], visual=example.visual[:place]
            )
            with torch.inference_mode():
                scores = model(**processor.collate([shorter]).inputs).logits[0, -1].log_softmax(-1)
            total += float(scores[ids[place]])
            best &= int(scores.argmax()) == ids[place]
        assert value == pytest.approx(total, abs=1e-4)
        assert greedy == best
        assert processor.tokenizer.decode(ids[example.labels != IGNORED]) == answer
    said = respondent.answers([respondent.example("k", dialogues()[0])], SHORT)[0]
    assert respondent.likelihoods([respondent.example("k", dialogues()[0], said)])[0][1]


def test_turns_are_laid_out_as_qwens_chat_template_does(respondent: Respondent) -> None:
    processor = respondent.processor
    example = respondent.example("k", dialogues()[3])
    image = "<|vision_start|>" + "<|image_pad|>" * 2 + "<|vision_end|>"
    assert processor.tokenizer.decode(example.input_ids) == (
        "<|im_start|>system\nAnswer with the letter.<|im_end|>\n"
        f"<|im_start|>user\n<0.0 seconds>{image}<1.0 seconds>{image}Which?<|im_end|>\n"
        "<|im_start|>assistant\nB<|im_end|>\n"
        f"<|im_start|>user\n<2.0 seconds>{image}And now?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    authors = GapProcessor(processor.tokenizer, AUTHORS)
    nothing = authors.look([])
    own, theirs = (
        processor.tokenizer.decode(authors.encode_turns("k", nothing, turns).input_ids)
        for turns in ([Turn("user", ("Why?",))], [Turn("system", ("Rhyme.",)), Turn("user", ("Why?",))])
    )
    assert own.startswith(f"<|im_start|>system\n{AUTHORS.way.system_prompt}<|im_end|>\n<|im_start|>user\nWhy?")
    assert theirs.startswith("<|im_start|>system\nRhyme.<|im_end|>\n<|im_start|>user\nWhy?")
    control = respondent.example("k", [user_message([], "<|im_end|><|image_pad|>")])
    assert not control.visual.any()


def test_stamps_are_the_times_of_a_video_or_a_given_step(model: Path) -> None:
    stepped = Respondent.load(model, Sampling(seconds_per_frame=2.8), "cpu")
    text = stepped.processor.tokenizer.decode(stepped.example("k", dialogues()[0]).input_ids)
    assert [f"<{step * 2.8:.1f} seconds>" in text for step in range(5)] == [True] * 4 + [False]


def test_more_frames_than_were_trained_are_said_once(
    respondent: Respondent, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained_frames(model) == FRAMES
    for seed in (0, 1):
        respondent.example(f"document {seed} of some_task", [user_message(frames(FRAMES + 1, seed=seed), "?")])
    said = capsys.readouterr().err
    assert said.count("more frames than the 9 of a view that the model was trained with") == 1
    assert "document 0 of some_task shows 10 frames" in said


def test_weights_are_loaded_in_the_type_that_is_asked_for(model: Path) -> None:
    small = Respondent.load(model, Sampling(), "cpu", "bfloat16")
    assert small.model.dtype == torch.bfloat16
    assert isinstance(small.answers([small.example("k", dialogues()[0])], SHORT)[0], str)
    with pytest.raises(UsageError, match="dtype 'int4' is unknown"):
        Respondent.load(model, Sampling(), "cpu", "int4")
