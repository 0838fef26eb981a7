"""Read Mask3D's proposals for objects, in both published forms.

- ``scannet_{train,val}_pred_box.json``: ``{"scannet/<scene>": [[cx, cy, cz, dx, dy, dz], ...]}``, axis-aligned boxes in
  the aligned world, in metres.
- ``mask/<scene>.mask.npz``: a sparse matrix in scipy's format, with a row for each proposal and a column per vertex
  of ``_vh_clean_2``. The first 50 rows are used; a box is the extent of its vertices in the aligned world.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.annotation_file import named_split
from gapdata.annotations.frame_names import SCENE_NAME, scene_of_name
from gapdata.annotations.report import FileReport, Tally
from gapdata.errors import FileError
from gapdata.files.checked_values import finite
from gapdata.files.given_file import read_whole
from gapdata.files.json_items import json_items
from gapdata.files.npz import Npz
from gapdata.files.storage import Location

BOXES_KIND = "proposal boxes"
MASKS_KIND = "proposal masks"
MASK_SUFFIX = ".mask.npz"
USED_MASKS = 50
"""Masks of a scene that are used, the first ones, as in LEO and the papers that follow it."""
MAX_BOXES = 10_000
MAX_MASKS = 100_000
MAX_VERTICES = 20_000_000
MAX_MASKED = 20_000_000  # vertices in all masks together
MAX_MASK_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposals:
    """The boxes of one file by scene."""

    scenes: Mapping[str, NDArray[np.float64]]
    """By scene id, (N, 6) centre and full size, axis-aligned in the aligned world, metres."""
    report: FileReport


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProposalMasks:
    """The masks of one scene that are used."""

    scene_id: str
    vertex_count: int
    masks: tuple[NDArray[np.int64], ...]  # ascending vertex indices of each

    def boxes(self, aligned_vertices: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the box of each mask that covers a vertex: centre and full size, (N, 6), in metres.

        Args:
            aligned_vertices: (V, 3) vertices of the mesh in the aligned world, metres.

        Raises:
            FileError: the masks belong to a mesh with another number of vertices.
        """
        if len(aligned_vertices) != self.vertex_count:
            raise FileError(
                f"masks are for {self.vertex_count} vertices, but the mesh has {len(aligned_vertices)}",
                scene=self.scene_id,
                cure="use the masks of this scene's _vh_clean_2 mesh",
            )
        points = [np.asarray(aligned_vertices[mask], dtype=np.float64) for mask in self.masks if len(mask)]
        low = np.array([part.min(axis=0) for part in points]).reshape(-1, 3)
        high = np.array([part.max(axis=0) for part in points]).reshape(-1, 3)
        return np.concatenate([(low + high) / 2, high - low], axis=1)


def read_proposals(path: Location, scene_ids: Collection[str] | None = None) -> Proposals:
    """Read ``scannet_*_pred_box.json`` and keep the scenes named (all by default).

    An item of the report is a scene.

    Raises:
        FileError: the file cannot be read, or is not a JSON object of lists of boxes.
    """
    tally = Tally()
    scenes: dict[str, NDArray[np.float64]] = {}
    for table in json_items(path):
        if not isinstance(table, dict):
            raise FileError("is not a JSON object with scenes", path=path, cure='expected {"scannet/<scene>": [[...]]}')
        for name, rows in table.items():
            scene_id = scene_of_name(name)
            if scene_id is None:
                tally.ignore("no_scene_id", str(name))
            elif not isinstance(rows, list) or len(rows) > MAX_BOXES:
                tally.ignore("boxes_are_not_a_list", scene_id, rows)
            elif scene_ids is not None and scene_id not in scene_ids:
                tally.ignore("scene_not_in_data_set", scene_id)
            elif scene_id in scenes:
                tally.ignore("repeated_scene", scene_id)
            else:
                scenes[scene_id] = _sound_boxes(rows, scene_id, tally)
                tally.take(scene_id)
    report = tally.report(path=path, kind=BOXES_KIND, split=named_split(path))
    return Proposals(scenes=dict(sorted(scenes.items())), report=report)


def _sound_boxes(rows: list[Any], scene_id: str, tally: Tally) -> NDArray[np.float64]:
    kept = []
    for index, row in enumerate(rows):
        values = finite(row, (6,))
        if values is None:
            tally.defect("box_is_not_six_finite_numbers", f"{scene_id} box {index}")
        elif values[3:].min() <= 0:
            tally.defect("box_without_extent", f"{scene_id} box {index}")
        else:
            kept.append(values)
    return np.array(kept).reshape(-1, 6)


def mask_scene(path: Location) -> str | None:
    """Return the scene of a mask file, which only its name, ``<scene>.mask.npz``, states."""
    name = path.name.removesuffix(MASK_SUFFIX)
    return name if name != path.name and SCENE_NAME.fullmatch(name) else None


def read_masks(path: Location, rows: int = USED_MASKS) -> ProposalMasks:
    """Read the first ``rows`` masks of ``<scene>.mask.npz`` (scipy's csr, csc or coo).

    Raises:
        FileError: the file is damaged, states more than it holds, or has another name or format.
    """
    scene_id = mask_scene(path)
    if scene_id is None:
        raise FileError("does not name a scene", path=path, cure=f"name files of masks <scene>{MASK_SUFFIX}")
    archive = Npz(read_whole(path, MAX_MASK_BYTES), path)
    form = _array(archive, "format", "S", 1)
    shape = _array(archive, "shape", "iu", 2)
    if len(form) != 1 or len(shape) != 2 or not 0 <= shape[0] <= MAX_MASKS or not 0 < shape[1] <= MAX_VERTICES:
        problem = f"is not a sparse matrix of masks by vertices: its shape is {shape.tolist()}"
        raise FileError(problem, path=path, cure="download it again")
    counts = int(shape[0]), int(shape[1])
    kept = min(rows, counts[0])
    kind = bytes(form[0]).decode("ascii", "replace")
    if kind not in ("csr", "csc", "coo"):
        raise FileError(f"is a sparse matrix in format {kind!a:.20}", path=path, cure="save it as csr, csc or coo")
    if kind == "csr":
        row, column, value = _compressed(archive, counts[0], kept)
    elif kind == "csc":
        column, row, value = _compressed(archive, counts[1], counts[1])
    else:
        row, column, value = (_array(archive, name, "iufb", MAX_MASKED) for name in ("row", "col", "data"))
    if not len(row) == len(column) == len(value):
        raise FileError("has different numbers of rows, columns and values", path=path, cure="download it again")
    if len(row) and (row.min() < 0 or column.min() < 0 or row.max() >= counts[0] or column.max() >= counts[1]):
        raise FileError(f"names an entry outside its shape {counts}", path=path, cure="download it again")
    used = (row < kept) & (value != 0)
    row, column = row[used].astype(np.int64), column[used].astype(np.int64)
    masks = tuple(np.unique(column[row == index]) for index in range(kept))
    return ProposalMasks(scene_id=scene_id, vertex_count=counts[1], masks=masks)


def _array(archive: Npz, name: str, kinds: str, limit: int, first: int | None = None) -> NDArray[Any]:
    return archive.values(archive.header(name), kinds=kinds, limit=limit, first=first)


def _compressed(archive: Npz, lines: int, kept: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return line, position in the line, and value of each entry in the first ``kept`` lines of a matrix."""
    starts = _array(archive, "indptr", "iu", MAX_VERTICES + 1).astype(np.int64)
    if len(starts) != lines + 1 or starts[0] != 0 or (np.diff(starts) < 0).any():
        raise FileError("its indptr does not fit its shape", path=archive.path, cure="download it again")
    total = int(starts[kept])
    positions = _array(archive, "indices", "iu", MAX_MASKED, total)
    values = _array(archive, "data", "iufb", MAX_MASKED, total)
    if len(positions) != total or len(values) != total:
        raise FileError("has fewer entries than its indptr says", path=archive.path, cure="download it again")
    return np.repeat(np.arange(kept), np.diff(starts[: kept + 1])), positions, values
