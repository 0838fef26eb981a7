"""A small build with every task, the files of its export, and how they are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gapdata.commands.main import main
from gapdata.records.schema import Record
from gapdata.seeding import generator_for
from gapdata.shards.reader import ShardReader
from gapdata.tasks.questions import questions
from gapdata.tasks.task import QuestionOptions
from gapdata.tasks.wordings import Wording

SIZE = (96, 64)  # cropped and resized from 128x96

TRAIN, VAL = "scene0000_00", "scene0001_00"

SETTINGS = [
    "frames.image_size=[96,64]", "clips.frames=2", "clips.interval=3", "clips.step=3", "clips.max_shift=0",
    "scene_views.frames=4", "around.enabled=true", "around.reach=6", "around.interval=3", "prompts.per_view=4",
    "prompts.spacing=8",
]  # fmt: skip

ASKED = {
    "recons": ("pointmap", "clip"), "det": ("detection", "clip"), "scanrefer1": ("grounding_frame", "scene"),
    "scanrefer2": ("grounding_box", "around"), "scanrefer": ("grounding", "scene"), "scan2cap": ("captioning", "scene"),
}  # fmt: skip

FILES = {
    f"{name}.json": task
    for split in ("train", "val")
    for name, task in {
        f"scannet_recons_{split}_2frames": "recons",
        f"scannet_det_{split}_2frames": "det",
        f"scanrefer_{split}_4frames_stage1": "scanrefer1",
        f"scanrefer_{split}_4frames_stage2": "scanrefer2",
        f"scanrefer_{split}_4frames": "scanrefer",
        f"scan2cap_{split}_4frames": "scan2cap",
    }.items()
}

Item = dict[str, Any]


def build(*arguments: str) -> None:
    assert main(["build-shards", "--executor", "inline", *arguments]) == 0


def load(folder: Path, name: str) -> list[Item]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    items = json.loads((folder / "annotations" / name).read_text(), parse_constant=refuse)
    assert isinstance(items, list)
    return items


def loader_sample(data_path: Path, item: Item) -> tuple[str, str, list[np.ndarray]]:
    """What GAP-MLLM's loader makes of an item (formats.md 6.1, 6.2): the text with its placeholders, the answer, and
    the images, with the cross on the one that ``pixel_coords`` names. Written from the description of their format.
    """
    first, second = item["conversations"]
    assert (first["from"], second["from"]) == ("human", "gpt")
    text = first["value"].replace("<image>\n", "<image>")
    assert text.count("<image>") == len(item["images"]) > 0
    assert "<image>" not in second["value"]
    images = []
    for name in item["images"]:
        assert re.fullmatch(r"posed_images/scene\d{4}_\d{2}/\d{5}\.jpg", name)
        images.append(cv2.imread(str(data_path / name))[..., ::-1].copy())
    if "pixel_coords" in item:
        view, x, y = item["pixel_coords"]
        assert all(type(value) is int for value in item["pixel_coords"])
        height, width = images[view].shape[:2]
        assert 0 <= x < width
        assert 0 <= y < height
        images[view][max(0, y - 2) : y + 3, max(0, x - 10) : x + 11] = (255, 0, 0)
        images[view][max(0, y - 10) : y + 11, max(0, x - 2) : x + 3] = (255, 0, 0)
    return text, second["value"], images


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def expected(record: Record, wording: Wording = "gap") -> Iterator[tuple[str, str, str, tuple[int, ...] | None]]:
    """Task, question, answer and mark of everything that a record is asked, by :mod:`gapdata.tasks` itself."""
    for task, (name, view) in ASKED.items():
        if record.view != view:
            continue
        captions = task == "scan2cap" and record.split == "val"
        options = QuestionOptions(
            wording=wording, taxonomy="embodiedscan", caption_point="proposal" if captions else "truth"
        )
        found = questions(record, name, options, generator_for(0))
        # An object is one item of an evaluation, whatever was said about it: here the first of two sentences.
        for question in found[:1] if captions else found:
            mark = None if question.mark is None else (question.mark.frame, *question.mark.pixel)
            yield task, question.text, question.answer, mark


def first_clip(shards: Path) -> Record:
    return next(record for record in ShardReader(shards) if record.view == "clip")
