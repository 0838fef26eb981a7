"""Captures of ARKitScenes: one of their files is damaged, and all that reads captures reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.fuzz.cases import attempt, linked, replaced
from tests.fuzz.mutations import damaged, damaged_json, pick
from tests.support.arkit_captures import (
    BOXES,
    CAPTURE,
    STAMPS,
    write_boxes,
    write_confidence,
    write_frames,
    write_metadata,
)


def write_arkit_seed(folder: Path) -> None:
    """A download of one small capture with all kinds of files."""
    home = folder / "3dod" / "Validation" / CAPTURE
    frames = home / f"{CAPTURE}_frames"
    write_frames(frames)
    names = [f"{CAPTURE}_{float(stamp):.3f}" for stamp in STAMPS]
    write_confidence(frames, names, np.random.default_rng(0).integers(0, 3, (24, 32)).astype(np.uint8))
    write_boxes(home)
    write_metadata(folder / "3dod", [(CAPTURE, "381879", "Validation")])


def arkit_capture(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """Images, cameras, trajectory, boxes, mesh and lists."""
    from gapdata.commands.inspect import format_facts
    from gapdata.sources.arkitscenes import ArkitScenes

    folder = linked(seeds / "arkit", scratch / "arkit")
    files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    kinds = sorted({path.parent.name + path.suffix for path in files})

    def case(rng: np.random.Generator) -> int:
        kind = pick(rng, kinds)
        path = pick(rng, [path for path in files if path.parent.name + path.suffix == kind])
        same = [data for other, data in files.items() if other.suffix == path.suffix]
        as_tree = path.suffix == ".json" and rng.random() < 0.8
        content = {"data": list(BOXES), "skipped": False}
        data = damaged_json(content, rng) if as_tree else damaged(files[path], rng, same)
        with replaced(path, data):
            dataset = ArkitScenes.open(folder)
            attempt(lambda: dataset.lacks(dataset.scene_ids, splits_given=False))
            with dataset.open_scan(CAPTURE) as scan:
                attempt(lambda: format_facts(scan.describe()))
                attempt(lambda: json.dumps(dict(scan.notes)))
                attempt(scan.annotation)
                for frame in np.flatnonzero(scan.present)[:6].tolist():
                    attempt(lambda frame=frame: scan.color(frame, 2))  # type: ignore[misc]
                    attempt(lambda frame=frame: scan.depth(frame))  # type: ignore[misc]
                    attempt(lambda frame=frame: scan.confidence(frame))  # type: ignore[misc]
                    attempt(lambda frame=frame: scan.color_camera(frame))  # type: ignore[misc]
        return len(data)

    return case
