"""Read the labels of a 3RScan scan: which vertices of its mesh belong to which object.

``labels.instances.annotated.v2.ply`` has an object id for each vertex (0 is none) and ``semseg.v2.json`` the label of
each object. Where the first is missing, ``mesh.refined.v2.obj`` with ``mesh.refined.0.010000.segs.v2.json`` and the
segments of ``semseg.v2.json`` say the same. The files without ``v2`` in their names are an earlier release that does
not fit. The mesh lies in the world of the poses; objects labelled ``remove`` are leftovers of the reconstruction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import MissingInput, SourceError
from gapdata.files.checked_values import NAME_CHARACTERS, integer, text
from gapdata.files.json_text import decode_json
from gapdata.files.storage import Location, file_in, open_ranged
from gapdata.sources.base import Annotation, SceneObject
from gapdata.sources.mask_archive import MaskArchive
from gapdata.sources.ply_columns import read_columns, stacked
from gapdata.sources.scene_files import naming_scene
from gapdata.sources.threerscan.obj_mesh import read_obj

LABELS = "semseg.v2.json"
LABELLED_MESH = "labels.instances.annotated.v2.ply"
MESH = "mesh.refined.v2.obj"
SEGMENTS = "mesh.refined.0.010000.segs.v2.json"
LEFTOVER = "remove"
NOT_AN_OBJECT = 0
MAX_BYTES = 1 << 29
MAX_SEGMENT = 2**31 - 1
AGAIN = "download it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """An object as ``semseg.v2.json`` has it."""

    object_id: int
    label: str
    segments: Any


class LabelFiles:
    """The files of a scan besides its frames; they are read when they are asked for."""

    def __init__(self, scene_id: str, directory: Location) -> None:
        self.scene_id, self.directory = scene_id, directory

    @property
    def axis_alignment(self) -> NDArray[np.float64]:
        """Return the identity: the z axis of 3RScan's meshes points up."""
        return np.eye(4)

    @property
    def complete(self) -> bool:
        """Whether there are labels, and a mesh that they belong to."""
        return self._has(LABELS) and (self._has(LABELLED_MESH) or (self._has(MESH) and self._has(SEGMENTS)))

    @property
    def missing(self) -> tuple[str, ...]:
        """The files that labels need besides those that are there."""
        return tuple(name for name in (LABELS, LABELLED_MESH) if not self._has(name)) if not self.complete else ()

    def annotation(self) -> Annotation | None:
        """Return the labelled mesh; ``None`` where a file for it is missing.

        Raises:
            SourceError: a file is damaged, or does not fit the others.
        """
        if not self.complete:
            return None
        with naming_scene(self.scene_id):
            groups, notes = self._groups()
            if self._has(LABELLED_MESH):
                return self._from_labelled_mesh(groups, notes)
            return self._from_segments(groups, notes)

    def digest_input(self, *, masks: bool = False) -> bytes:
        """Return bytes that change when these files do: the labels whole, the sizes of meshes and segments."""
        parts = []
        with naming_scene(self.scene_id):
            for name in (LABELS, LABELLED_MESH, MESH, SEGMENTS):
                path = file_in(self.directory, name)
                there = path.is_file()
                whole = there and name == LABELS
                parts.append(path.read_bytes() if whole else str(path.stat().st_size if there else -1).encode())
        return b" ".join(parts)

    def mask_archive(self) -> MaskArchive:
        """Raise an error: 3RScan does not have 2D projections of its instances.

        Raises:
            MissingInput: always.
        """
        raise MissingInput(
            "has no projected masks, because 3RScan does not publish any",
            path=self.directory,
            scene=self.scene_id,
            cure='render the masks: instances.route = "rendered"',
        )

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _has(self, name: str) -> bool:
        return file_in(self.directory, name).is_file()

    def _from_labelled_mesh(self, groups: Mapping[int, _Group], notes: dict[str, int]) -> Annotation:
        path = file_in(self.directory, LABELLED_MESH)
        try:
            mesh = read_columns(_read(path))
            ids = stacked(mesh.vertices, ("objectId",))[:, 0].astype(np.int64)
            points = mesh.points()
            colors = stacked(mesh.vertices, ("red", "green", "blue")).astype(np.uint8)
        except ValueError as error:
            raise SourceError(f"mesh cannot be read: {error}", path=path, cure=AGAIN) from error
        unlabelled = len(set(np.unique(ids).tolist()) - {NOT_AN_OBJECT, *groups})
        if unlabelled:
            notes["object_without_label"] = unlabelled
        objects = _objects(groups, ids, notes)
        return Annotation(vertices=points, faces=mesh.faces, colors=colors, objects=objects, notes=notes)

    def _from_segments(self, groups: Mapping[int, _Group], notes: dict[str, int]) -> Annotation:
        mesh_path, path = file_in(self.directory, MESH), file_in(self.directory, SEGMENTS)
        try:
            points, faces = read_obj(_read(mesh_path))
        except ValueError as error:
            raise SourceError(f"mesh cannot be read: {error}", path=mesh_path, cure=AGAIN) from error
        segments = _integers(_json(path).get("segIndices"), path, "segIndices")
        if len(segments) != len(points):
            problem = f"has {len(segments)} segment indices for the {len(points)} vertices of {MESH}"
            raise SourceError(problem, path=path, cure="download both files again")
        ids = np.full(len(points), NOT_AN_OBJECT, dtype=np.int64)
        for group in groups.values():
            if group.label.lower() == LEFTOVER:
                continue
            own = _integers(group.segments, file_in(self.directory, LABELS), f"segments of object {group.object_id}")
            ids[np.isin(segments, own)] = group.object_id
        grey = np.full((len(points), 3), 128, dtype=np.uint8)
        objects = _objects(groups, ids, notes)
        notes = {"labels_from_segments": 1, **notes}
        return Annotation(vertices=points, faces=faces, colors=grey, objects=objects, notes=notes)

    def _groups(self) -> tuple[dict[int, _Group], dict[str, int]]:
        """Return the entries of ``semseg.v2.json`` by object id, and how many are left out, by reason."""
        path = file_in(self.directory, LABELS)
        found = _json(path).get("segGroups")
        if not isinstance(found, list):
            raise SourceError("has no list segGroups", path=path, cure=AGAIN)
        groups: dict[int, _Group] = {}
        notes: dict[str, int] = {}
        for fields in found:
            group = _group(fields)
            if group is None:
                raise SourceError(f"a segment group is malformed: {str(fields)[:100]!a}", path=path, cure=AGAIN)
            reason = _reason_to_leave_out(group, groups)
            if reason is None:
                groups[group.object_id] = group
            else:
                notes[reason] = notes.get(reason, 0) + 1
        return groups, notes


def _group(fields: Any) -> _Group | None:
    object_id = integer(fields.get("objectId", fields.get("id"))) if isinstance(fields, dict) else None
    label = text(fields.get("label"), NAME_CHARACTERS) if isinstance(fields, dict) else None
    if object_id is None or label is None:
        return None
    return _Group(object_id=object_id, label=label.strip(), segments=fields.get("segments", []))


def _reason_to_leave_out(group: _Group, groups: Mapping[int, _Group]) -> str | None:
    if group.object_id == NOT_AN_OBJECT:
        return "object_with_the_id_of_none"
    return "repeated_object_id" if group.object_id in groups else None


def _objects(groups: Mapping[int, _Group], ids: NDArray[np.int64], notes: dict[str, int]) -> tuple[SceneObject, ...]:
    """Return the objects with their vertices, by the object id of each vertex; those without any are counted."""
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    objects = []
    for object_id in sorted(groups):
        label = groups[object_id].label
        start, end = np.searchsorted(ordered, [object_id, object_id + 1])
        if label.lower() == LEFTOVER or start == end:
            reason = "leftover_of_reconstruction" if label.lower() == LEFTOVER else "object_without_vertices"
            notes[reason] = notes.get(reason, 0) + 1
            continue
        objects.append(SceneObject(object_id=object_id, label=label, vertices=np.sort(order[start:end])))
    return tuple(objects)


def _read(path: Location) -> bytes:
    file = open_ranged(path)
    try:
        if file.size > MAX_BYTES:
            raise SourceError(f"has {file.size} bytes, at most {MAX_BYTES} are read", path=path, cure=AGAIN)
        return file.read_at(0, file.size)
    finally:
        file.close()


def _json(path: Location) -> dict[str, Any]:
    try:
        fields = decode_json(_read(path))
    except ValueError as error:
        raise SourceError(str(error), path=path, cure=AGAIN) from error
    if not isinstance(fields, dict):
        raise SourceError(f"is {type(fields).__name__}, expected an object", path=path, cure=AGAIN)
    return fields


def _integers(values: Any, path: Location, name: str) -> NDArray[np.int64]:
    try:
        array = np.array(values if isinstance(values, list) else None, dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise SourceError(f"{name} are not integers", path=path, cure=AGAIN) from error
    if array.ndim != 1:
        raise SourceError(f"{name} are not a list of integers", path=path, cure=AGAIN)
    return array
