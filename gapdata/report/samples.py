"""Measurements on a sample of records that the index does not hold: depths, distances of prompts, lengths of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.records.schema import Record
from gapdata.report.opened import OpenedRecords
from gapdata.seeding import generator_for
from gapdata.tasks.chat import IMAGE
from gapdata.tasks.questions import TASKS, questions
from gapdata.tasks.task import QuestionOptions

DEPTHS_PER_RECORD = 2048


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TextLengths:
    """Characters of one task's questions (frames' placeholders left out) and of their answers, (Q,) each."""

    questions: NDArray[np.float64]
    answers: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """Measured over ``records`` records."""

    records: int
    depths: NDArray[np.float64]  # (D,) z-depth of valid pixels, metres
    distances: NDArray[np.float64]  # (P,) of prompts from the first camera, metres
    texts: dict[str, TextLengths]  # by task, those with questions only


def measure_records(opened: OpenedRecords, positions: Sequence[int]) -> Samples:
    """Measure these records by their JSON and stored pointmap."""
    depths: list[NDArray[np.float64]] = [np.zeros(0)]
    distances: list[float] = []
    lengths: dict[str, list[tuple[int, int]]] = {}
    measured = 0
    for position in positions:
        found = opened.read(position, _measure, ("pointmap.npy",))
        if found is None:
            continue
        measured += 1
        depths.append(found[0])
        distances += found[1]
        for task, pairs in found[2].items():
            lengths.setdefault(task, []).extend(pairs)
    return Samples(
        records=measured,
        depths=np.concatenate(depths),
        distances=np.array(distances, dtype=np.float64),
        texts={task: _text_lengths(lengths[task]) for task in TASKS if lengths.get(task)},
    )


def view_depths(record: Record, wanted: int) -> NDArray[np.float64]:
    """Return the z-depth (n,) of about ``wanted`` evenly spread points of the stored pointmap.

    Metres, each in its own frame's camera.

    Raises:
        ShardError: the pointmap is missing or damaged.
    """
    pointmap = record.stored_pointmap()
    step = max(1, pointmap[..., 0].size // max(wanted, 1))
    found = [np.zeros(0)]
    for points, pose in zip(pointmap, record.camera_to_first, strict=True):
        chosen = points.reshape(-1, 3)[step // 2 :: step].astype(np.float64)
        depth = (chosen - pose[:3, 3]) @ pose[:3, 2]
        found.append(depth[np.isfinite(depth)])
    return np.concatenate(found)


def _measure(record: Record) -> tuple[NDArray[np.float64], list[float], dict[str, list[tuple[int, int]]]]:
    lengths = {}
    for task in (name for name, item in TASKS.items() if item.about != "space"):
        asked = questions(record, task, QuestionOptions(), generator_for(0, "report", record.key))
        lengths[task] = [(len(item.text.replace(IMAGE, "")), len(item.answer)) for item in asked]
    distances = [float(np.linalg.norm(prompt.point)) for prompt in record.prompts]
    return view_depths(record, DEPTHS_PER_RECORD), distances, lengths


def _text_lengths(pairs: Sequence[tuple[int, int]]) -> TextLengths:
    columns = np.array(pairs, dtype=np.float64)
    return TextLengths(questions=columns[:, 0], answers=columns[:, 1])
