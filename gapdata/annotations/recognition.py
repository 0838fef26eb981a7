"""Recognise an annotation file by its content, never by its name.

Pickles, zips and Parquet begin with bytes of their own, a CSV with the names of its columns; in JSON and JSON lines
the first item decides that has the fields of a known kind. Only the scene of a mask file is in its name alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Any, Literal

from gapdata.annotations.referit3d import NEEDED as REFERIT3D
from gapdata.annotations.spar import is_spar
from gapdata.errors import FileError
from gapdata.files.csv_rows import csv_header
from gapdata.files.given_file import open_given
from gapdata.files.json_items import json_items
from gapdata.files.parquet_rows import MAGIC as PARQUET
from gapdata.files.parquet_rows import parquet_names
from gapdata.files.storage import Location

FileKind = Literal[
    "embodiedscan",
    "descriptions",
    "proposals",
    "masks",
    "conversations",
    "vsi-bench",
    "spar",
    "spar-bench",
    "scanqa",
    "sqa3d",
    "sqa3d questions",
    "sqa3d answers",
    "multi3drefer",
    "referit3d",
    "nothing",
]

SNIFFED_ITEMS = 20
"""Items at the beginning of a file that are looked at; the first one that is recognised decides."""
BENCHMARKS: Mapping[FileKind, frozenset[str]] = {
    "vsi-bench": frozenset({"scene_name", "question_type", "question", "ground_truth"}),
    "spar-bench": frozenset({"task", "image", "question", "answer", "img_type"}),
    "sqa3d": frozenset({"scene_id", "question_id", "question", "situation"}),
    "scanqa": frozenset({"scene_id", "question_id", "question"}),
}
"""The fields of a benchmark's questions, in JSON and in Parquet; the first kind of which a row has all decides."""
SQA3D_LISTS: Mapping[str, tuple[FileKind, frozenset[str]]] = {
    "questions": ("sqa3d questions", frozenset({"situation", "question", "question_id"})),
    "annotations": ("sqa3d answers", frozenset({"answers", "question_id"})),
}
"""The lists of SQA3D's release: each is the one list of its file."""
KNOWN = (
    "known are EmbodiedScan's .pkl; ScanRefer's, Scan2Cap's, Multi3DRefer's, GAP-MLLM's, VG-LLM's, ScanQA's and "
    "SQA3D's .json; Mask3D's pred_box.json and mask.npz; VSI-Bench's and SPAR's .jsonl and .parquet; ReferIt3D's .csv"
)


def recognise(path: Location) -> FileKind:
    """Return the kind of a file by its content; ``nothing`` for an empty list, which may be of any kind.

    Raises:
        FileError: it cannot be read, or its kind is unknown.
    """
    with open_given(path) as file:
        head = file.read_at(0, 4)
    if head[:1] == b"\x80":
        return "embodiedscan"
    if head == b"PK\x03\x04":
        return "masks"
    if not head:
        raise FileError("is empty", path=path, cure="download it again")
    if head == PARQUET:
        return _known(path, _benchmark(parquet_names(path)))
    if set(csv_header(path)) >= REFERIT3D:
        return "referit3d"
    sniffed = list(itertools.islice(json_items(path), SNIFFED_ITEMS))
    if not sniffed:
        return "nothing"
    return _known(path, next((kind for item in sniffed if (kind := _kind_of_item(item)) is not None), None))


def _known(path: Location, kind: FileKind | None) -> FileKind:
    if kind is None:
        raise FileError("is not an annotation file of a known kind", path=path, cure=KNOWN)
    return kind


def _benchmark(names: Collection[str]) -> FileKind | None:
    return next((kind for kind, fields in BENCHMARKS.items() if fields <= set(names)), None)


def _kind_of_item(item: Any) -> FileKind | None:
    if not isinstance(item, dict) or not item:
        return None
    if (kind := _kind_of_fields(item)) is not None:
        return kind
    boxes = next((rows for rows in item.values() if rows != []), None)
    if isinstance(boxes, list) and all(isinstance(row, list) and len(row) == 6 for row in boxes):
        return "proposals"
    return None


def _kind_of_fields(item: Mapping[str, Any]) -> FileKind | None:
    names = item.keys()
    if {"scene_id", "object_ids", "description"} <= names:
        return "multi3drefer"
    if {"scene_id", "object_id", "description"} <= names:
        return "descriptions"
    if names & {"images", "image", "video"} and names & {"conversations", "answer_text"}:
        return "spar" if is_spar(item) else "conversations"
    for name, (kind, fields) in SQA3D_LISTS.items():
        entries = item.get(name)
        first = entries[0] if isinstance(entries, list) and entries else None
        if isinstance(first, dict) and fields <= first.keys():
            return kind
    return _benchmark(names)
