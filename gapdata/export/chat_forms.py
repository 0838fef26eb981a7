"""The forms in which trainers of vision-language models read conversations, and the files that lead them there.

========== ===================== ================================================================================
trainer    file of a task        a line
========== ===================== ================================================================================
swift      ``TASK_SPLIT.jsonl``  ``messages`` of role and content, with one ``<image>`` for each of ``images``
llamafactory the same            the same, and ``dataset_info.json``
qwen       ``TASK_SPLIT.jsonl``  ``conversations`` of human and gpt, ``image``: a list (Qwen's qwen-vl-finetune)
llava      ``TASK_SPLIT.json``   the same as one list, ``image``: a name where there is one only
trl        ``TASK_SPLIT.jsonl``  ``prompt`` and ``completion`` with typed parts, ``images_file_names``; a dataset card
========== ===================== ================================================================================

Every line also has ``id, key, task, type, solution`` (the answer: reward functions of ms-swift and TRL call it so),
for spatial questions ``value``, and ``about``: what else is known, as the text of a JSON object, because the libraries
that read these files guess the type of a column from its first lines.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gapdata.export.asked import ExportedQuestion
from gapdata.records.schema import Record

Item = dict[str, Any]
Files = Mapping[str, tuple[str, str]]
"""File name -> (task, split)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How one trainer reads conversations."""

    suffix: str
    """``.jsonl`` for lines, ``.json`` for one list."""
    item: Callable[[ExportedQuestion, Sequence[str]], Item]
    """What is special to this trainer, from a question and the names of its images."""
    further: Callable[[Files], Mapping[str, str]]
    """Text files beside it, by name."""


def line(form: Form, record: Record, asked: ExportedQuestion, images: Sequence[str]) -> Item:
    """Return a line of a file.

    Args:
        form: of the trainer.
        record: that is asked about.
        asked: the question.
        images: the names of its frames, relative to the folder.
    """
    about = {
        "scene_id": record.scene_id,
        "split": record.split,
        "frame_ids": list(record.frame_ids),
        "image_size": list(record.image_size),
        "marks": [[mark.number, mark.frame, *mark.pixel] for mark in asked.question.marks],
        **asked.about,
    }
    fields: Item = {"id": asked.id, "key": asked.key, "task": asked.task, "type": asked.type}
    fields |= form.item(asked, images)
    fields |= {"solution": asked.question.answer, **({} if asked.value is None else {"value": asked.value})}
    return {**fields, "about": json.dumps(about, allow_nan=False)}


def _messages(asked: ExportedQuestion, images: Sequence[str]) -> Item:
    turns = (("user", asked.question.text), ("assistant", asked.question.answer))
    return {"messages": [{"role": role, "content": text} for role, text in turns], "images": list(images)}


def _conversations(asked: ExportedQuestion, images: Sequence[str]) -> Item:
    turns = (("human", asked.question.text), ("gpt", asked.question.answer))
    return {"image": list(images), "conversations": [{"from": role, "value": text} for role, text in turns]}


def _llava(asked: ExportedQuestion, images: Sequence[str]) -> Item:
    item = _conversations(asked, images)
    return item if len(images) > 1 else {**item, "image": images[0]}


def _typed(asked: ExportedQuestion, images: Sequence[str]) -> Item:
    user, assistant = asked.question.messages()
    return {"images_file_names": list(images), "prompt": [user], "completion": [assistant]}


def _swift_notes(files: Files) -> Mapping[str, str]:
    names = " ".join(f"DIR/{name}" for name, (_, split) in files.items() if split == "train") or "DIR/FILE"
    return {
        "README.md": _readme(
            "ms-swift",
            f"ROOT_IMAGE_DIR=DIR swift sft --model Qwen/Qwen3-VL-2B-Instruct --dataset {names}",
            "Paths are relative, so `ROOT_IMAGE_DIR` has to name this folder. Columns beyond `messages` and `images` "
            "are ignored in SFT and given to reward functions in GRPO.",
        )
    }


def _llamafactory_notes(files: Files) -> Mapping[str, str]:
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    columns = {"messages": "messages", "images": "images"}
    entries = {
        _stem(name): {"file_name": name, "formatting": "sharegpt", "columns": columns, "tags": tags} for name in files
    }
    names = ",".join(_stem(name) for name, (_, split) in files.items() if split == "train") or "NAME"
    return {
        "dataset_info.json": json.dumps(entries, indent=2) + "\n",
        "README.md": _readme(
            "LLaMA-Factory",
            "llamafactory-cli train --stage sft --template qwen3_vl_nothink --dataset_dir DIR --media_dir DIR "
            f"--dataset {names} ...",
            "`dataset_info.json` lists the files.",
        ),
    }


def _qwen_notes(files: Files) -> Mapping[str, str]:
    entries = {_stem(name): {"annotation_path": f"DIR/{name}", "data_path": "DIR"} for name in files}
    return {
        "README.md": _readme(
            "Qwen's qwen-vl-finetune",
            json.dumps(entries, indent=2),
            "Enter these rows into `data_dict` of `qwenvl/data/__init__.py`, and name them in `--dataset_use`.",
        )
    }


def _llava_notes(files: Files) -> Mapping[str, str]:
    names = " ".join(f"DIR/{name}" for name in files)
    return {
        "README.md": _readme(
            "LLaVA and trainers that took over its form",
            f"--image_folder DIR --data_path {names}",
            "The original LLaVA takes one image a question; LLaVA-NeXT, VG-LLM and others take the list.",
        )
    }


def _trl_notes(files: Files) -> Mapping[str, str]:
    tasks: dict[str, dict[str, str]] = {}
    for name, (task, split) in files.items():
        tasks.setdefault(task, {})[split] = name
    head = ["---", "configs:"]
    for task, splits in tasks.items():
        head += [f"- config_name: {task}", "  data_files:"]
        for split, name in splits.items():
            head += [f"  - split: {split}", f"    path: [{name}, 'images/**']"]
        head.append(f"  metadata_filenames: [{', '.join(splits.values())}]")
    task = next(iter(tasks), "TASK")
    code = (
        "from datasets import load_dataset\nfrom trl import SFTConfig, SFTTrainer\n\n"
        f'train = load_dataset("DIR", "{task}", split="train")\n'
        'SFTTrainer("Qwen/Qwen3-VL-2B-Instruct", SFTConfig(max_length=None), train_dataset=train).train()'
    )
    text = _readme(
        "TRL",
        code,
        "`max_length=None` matters: TRL cuts long examples by default, which breaks off the tokens of images.",
    )
    return {"README.md": "\n".join([*head, "---", "", text])}


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _readme(trainer: str, usage: str, note: str) -> str:
    return f"""# Questions about views of scanned rooms, for {trainer}

With the path of this folder in place of `DIR`:

```
{usage}
```

{note}

The marks that questions speak of are drawn into the images. Of each question, `solution` is its answer, `value` the
unrounded figure behind it, `type` its form, and `about` (JSON) has its frames, marks as [number, frame, column, row],
options and margins. Frames carry no time stamps: their order is that of the images.
"""


FORMS: Mapping[str, Form] = {
    "swift": Form(suffix=".jsonl", item=_messages, further=_swift_notes),
    "llamafactory": Form(suffix=".jsonl", item=_messages, further=_llamafactory_notes),
    "qwen": Form(suffix=".jsonl", item=_conversations, further=_qwen_notes),
    "llava": Form(suffix=".json", item=_llava, further=_llava_notes),
    "trl": Form(suffix=".jsonl", item=_typed, further=_trl_notes),
}
