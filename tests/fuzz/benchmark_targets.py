"""Targets of ``build-shards --annotations``: questions of published benchmarks and referring expressions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.cases import attempt
from tests.fuzz.mutations import damaged, damaged_json, damaged_tree, pick, written
from tests.support import benchmark_records as sound

SCENE_IDS = frozenset({"scene0000_00", "scene0001_00"})


def benchmark_files(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """JSON, JSON lines, CSV and Parquet of every kind; each meets the reader of its kind, or that of another one."""
    from gapdata.annotations.bundle import DESCRIPTION_READERS, QUESTION_READERS, gather
    from gapdata.annotations.sqa3d import read_answers, read_sqa3d

    release = sound.sqa3d_release([sound.situation()] * 2, [sound.situated_answer()] * 2)
    merged = [{**sound.situation(), "answers": [{"answer": "brown"}]}]
    marked = {
        "type": "depth_prediction_oc",
        "red_point": [[553, 397]],
        "blue_bbox": [[1, 2, 30, 40]],
        "point_img_idx": [[1]],
    }
    lists: tuple[list[Any], ...] = (
        [sound.vsi_row(), sound.vsi_choice()],
        [sound.spar_line(), {**sound.spar_line((5,)), **marked}],
        [sound.scanqa_row(), sound.scanqa_row(1, object_ids=[])],
        merged,
        [sound.several(), sound.several([1, 2], 1), sound.several([], 2)],
    )

    def situated(path: Path) -> object:
        return read_sqa3d(path, None, {"220602000000": ("brown",)})

    readers = (*DESCRIPTION_READERS.values(), *QUESTION_READERS.values(), read_answers, situated)
    tables = []
    for place, rows in enumerate(lists[:3]):
        for compression in ("snappy", "none"):
            path = sound.write_parquet(scratch / f"seed{place}.parquet", rows, compression=compression)
            tables.append(path.read_bytes())
    comma = sound.write_csv(scratch / "seed.csv", [sound.nr3d_row(n) for n in range(3)]).read_bytes()
    other = sound.write_csv(scratch / "seed.csv", [sound.sr3d_row()], sound.SR3D_COLUMNS, "utf-16").read_bytes()

    def text(rng: np.random.Generator) -> bytes:
        tree = pick(rng, (*lists, *release))
        if isinstance(tree, list) and rng.random() < 0.4:
            return b"\n".join(written(damaged_tree(item, rng) if rng.random() < 0.5 else item) for item in tree)
        return damaged_json(tree, rng)

    def table(rng: np.random.Generator) -> bytes:
        return damaged(pick(rng, tables), rng, tables)

    def separated(rng: np.random.Generator) -> bytes:
        return damaged(pick(rng, (comma, other)), rng, (comma, other, b'"', b"\r\n", b","))

    def case(rng: np.random.Generator) -> int:
        make, name = pick(
            rng, ((text, "a_test.json"), (text, "b.jsonl"), (table, "test.parquet"), (separated, "x.csv"))
        )
        path, data = scratch / name, make(rng)
        path.write_bytes(data)
        answers = scratch / "answers.json"
        answers.write_bytes(written(release[1]))

        def gathered() -> None:
            for scene in gather([path, *([answers] if rng.random() < 0.3 else [])], SCENE_IDS).scenes.values():
                assert scene.from_json(scene.to_json()).questions == scene.questions

        attempt(gathered)
        if rng.random() < 0.3:
            read = pick(rng, readers)
            attempt(lambda: read(path))
        return len(data)

    return case
