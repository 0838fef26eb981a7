"""Targets that people and models write: recipes, predictions and answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.fuzz.cases import attempt
from tests.fuzz.mutations import damaged, damaged_json, damaged_tree, pick, written


def recipes(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """Recipes of both packages, as files and as ``--set``."""
    from gapdata.engine.recipe import read_recipe
    from gapdata.recipes.recipe_files import manifests_folder
    from gapmodel.training.recipe import read_training_recipe

    known = [path.read_bytes() for path in sorted(manifests_folder().glob("*.toml"))]
    path = scratch / "recipe.toml"
    words = (
        "seed",
        "frames.image_size",
        "clips.frames",
        "quality.min_overlap",
        "shards",
        "x.y",
        "prompts.border",
        ".",
        "",
    )
    values = ("1", "-1", "1e400", "[1]", "[64, 48]", "true", "nan", "'x'", "{a=1}", "99999999999999999999", "[[[[", "=")

    def case(rng: np.random.Generator) -> int:
        data = damaged(pick(rng, known), rng, known)
        if rng.random() < 0.05:
            data = b"a = " + b"[" * 10_000 + b"]" * 10_000
        path.write_bytes(data)
        overrides = [f"{pick(rng, words)}={pick(rng, values)}"] if rng.random() < 0.5 else []
        attempt(lambda: read_recipe(path if rng.random() < 0.7 else None, overrides))
        attempt(lambda: read_training_recipe(path, overrides))
        return len(data)

    return case


def predictions(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """What an evaluation that is resumed, or scored anew, reads."""
    from gapdata.tasks.predictions import FOLDER
    from gapmodel.evaluation.predictions import read_answers, settle

    (scratch / FOLDER).mkdir()
    asked = {"model": "m", "build": "b", "tasks": ["detection"]}
    line = {"id": "scene0000_00-clip-00000/detection", "key": "scene0000_00-clip-00000", "text": "```json\n[]```"}
    lines = b"".join(json.dumps({**line, "id": str(number)}).encode() + b"\n" for number in range(4))

    def case(rng: np.random.Generator) -> int:
        data = damaged(lines, rng) if rng.random() < 0.5 else written(damaged_tree(line, rng)) + b"\n"
        (scratch / FOLDER / "part-000.jsonl").write_bytes(data)
        (scratch / "asked.json").write_bytes(damaged_json(asked, rng))
        attempt(lambda: read_answers(scratch))
        attempt(lambda: settle(scratch, asked))
        return len(data)

    return case


def answers(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """What a model may write."""
    from gapdata.tasks import (
        captioning,
        detection,
        detection_compat,
        grounding,
        grounding_box,
        grounding_frame,
        pointmap,
    )

    box = [1.0, 2.0, 3.0, 0.5, 0.5, 0.5, 0.1, 0.2, 0.3]
    entry = {"label": "chair", "bbox_3d": box}
    texts = (
        detection.answer_text([detection.TextBox(label="chair", values=tuple(box))] * 2),
        grounding.answer_text(3, box),
        grounding_box.answer_text(box),
        grounding_frame.answer_text(2),
        pointmap.answer_text(pointmap.PointmapAnswer(point=(1.0, 2.0, 3.0), label="table")),
        pointmap.several_answer_text({1: pointmap.PointmapAnswer(point=(1.0, 2.0, 3.0), label=None)}),
        "A brown chair.",
    )
    marks = (
        "[" * 5000,
        "{" * 5000,
        "(" * 300,
        "-" * 4000,
        "\\" * 999,
        '"' * 99,
        "\ud800",
        "\0",
        "9" * 5000,
        "1e999999",
        "²٣",
    )
    parsers = (
        *(detection.parse, detection_compat.parse_lines, captioning.parse, pointmap.parse, pointmap.parse_several),
        *(grounding_box.parse, grounding.parse, grounding_frame.parse),
        *(lambda text: grounding.parse(text, 4), lambda text: grounding_frame.parse(text, 4)),
    )

    def case(rng: np.random.Generator) -> int:
        if rng.random() < 0.4:
            text = written(damaged_tree([entry, {"frame": 1, "mark": 2, "pointmap": box[:3]}], rng)).decode()
        else:
            text = damaged(pick(rng, texts).encode(), rng, [item.encode() for item in texts]).decode(errors="replace")
        if rng.random() < 0.3:
            place = int(rng.integers(len(text) + 1))
            text = text[:place] + pick(rng, marks) * int(rng.integers(1, 30)) + text[place:]
        for parse in parsers:
            parse(text)
        return len(text)

    return case
