"""Several questions in one row: what a question's tokens see and become must not depend on their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from gapdata.errors import UsageError
from gapdata.tasks import detection, pointmap
from gapdata.tasks.chat import IMAGE, Question
from gapdata.tasks.task import QuestionOptions
from gapmodel.generate import generate_answers
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.packing import Batch, Example
from gapmodel.presets import preset
from gapmodel.processing import GapProcessor, ProcessorConfig
from gapmodel.tokenizer import special_token_ids, train_tokenizer
from gapmodel.training.learner import Learner
from tests.support.models import CLASSES, make_record

CONFIG = ProcessorConfig(image_size=(96, 64), temporal_patch_size=1, keep_aspect=True, geometry_patch_size=14)
GAP = QuestionOptions(wording="gap", convention="extrinsic_zxy")
PROCESSOR = GapProcessor(
    train_tokenizer([pointmap.WITH_LABEL, detection.PROMPT, "<1.0 seconds>", "user\n", *CLASSES]), CONFIG
)


@pytest.fixture(scope="module")
def model() -> GapForConditionalGeneration:
    torch.manual_seed(0)
    config = preset(
        "tiny",
        token_ids=special_token_ids(PROCESSOR.tokenizer),
        fusion={"deepstack.0": "cross_attention", "final": "gated"},
        text={
            "vocab_size": len(PROCESSOR.tokenizer),
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
        },
        vision={"hidden_size": 48, "intermediate_size": 64},
        geometry={"width": 32, "heads": 2, "patch_size": 14, "levels": [1, 3]},
    )
    return GapForConditionalGeneration(config).eval()


def portrait(seed: int, frames: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (frames, 120, 70, 3), dtype=np.uint8))


def mixed_examples() -> list[Example]:
    """Two tasks on a two-frame record, one frame of another record, three portrait frames."""
    first, second = make_record(0), make_record(1)
    images = [first.image(frame) for frame in range(2)]
    return [
        PROCESSOR.encode("a", images, pointmap.render(first, first.prompts[0]), with_answer=True),
        PROCESSOR.encode(
            "b",
            images,
            detection.render(first, QuestionOptions(wording="gap", convention="extrinsic_zxy")),
            with_answer=True,
        ),
        PROCESSOR.encode("c", [second.image(0)], Question(text=IMAGE + "What?", answer="bed"), with_answer=True),
        PROCESSOR.encode("d", portrait(0, 3), Question(text=IMAGE * 3 + "?", answer="a chair"), with_answer=True),
    ]


def shared_examples() -> list[Example]:
    """Three questions on one view and one on another."""
    view = PROCESSOR.look(portrait(1, 2))
    texts = ("What is this?", "And that, behind the table?", "What is there?")
    same = [
        PROCESSOR.encode(str(i), view, Question(text=IMAGE * 2 + text, answer=CLASSES[i] * (i + 1)), with_answer=True)
        for i, text in enumerate(texts)
    ]
    return [same[0], mixed_examples()[2], *same[1:]]


def answer_logits(model: GapForConditionalGeneration, batch: Batch) -> dict[str, torch.Tensor]:
    """Logits of each question's learned tokens, by its key."""
    with torch.no_grad():
        logits = model(**batch.inputs).logits
    learned = batch.labels != -100
    return {key: logits[learned & (batch.questions == index)] for index, key in enumerate(batch.keys)}


def assert_as_alone(model: GapForConditionalGeneration, examples: Sequence[Example], batch: Batch) -> None:
    assert sorted(batch.keys) == sorted(example.key for example in examples)
    together = answer_logits(model, batch)
    for example in examples:
        alone = answer_logits(model, PROCESSOR.collate([example]))[example.key]
        torch.testing.assert_close(together[example.key], alone, rtol=0, atol=1e-5)


def test_positions_are_those_of_the_stock_model(model: GapForConditionalGeneration) -> None:
    for example in mixed_examples():
        inputs = PROCESSOR.collate([example]).inputs
        stock, _ = model.model.get_rope_index(
            inputs["input_ids"], inputs["mm_token_type_ids"], image_grid_thw=inputs["image_grid_thw"]
        )
        assert example.positions()[1:].tolist() == stock[:, 0].tolist()
        assert example.positions()[0].tolist() == list(range(len(example.input_ids)))


def test_a_padded_batch_of_tasks_sizes_and_frame_counts_answers_like_single_questions(
    model: GapForConditionalGeneration,
) -> None:
    examples = mixed_examples()
    assert len({example.token_grid for example in examples}) == 2
    assert_as_alone(model, examples, PROCESSOR.collate(examples))
    asked = [
        PROCESSOR.encode(
            str(frames), portrait(frames, frames), Question(text=IMAGE * frames + "?", answer=""), with_answer=False
        )
        for frames in (1, 3, 2)
    ]
    ways: tuple[dict[str, Any], ...] = ({}, {"num_beams": 2})
    for options in ways:
        together = generate_answers(model, PROCESSOR, asked, 6, **options)
        assert together == [generate_answers(model, PROCESSOR, [each], 6, **options)[0] for each in asked]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_questions_answer_like_single_ones(model: GapForConditionalGeneration, attention: str) -> None:
    examples = mixed_examples()
    lengths = sorted(len(example.input_ids) for example in examples)
    model.set_attn_implementation(attention)
    try:
        for budget in (sum(lengths), lengths[-1]):
            batch = PROCESSOR.pack(examples, budget)
            assert batch.inputs["input_ids"].shape[1] <= budget
            assert "attention_mask" not in batch.inputs
            assert_as_alone(model, examples, batch)
    finally:
        model.set_attn_implementation("sdpa")


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_questions_that_share_a_visual_prefix_answer_like_single_ones(
    model: GapForConditionalGeneration, attention: str
) -> None:
    examples = shared_examples()
    total = sum(len(example.input_ids) for example in examples)
    model.set_attn_implementation(attention)
    try:
        batch = PROCESSOR.pack(examples, total)
        assert len(batch.inputs["image_grid_thw"]) == 3  # two frames of one view, one of the other
        assert batch.inputs["input_ids"].numel() < total - 2 * sum(examples[0].visual)
        assert_as_alone(model, examples, batch)
        longest = max(len(example.input_ids) for example in examples)
        assert_as_alone(model, examples, PROCESSOR.pack(examples, longest + 20))
    finally:
        model.set_attn_implementation("sdpa")


def test_a_packed_row_has_the_gradient_of_its_questions(model: GapForConditionalGeneration) -> None:
    examples = shared_examples()
    gradients = []
    for batch in (PROCESSOR.collate(examples), PROCESSOR.pack(examples, 10_000)):
        model.zero_grad()
        Learner(model)(batch).answer.mean().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
    model.zero_grad()
    assert len(gradients[0]) == len(gradients[1])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_a_neighbour_cannot_be_seen(model: GapForConditionalGeneration) -> None:
    """Another question in front of it, in a shared row or not, changes nothing at all."""
    examples = shared_examples()
    other = PROCESSOR.encode(
        "0", examples[0].frames, Question(text=IMAGE * 2 + "What are those?", answer="plant"), with_answer=True
    )
    one = answer_logits(model, PROCESSOR.pack(examples, 10_000))
    two = answer_logits(model, PROCESSOR.pack([other, *examples[1:]], 10_000))
    for key in "c", "1", "2":
        torch.testing.assert_close(one[key], two[key], rtol=0, atol=2e-6)
    assert not torch.allclose(one["0"], two["0"], atol=1e-3)


def test_with_a_cache_transformers_would_mix_packed_questions(model: GapForConditionalGeneration) -> None:
    """Why packed batches carry use_cache=False; and that the agreement above is none of insensitive logits."""
    batch = PROCESSOR.pack(mixed_examples(), 10_000)
    apart = answer_logits(model, batch)
    batch.inputs["use_cache"] = True
    mixed = answer_logits(model, batch)
    assert max((apart[key] - mixed[key]).abs().max() for key in "bcd") > 1e-2


def test_a_question_that_does_not_fit_into_a_row_is_named() -> None:
    examples = mixed_examples()
    with pytest.raises(UsageError, match=r"the question about d has \d+ tokens, a row 30; raise the budget"):
        PROCESSOR.pack(examples[3:], 30)


def test_questions_with_other_pixels_share_nothing() -> None:
    """Equal images that were looked at twice are two views, and so are equal views with other words before them."""
    question = Question(text=IMAGE * 2 + "What?", answer="bed")
    apart = [PROCESSOR.encode(key, portrait(0, 2), question, with_answer=True) for key in "ab"]
    assert len(PROCESSOR.pack(apart, 10_000).inputs["image_grid_thw"]) == 4
    view = PROCESSOR.look(portrait(0, 2))
    texts = ("Look: " + IMAGE * 2 + "What?", IMAGE * 2 + "What?")
    other = [PROCESSOR.encode(t, view, Question(text=t, answer="bed"), with_answer=True) for t in texts]
    batch = PROCESSOR.pack(other, 10_000)
    assert len(batch.inputs["image_grid_thw"]) == 4
    assert "attention_mask" not in batch.inputs
