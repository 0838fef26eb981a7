"""Conversations are read by the trainers' own libraries where these are installed, and by their rules where not."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapdata.shards.reader import ShardReader


def truth(chats: Path) -> Counter[tuple[str, str, str, int]]:
    """Id, question without placeholders, answer and number of images of every line, as ms-swift's form has them."""
    return Counter(
        (item["id"], item["messages"][0]["content"].replace("<image>", ""), item["solution"], len(item["images"]))
        for path in (chats / "swift").glob("*.jsonl")
        for item in map(json.loads, path.read_text().splitlines())
    )


def sharegpt_samples(folder: Path, entry: dict[str, Any]) -> list[tuple[str, str, list[Path]]]:
    """What LLaMA-Factory makes of an entry of ``dataset_info.json``: turns that alternate, images below ``media_dir``.

    Written from the description of its format.
    """
    assert entry["formatting"] == "sharegpt"
    columns, tags, samples = entry["columns"], entry["tags"], []
    for text in (folder / entry["file_name"]).read_text().splitlines():
        item = json.loads(text)
        turns, images = item[columns["messages"]], item[columns["images"]]
        assert [turn[tags["role_tag"]] for turn in turns] == [tags["user_tag"], tags["assistant_tag"]]
        question, answer = (turn[tags["content_tag"]] for turn in turns)
        assert question.count("<image>") == len(images)
        assert isinstance(images, list)
        samples.append((question, answer, [folder / name for name in images]))
    return samples


def test_llama_factory_finds_every_file_by_its_dataset_info(chats: Path) -> None:
    folder = chats / "llamafactory"
    entries = json.loads((folder / "dataset_info.json").read_text())
    assert {entry["file_name"] for entry in entries.values()} == {path.name for path in folder.glob("*.jsonl")}
    found = [sample for entry in entries.values() for sample in sharegpt_samples(folder, entry)]
    assert all(path.is_file() for _, _, images in found for path in images)
    wanted = Counter((text, answer, count) for _, text, answer, count in truth(chats).elements())
    assert Counter((text.replace("<image>", ""), answer, len(images)) for text, answer, images in found) == wanted


def qwen_parts(source: dict[str, Any], data_path: Path) -> tuple[list[Path], list[str]]:
    """What qwen-vl-finetune makes of a line: images below ``data_path``, used up by the placeholders of human turns.

    Written from the description of its format: a placeholder too many or an image left over is an error.
    """
    images = source["image"] if isinstance(source["image"], list) else [source["image"]]
    pool, used, texts = [data_path / name for name in images], [], []
    for turn in source["conversations"]:
        assert turn["from"] in ("human", "gpt")
        pieces = re.split(r"(<image>|<video>)", turn["value"])
        for piece in pieces if turn["from"] == "human" else ():
            assert piece != "<video>"
            if piece == "<image>":
                used.append(pool.pop(0))
        texts.append("".join(piece for piece in pieces if piece != "<image>"))
    assert not pool
    return used, texts


@pytest.mark.parametrize("trainer", ["qwen", "llava"])
def test_trainers_with_conversations_use_each_image_once(chats: Path, trainer: str) -> None:
    folder, found = chats / trainer, Counter[tuple[str, str, str, int]]()
    for path in folder.glob("*_*.json*"):
        text = path.read_text()
        items = json.loads(text) if trainer == "llava" else [json.loads(line) for line in text.splitlines()]
        for item in items:
            images, (question, answer) = qwen_parts(item, folder)
            assert all(image.is_file() for image in images)
            found[item["id"], question, answer, len(images)] += 1
    assert found == truth(chats)


def test_the_library_that_ms_swift_and_llama_factory_read_with_takes_the_lines(chats: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    files = sorted(str(path) for path in (chats / "swift").glob("*_train.jsonl"))
    found: Counter[tuple[str, str, str, int]] = Counter()
    for file in files:
        rows = datasets.load_dataset("json", data_files=file, split="train", cache_dir=str(tmp_path / Path(file).stem))
        for row in rows:
            question = row["messages"][0]["content"].replace("<image>", "")
            found[row["id"], question, row["messages"][1]["content"], len(row["images"])] += 1
    wanted = truth(chats)
    assert len(found) == sum(Path(file).read_text().count("\n") for file in files)
    assert found <= wanted


def test_trl_gets_images_and_typed_parts_from_the_folder_alone(shards: Path, chats: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder, records = chats / "trl", {record.key: record for record in ShardReader(shards)}
    for task in ("pointmap", "grounding", "pixel_depth"):
        splits = datasets.load_dataset(str(folder), task, cache_dir=str(tmp_path / task))
        assert set(splits) <= {"train", "val"}
        assert sum(len(rows) for rows in splits.values()) > 2
        for row in splits["train"]:
            (user,), (assistant,) = row["prompt"], row["completion"]
            parts, record = user["content"], records[row["key"]]
            assert [part["type"] for part in parts].count("image") == len(row["images"]) == len(record)
            assert assistant["content"] == [{"type": "text", "text": row["solution"]}]
            marked = {frame for _, frame, *_ in json.loads(row["about"])["marks"]}
            for frame, image in enumerate(row["images"]):
                assert image.size == record.image_size
                assert (frame in marked) != np.array_equal(
                    np.asarray(image), decoded(record.members[f"{frame:02d}.jpg"])
                )


def decoded(data: bytes) -> Any:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(data)))
