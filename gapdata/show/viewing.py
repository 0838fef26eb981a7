"""The records of a build, or its scenes, one after another, as ``gapdata view`` shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import UsageError
from gapdata.files.storage import Location
from gapdata.records.schema import Record
from gapdata.runtime.choices import near_names
from gapdata.shards.fingerprint import planned_fingerprint
from gapdata.shards.reader import ShardReader
from gapdata.show.scene.exhibit import Exhibit, record_exhibit
from gapdata.show.scene.scene import MAX_POINTS, scene_exhibit, scene_ids, scene_positions
from gapdata.show.sheet.gallery import answer_gallery
from gapdata.show.sheet.parts import answer_table, camera_strip, frame_strip, prompt_table
from gapdata.show.sheet.sheet import INNER, exhibit_sheet
from gapdata.show.sheet.sheet import MAX_POINTS as SHEET_POINTS
from gapdata.tasks.predictions import Predictions, read_predictions

UNKNOWN_BUILD = "the predictions do not say which build they are about: they are shown for records with the same keys"


class Viewing:
    """The records that can be stepped through, or with ``scene`` the scenes; where to begin; how to show one.

    Args:
        build: the directory or URI.
        key: the record to begin with.
        scene: the scene to begin with; then scenes are shown instead of records.
        predictions: a file of a model's answers, or an evaluation's folder.

    Raises:
        UsageError: both a record and a scene are named, or one that the build does not have; or the predictions are
            damaged, or have nothing about what is shown first.
    """

    def __init__(
        self, build: Location, *, key: str | None = None, scene: str | None = None, predictions: Path | None = None
    ) -> None:
        if key is not None and scene is not None:
            raise UsageError(
                "--key and --scene exclude each other", cure="--key shows one view, --scene fuses all views of a scene"
            )
        self._reader = ShardReader(build)
        if not len(self._reader):
            raise UsageError("holds no record", path=build, cure="its report.json says why")
        self._scenes = scene is not None
        self.predictions = None if predictions is None else _checked(predictions, build)
        self.names = self._reader.keys if scene is None else scene_ids(build)
        self.start = self._start(key, scene)

    def __len__(self) -> int:
        return len(self.names)

    def exhibit(self, position: int, *, mode: str, max_points: int | None = None, drop_flying: bool = False) -> Exhibit:
        """Return what is shown at a position; a scene's points are limited in any case.

        Raises:
            ShardError: a record is damaged.
        """
        if not self._scenes:
            record, answers = self._reader[position], self.predictions
            return record_exhibit(
                record, mode=mode, max_points=max_points, drop_flying=drop_flying, predictions=answers
            )
        return scene_exhibit(
            self._reader,
            scene_positions(self._reader.build, self.names[position]),
            mode=mode,
            max_points=max_points or MAX_POINTS,
            drop_flying=drop_flying,
            predictions=self.predictions,
        )

    def records(self, position: int) -> list[Record]:
        """Return the record that is shown at a position, or all of the scene's, with their members.

        Raises:
            ShardError: a record is damaged.
        """
        places = scene_positions(self._reader.build, self.names[position]) if self._scenes else [position]
        return [self._reader[place] for place in places]

    def sheet(self, position: int, mode: str) -> NDArray[np.uint8]:
        """Draw the sheet of what is shown at a position, (H, W, 3) uint8 RGB.

        Raises:
            ShardError: a record is damaged.
        """
        exhibit = self.exhibit(position, mode=mode, max_points=SHEET_POINTS, drop_flying=True)
        parts = [answer_table(exhibit.rows, INNER)]
        if self._scenes:
            parts += camera_strip(exhibit.cameras, INNER)
        else:
            record = self._reader[position]
            parts += [*frame_strip(record, INNER, mode), prompt_table(record, INNER)]
        return exhibit_sheet(exhibit, parts, mode=mode)

    def _start(self, key: str | None, scene: str | None) -> int:
        keys, predictions = self._reader.keys, self.predictions
        shown: Sequence[str] = keys
        if scene is not None:
            shown, what = [keys[at] for at in scene_positions(self._reader.build, scene)], f"scene {scene}"
        elif key is not None:
            shown, what = [keys[_position(self._reader, key)]], f"record {key}"
        else:
            what = f"any record of {self._reader.build}"
        if predictions is not None:
            predictions.check(shown, what)
        if scene is not None or key is not None:
            return self.names.index(scene or key)
        if predictions is not None:
            return next(place for place, name in enumerate(keys) if name in predictions.replies)
        return next(iter(self._reader.select(view="clip")), 0)


def gallery(build: Location, predictions: Sequence[Path]) -> NDArray[np.uint8]:
    """Draw answers beside the truth, one view of each scene (:mod:`gapdata.show.sheet.gallery`).

    Raises:
        UsageError: the predictions are damaged, about another build, or hold no point and no box.
        ShardError: a record is damaged.
    """
    return answer_gallery(ShardReader(build), [_checked(path, build) for path in predictions])


def _position(reader: ShardReader, key: str) -> int:
    if key in reader.keys:
        return reader.keys.index(key)
    of_scene = [known for known in reader.keys if known.startswith(key.split("-")[0] + "-")]
    if of_scene and "-" not in key:
        cure = f"that is a scene: show all of it with --scene {key}, or one view of it with --key {of_scene[0]}"
    else:
        # A build may have a million records: only those of the named scene, or the scenes, are compared.
        near = near_names(key if of_scene else key.split("-")[0], of_scene or list(scene_ids(reader.build)))
        if near and not of_scene:
            near = [next(name for name in reader.keys if name.startswith(f"{scene}-")) for scene in near]
        cure = f"did you mean {', '.join(near)}?" if near else f"keys look like {', '.join(reader.keys[:3])}"
    raise UsageError(f"has no record {key!r}", path=reader.build, cure=cure)


def _checked(path: Path, build: Location) -> Predictions:
    """Read predictions and compare what they say about their build with this one.

    Raises:
        UsageError: they are damaged, or about another build: equal keys then name other frames or other prompts.
    """
    predictions = read_predictions(path)
    here = planned_fingerprint(build)
    if not predictions.builds or here is None:
        return replace(predictions, notes=(UNKNOWN_BUILD, *predictions.notes))
    others = sorted(predictions.builds - {here})
    if others:
        raise UsageError(
            f"holds answers about another build (fingerprint {others[0][:12]!a}) than {build} ({here[:12]!a})",
            path=path,
            cure="name the build that was asked about, or evaluate this one",
        )
    return predictions
