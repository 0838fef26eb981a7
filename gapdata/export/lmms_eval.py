"""Export spatial questions as a task of lmms-eval, on which any model can be scored, with its blind twin.

```
gapdata_spatial_val.yaml         the task; gapdata_spatial_val_blind.yaml: the same questions without frames
utils.py                         frames, prompt, scores (gapdata.export.lmms_utils), without this package
questions_val.jsonl              a question a line, with the columns of VSI-Bench and more
images/                          the frames, each once, and marked copies (gapdata.export.frame_images)
README.md                        the command
```
Types that VSI-Bench has, too, have its names, and scores are computed as its are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from gapdata.export import lmms_utils
from gapdata.export.asked import ExportedQuestion, record_questions, written_questions
from gapdata.export.frame_images import FrameImages
from gapdata.export.placing import check_names
from gapdata.files.atomic import atomic_file, write_atomically
from gapdata.records.schema import Record
from gapdata.runtime.choices import check_choice
from gapdata.runtime.counting import counted
from gapdata.shards.reader import ShardReader
from gapdata.tasks.chat import IMAGE
from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.spatial.question import LETTERS
from gapdata.tasks.task import QuestionOptions

VSI_NAMES: Mapping[tuple[str, str], str] = {
    ("count", "count"): "object_counting",
    ("distance", "distance"): "object_abs_distance",
    ("nearest", "nearest"): "object_rel_distance",
    ("size", "size"): "object_size_estimation",
    ("room", "room"): "room_size_estimation",
    ("direction", "left-right"): "object_rel_direction_easy",
    ("direction", "thirds"): "object_rel_direction_medium",
    ("direction", "quarters"): "object_rel_direction_hard",
    ("order", "order"): "obj_appearance_order",
    ("route", "route"): "route_planning",
}
"""VSI-Bench's name of a task and its form (:attr:`gapdata.export.asked.ExportedQuestion.type`)."""
BEFORE = "These are frames of a video.\\n"
"""As VSI-Bench's own task begins, in the notation of YAML."""


def export(
    build: ShardReader,
    records: Iterable[Record],
    out: Path,
    *,
    tasks: Sequence[str] | None = None,
    taxonomy: str | None = None,
    per_kind: int = 2,
    questions: Path | None = None,
) -> dict[str, Any]:
    """Write the task and return the report.

    Args:
        build: where the records are from.
        records: those to ask about.
        out: the folder.
        tasks: some of :data:`gapdata.tasks.spatial.kinds.KINDS`; ``None`` for all.
        taxonomy: of the names of objects; ``None`` takes the record's own labels.
        per_kind: the most questions of one type about a view.
        questions: the file of ``gapdata questions`` whose questions are taken instead of drawn ones.

    Raises:
        UsageError: a task is unknown, or the file is not about this build.
        ShardError: the build is damaged, or a name in it would lead out of the folder.
    """
    for task in tasks or ():
        check_choice("task", task, KINDS)
    chosen = [kind for kind in KINDS if tasks is None or kind in tasks]
    options, images = QuestionOptions(taxonomy=taxonomy, per_kind=per_kind), FrameImages(out)
    written = written_questions(build, questions)
    files: dict[str, BinaryIO] = {}
    asked: dict[str, Counter[str]] = {}
    with ExitStack() as stack:
        for record in records:
            check_names(record)
            for _, items, _ in record_questions(record, chosen, options, written=written):
                for item in items:
                    if record.split not in files:
                        path = out / f"questions_{record.split}.jsonl"
                        files[record.split] = stack.enter_context(atomic_file(path))
                    row = question_row(record, item, images.write(record, item.question.marks))
                    files[record.split].write(json.dumps(row, allow_nan=False).encode() + b"\n")
                    asked.setdefault(record.split, Counter())[row["question_type"]] += 1
        images.flush()
    write_atomically(out / "utils.py", Path(lmms_utils.__file__).read_bytes())
    for split, counts in asked.items():
        for blind in (False, True):
            name = task_name(split, blind)
            write_atomically(out / f"{name}.yaml", task_text(split, sorted(counts), blind).encode())
    write_atomically(out / "README.md", _readme(sorted(asked)).encode())
    return {
        "frames": images.frames,
        "marked": images.marked,
        "questions": {split: dict(sorted(counts.items())) for split, counts in sorted(asked.items())},
    }


def format_report(report: Mapping[str, Any]) -> str:
    """Return the report as text for a terminal."""
    lines = [f"{counted(report['frames'], 'frame')} and {counted(report['marked'], 'marked copy', 'marked copies')}"]
    for split, counts in report["questions"].items():
        lines.append(f"  {task_name(split, False)}: {counted(sum(counts.values()), 'question')}")
        lines += [f"    {count:7d} {kind}" for kind, count in counts.items()]
    return "\n".join([*lines, "README.md has the command"])


def task_name(split: str, blind: bool) -> str:
    """Return the name of a task."""
    return f"gapdata_spatial_{split}{'_blind' if blind else ''}"


def question_row(record: Record, item: ExportedQuestion, images: Sequence[str]) -> dict[str, Any]:
    """Return a line of the questions, with VSI-Bench's columns first."""
    options = [f"{letter}. {text}" for letter, text in zip(LETTERS, item.about.get("options", ()), strict=False)]
    return {
        "id": item.id,
        "dataset": record.source,
        "scene_name": record.scene_id,
        "question_type": VSI_NAMES.get((item.task, item.type), item.task),
        "question": item.question.text.replace(IMAGE, ""),
        "options": options,
        "ground_truth": item.question.answer,
        "metric": KINDS[item.task].metric,
        "task": item.task,
        "key": record.key,
        "value": item.value,
        "images": list(images),
    }


def task_text(split: str, types: Sequence[str], blind: bool) -> str:
    """Return the file of a task, YAML."""
    lines = [
        f"task: {task_name(split, blind)}",
        "dataset_path: json",
        "dataset_kwargs:",
        "  data_files:",
        f"    {split}: questions_{split}.jsonl",
        f"test_split: {split}",
        "output_type: generate_until",
        f"doc_to_visual: !function utils.{'doc_to_nothing' if blind else 'doc_to_visual'}",
        "doc_to_text: !function utils.doc_to_text",
        "doc_to_target: ground_truth",
        "process_results: !function utils.process_results",
        "generation_kwargs: {max_new_tokens: 16, temperature: 0, top_p: 1.0, num_beams: 1, do_sample: false}",
        "metric_list:",
        "- {metric: overall, aggregation: !function utils.mean_of_types, higher_is_better: true}",
        *(f"- {{metric: {name}, aggregation: mean, higher_is_better: true}}" for name in types),
        "lmms_eval_specific_kwargs:",
        f'  default: {{pre_prompt: "{BEFORE}", post_prompt: ""}}',
        # Models of this project are asked as they were trained: the question alone.
        '  gap_mllm: {pre_prompt: "", post_prompt: ""}',
        "metadata:",
        "- version: 1.0",
    ]
    return "\n".join([*lines, ""])


def _readme(splits: Sequence[str]) -> str:
    names = ",".join(task_name(split, blind) for split in splits for blind in (False, True))
    return f"""# Questions about space, for lmms-eval

In this folder, because names of files are relative to it:

```
python -m lmms_eval --include_path . --tasks {names} --model qwen3_vl \\
    --model_args pretrained=Qwen/Qwen3-VL-2B-Instruct --batch_size 1 --output_path results
```

A model that this project trained is `--model gap_mllm --model_args pretrained=DIR`. It is asked as it was trained,
without the line about frames of a video that other models read first.

`..._blind` asks the same questions without a frame: only what a model scores above it needs eyes. Letters are right or
wrong, numbers score VSI-Bench's mean relative accuracy, `overall` is the mean of the types. Types that VSI-Bench has
have its names; the questions and their texts are this project's.
"""
