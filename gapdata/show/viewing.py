"""What one ``gapdata view`` can show: the records of a build, or its scenes, one after another."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from gapdata.show.scene.scene import scene_exhibit, scene_ids, scene_positions
from gapdata.show.sheet.sheet import INNER, exhibit_sheet
from gapdata.show.sheet.sheet import MAX_POINTS as SHEET_POINTS
from gapdata.show.sheet.strips import camera_strip, frame_strip
from gapdata.show.sheet.tables import answer_table, prompt_table
from gapdata.tasks.predictions import Predictions, read_predictions

NOBODY_SAYS = "nothing says which build the predictions are about: they are shown where keys are equal"


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRequest:
    """What the command line asks for."""

    build: Location
    key: str | None = None
    scene: str | None = None
    mode: str = "rgb"
    predictions: Path | None = None


class Viewing:
    """The records that can be stepped through, or with ``request.scene`` the scenes; where to begin; how to show one.

    Raises:
        UsageError: both a record and a scene are named, or one that the build does not have; or the predictions are
            damaged, or have nothing about what is shown first.
    """

    def __init__(self, request: ViewRequest) -> None:
        if request.key is not None and request.scene is not None:
            raise UsageError(
                "--key and --scene exclude each other", cure="--key shows one view, --scene fuses all views of a scene"
            )
        self._reader = ShardReader(request.build)
        if not len(self._reader):
            raise UsageError("holds no record", path=request.build)
        self._scenes = request.scene is not None
        self.predictions = None if request.predictions is None else _checked(request.predictions, request.build)
        self.names = scene_ids(self._reader.build) if request.scene is not None else self._reader.keys
        self.start = self._start(request)

    def __len__(self) -> int:
        return len(self.names)

    def exhibit(self, position: int, *, mode: str, max_points: int | None = None, drop_flying: bool = False) -> Exhibit:
        """What is shown at a position; a scene's points are limited in any case.

        Raises:
            ShardError: a record is damaged.
        """
        if self._scenes:
            places = scene_positions(self._reader.build, self.names[position])
            limit = {} if max_points is None else {"max_points": max_points}
            return scene_exhibit(
                self._reader, places, mode=mode, drop_flying=drop_flying, predictions=self.predictions, **limit
            )
        return self._record_exhibit(self._reader[position], mode, max_points, drop_flying)

    def sheet(self, position: int, mode: str) -> NDArray[np.uint8]:
        """The sheet of what is shown at a position, (H, W, 3) uint8 RGB.

        Raises:
            ShardError: a record is damaged.
        """
        if self._scenes:
            exhibit = self.exhibit(position, mode=mode, drop_flying=True)
            parts = [answer_table(exhibit.rows, INNER), camera_strip(exhibit.cameras, INNER)]
        else:
            record = self._reader[position]
            exhibit = self._record_exhibit(record, mode, SHEET_POINTS, True)
            parts = [
                answer_table(exhibit.rows, INNER),
                frame_strip(record, INNER, mode),
                prompt_table(record, INNER),
            ]
        return exhibit_sheet(exhibit, parts, mode=mode)

    def _record_exhibit(self, record: Record, mode: str, max_points: int | None, drop_flying: bool) -> Exhibit:
        return record_exhibit(
            record, mode=mode, max_points=max_points, drop_flying=drop_flying, predictions=self.predictions
        )

    def _start(self, request: ViewRequest) -> int:
        if request.scene is not None:
            places = scene_positions(self._reader.build, request.scene)
            if self.predictions is not None:
                self.predictions.check([self._reader.keys[place] for place in places], f"scene {request.scene}")
            return self.names.index(request.scene)
        if request.key is not None:
            position = _position(self._reader, request.key)
            if self.predictions is not None:
                self.predictions.check([request.key], f"record {request.key}")
            return position
        if self.predictions is not None:
            self.predictions.check(self.names, f"any record of {request.build}")
            return next(place for place, key in enumerate(self.names) if key in self.predictions.replies)
        return next(iter(self._reader.select(view="clip")), 0)


def _position(reader: ShardReader, key: str) -> int:
    if key in reader.keys:
        return reader.keys.index(key)
    cure = None
    of_scene = [known for known in reader.keys if known.startswith(key.split("-")[0] + "-")]
    if of_scene and "-" not in key:
        cure = f"that is a scene: show all of it with --scene {key}, or one view of it with --key {of_scene[0]}"
    else:
        # A build may have a million records: only those of the named scene, or the scenes, are compared.
        known = of_scene or list(scene_ids(reader.build))
        near = near_names(key if of_scene else key.split("-")[0], known)
        if near and not of_scene:
            near = [next(name for name in reader.keys if name.startswith(f"{scene}-")) for scene in near]
        cure = f"did you mean {', '.join(near)}?" if near else f"keys look like {', '.join(reader.keys[:3])}"
    raise UsageError(f"has no record {key!r}", path=reader.build, cure=cure)


def _checked(path: Path, build: Location) -> Predictions:
    """The predictions, once it is known that they are about this build as far as that is said.

    Raises:
        UsageError: they are damaged, or about another build: equal keys then name other frames or other prompts.
    """
    predictions = read_predictions(path)
    here = planned_fingerprint(build)
    if not predictions.builds or here is None:
        return replace(predictions, notes=(NOBODY_SAYS, *predictions.notes))
    others = sorted(predictions.builds - {here})
    if others:
        raise UsageError(
            f"holds answers about another build (fingerprint {others[0][:12]!a}) than {build} ({here[:12]!a})",
            path=path,
            cure="name the build that was asked about, or evaluate this one",
        )
    return predictions
