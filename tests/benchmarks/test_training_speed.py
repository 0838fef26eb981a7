"""What a training sample costs to load, against the authors' dataset class; and what further questions on a view cost.

    python -m pytest tests/benchmarks/test_training_speed.py --override-ini addopts= -q -s

All figures are CPU seconds of one thread, medians of rounds in which both ways take turns.
"""

from __future__ import annotations

import copy
import io
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from gapdata.records.codec import encode_jpeg, member_name
from gapdata.records.schema import Record
from gapdata.runtime.allocation import keep_freed_memory
from gapdata.shards.records import RecordList
from gapdata.tasks import pointmap
from gapdata.tasks.chat import IMAGE, Question
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.presets import preset
from gapmodel.processing import GapProcessor, ProcessorConfig
from gapmodel.questions.recipe import DataRecipe
from gapmodel.tokenizer import special_token_ids, train_tokenizer
from gapmodel.training.distributed import Ranks
from gapmodel.training.learner import Learner
from gapmodel.training.loading import Step, lay_out
from gapmodel.training.optimisation import build_optimizer
from gapmodel.training.recipe import Stream, TrainingRecipe, TrainRecipe
from gapmodel.training.record_cache import RecordCache
from gapmodel.training.step import training_step
from gapmodel.training.stream_questions import StreamQuestions
from tests.support.models import make_record

FRAMES, STORED, THEIRS = 4, (512, 384), (640, 480)
VOCABULARY = 151_643
ROUNDS, SAMPLES = 5, 6


def cpu_seconds(work: Callable[..., object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def photograph(seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Smooth shapes and sensor noise: a JPEG of 80 to 110 KB, as a frame of a room has."""
    rng = np.random.default_rng(seed)
    shapes = cv2.resize(rng.normal(size=(size[1] // 8, size[0] // 8, 3)), size, interpolation=cv2.INTER_CUBIC)
    return np.clip(50 * shapes + 128 + rng.normal(size=shapes.shape) * 6, 0, 255).astype(np.uint8)


def full_size_record(seed: int) -> Record:
    """A clip of four frames of the stored size with the small record's objects and prompts."""
    small = make_record(seed, frames=FRAMES)
    members = {
        member_name(frame, "jpg"): encode_jpeg(photograph(FRAMES * seed + frame, STORED), 92) for frame in range(FRAMES)
    }
    intrinsics = small.intrinsics * (STORED[0] / small.image_size[0])
    return replace(small, image_size=STORED, intrinsics=intrinsics, members=members)


def large_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE of Qwen's size; which words it knows does not matter for what it costs."""
    rng = np.random.default_rng(0)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate(letters)}
    words, merges = list(letters), []
    while len(words) < VOCABULARY:
        left, right = (words[int(index)] for index in rng.integers(0, min(len(words), 4000), 2))
        if left + right not in vocabulary and len(left + right) < 16:
            vocabulary[left + right] = len(words)
            words.append(left + right)
            merges.append((left, right))
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


class TheirDataset:
    """The steps of GAP-MLLM's dataset class for a sample (repository ZestfulJX/GAP-MLLM at 051011f), in their order."""

    def __init__(self, *, copies_tokenizer: bool) -> None:
        self.copies_tokenizer = copies_tokenizer
        self.tokenizer = large_tokenizer()
        self.images = Qwen2VLImageProcessorPil(patch_size=16, merge_size=2, temporal_patch_size=2, do_resize=False)
        self.files = [
            [encode_jpeg(photograph(FRAMES * sample + frame, THEIRS), 95) for frame in range(FRAMES)]
            for sample in range(SAMPLES)
        ]

    def sample(self, index: int, question: Question) -> object:
        frames = [Image.open(io.BytesIO(data)).convert("RGB") for data in self.files[index]]
        for step in range(-10, 11):
            for width in range(-2, 3):
                frames[0].putpixel((320 + step, 240 + width), (255, 0, 0))
                frames[0].putpixel((320 + width, 240 + step), (255, 0, 0))
        resized = [frame.resize((518, 392), Image.Resampling.BICUBIC) for frame in frames]
        geometry = torch.stack([torch.from_numpy(np.array(f)).permute(2, 0, 1).float() / 255.0 for f in resized])
        cropped = [frame.crop((0, 0, 512, 384)) for frame in resized]
        patches = self.images(cropped, return_tensors="pt")["pixel_values"]
        tokenizer = copy.deepcopy(self.tokenizer) if self.copies_tokenizer else self.tokenizer
        pads = "<|image_pad|>" * 192
        text = "".join(f"<{frame / 24:.1f} seconds>{pads}" for frame in range(FRAMES)) + question.text
        return geometry, patches, tokenizer(text)["input_ids"], tokenizer(question.answer)["input_ids"]


def test_a_sample_costs_a_fraction_of_the_authors_way() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    keep_freed_memory()
    records = [full_size_record(seed) for seed in range(SAMPLES)]
    words = [pointmap.WITH_LABEL, "user\n", "assistant\n", "<1.0 seconds>"]
    processor = GapProcessor(train_tokenizer(words), ProcessorConfig(geometry_patch_size=14))
    stream = Stream(name="marked", weight=1.0, build="", data=DataRecipe(visits=8))
    ours = StreamQuestions(stream, RecordList(records), processor, seed=0)
    order = ours.order()
    question = pointmap.render(records[0], records[0].prompts[0])
    shipped, repaired = TheirDataset(copies_tokenizer=True), TheirDataset(copies_tokenizer=False)

    def load_ours(start: int) -> None:
        ours.cache = RecordCache()  # each sample is decoded anew, as in an epoch over a large build
        for number in range(start * SAMPLES, (start + 1) * SAMPLES):
            assert len(ours.examples(order.visit(0, number))) == 1

    figures: dict[str, list[float]] = {"ours": [], "as shipped": [], "without the copy": []}
    for turn in range(ROUNDS + 1):
        taken = {
            "ours": cpu_seconds(lambda turn=turn: load_ours(turn)) / SAMPLES,
            "as shipped": cpu_seconds(lambda: shipped.sample(0, question)),
            "without the copy": cpu_seconds(lambda: [repaired.sample(i, question) for i in range(SAMPLES)]) / SAMPLES,
        }
        if turn:
            for name, seconds in taken.items():
                figures[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in figures.items()}
    for name, seconds in medians.items():
        print(f"{name:18}{seconds * 1e3:8.1f} ms a sample of {FRAMES} frames, {seconds / medians['ours']:6.1f}x ours")
    assert medians["ours"] < medians["as shipped"] / 40
    assert medians["ours"] < medians["without the copy"] / 5


def test_further_questions_on_a_view_cost_a_third_of_the_first() -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    ranks = Ranks(device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    words = [pointmap.WITH_LABEL, "user\n", "assistant\n", "<1.0 seconds>"]
    processor = GapProcessor(train_tokenizer(words), ProcessorConfig(image_size=(256, 192), temporal_patch_size=1))
    config = preset(
        "tiny",
        token_ids=special_token_ids(processor.tokenizer),
        text={"vocab_size": len(processor.tokenizer)},
        geometry={"patch_size": 16},
    )
    learner = Learner(GapForConditionalGeneration(config)).train().to(ranks.device)
    recipe = TrainingRecipe(train=TrainRecipe(token_budget=4096))
    optimizer = build_optimizer(learner, recipe.train)
    view = processor.look([photograph(frame, (256, 192)) for frame in range(FRAMES)], raw=True)
    steps: dict[int, Step] = {}
    for count in (1, 4):
        asked = [
            Question(text=IMAGE * FRAMES + f"Where is object {number} of this room?", answer="[1.25, -0.40, 3.07]")
            for number in range(count)
        ]
        examples = [processor.encode(item.text, view, item, with_answer=True) for item in asked]
        steps[count] = lay_out(examples, processor, recipe.train, visits=1)
        assert len(steps[count].batches) == 1
    seconds: dict[int, list[float]] = {1: [], 4: []}
    for turn in range(2 * ROUNDS + 1):
        for count, step in steps.items():
            taken = cpu_seconds(lambda step=step: training_step(learner, step, optimizer, recipe, ranks))
            if turn:
                seconds[count].append(taken)
    one, four = (statistics.median(seconds[count]) for count in (1, 4))
    tokens = {count: step.tokens for count, step in steps.items()}
    print(f"1 question {one * 1e3:.1f} ms ({tokens[1]} tokens), 4 {four * 1e3:.1f} ms ({tokens[4]}): {four / one:.2f}x")
    assert four < (1 + 0.35 * 3) * one
