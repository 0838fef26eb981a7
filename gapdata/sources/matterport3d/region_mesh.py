"""Read the labelled mesh of a region, where it was downloaded: its faces have segments, and objects are segments.

``region<N>.ply`` is the mesh, ``region<N>.fsegs.json`` has the segment of each face, and ``region<N>.semseg.json`` the
segments and the label of each object. EmbodiedScan's boxes were made from them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.files.checked_values import NAME_CHARACTERS, integer, text
from gapdata.files.json_text import decode_json
from gapdata.sources.base import Annotation, SceneObject
from gapdata.sources.matterport3d.house_files import HouseFiles
from gapdata.sources.ply import read_mesh

KIND = "region_segmentations"
MAX_BYTES = 1 << 29


class RegionMesh:
    """The labelled mesh of a region; it is read when it is asked for."""

    def __init__(self, files: HouseFiles, scene_id: str) -> None:
        region = scene_id.rpartition("_")[2]
        self._files = files
        self.names = tuple(f"{region}.{ending}" for ending in ("ply", "fsegs.json", "semseg.json"))

    @property
    def complete(self) -> bool:
        """Whether all of its files are there."""
        return all(name in self._files.names(KIND) for name in self.names)

    def annotation(self) -> Annotation | None:
        """Return the mesh with its objects; ``None`` where a file is missing.

        Raises:
            SourceError: a file is damaged, or does not fit the others.
        """
        if not self.complete:
            return None
        mesh, segments, labels = self.names
        data = self._files.read(KIND, mesh, MAX_BYTES)
        with self._naming(mesh):
            try:
                vertices, faces, colors = read_mesh(data)
            except ValueError as error:
                raise ValueError(f"mesh cannot be read: {error}") from error
            if not len(faces) or not np.isfinite(vertices).all():
                raise ValueError("is empty or has places that are not finite")
            if faces.min() < 0 or faces.max() >= len(vertices):
                raise ValueError("has a face with a vertex that does not exist")
        segment_of_face = self._list(segments, "segIndices")
        with self._naming(segments):
            ids = _integers(segment_of_face)
            if ids.shape != (len(faces),):
                raise ValueError(f"has {len(segment_of_face)} segment indices for the {len(faces)} faces of {mesh}")
        groups = self._list(labels, "segGroups")
        with self._naming(labels):
            objects, notes = _objects(groups, ids, faces)
        return Annotation(vertices=vertices, faces=faces, colors=colors, objects=objects, notes=notes)

    def digest_input(self) -> bytes:
        """Return bytes that change when the files do."""
        return self._files.digest_input(KIND, list(self.names)) if self.complete else b"no mesh"

    def _list(self, name: str, key: str) -> list[Any]:
        data = self._files.read(KIND, name, MAX_BYTES)
        with self._naming(name):
            found = decode_json(data)
            values = found.get(key) if isinstance(found, dict) else None
            if not isinstance(values, list):
                raise ValueError(f"has no list {key}")
        return values

    def _naming(self, name: str) -> Any:
        place = self._files.place(KIND)
        assert place is not None
        return self._files.naming(place / name, None)


def _objects(
    groups: list[Any], segment_of_face: NDArray[np.int64], faces: NDArray[np.int32]
) -> tuple[tuple[SceneObject, ...], dict[str, int]]:
    """Return the objects with the vertices of their faces, and counts of those that are left out.

    Raises:
        ValueError: a group is malformed.
    """
    objects: dict[int, SceneObject] = {}
    notes: dict[str, int] = {}
    for group in groups:
        fields = group if isinstance(group, dict) else {}
        object_id, label = integer(fields.get("objectId", fields.get("id"))), text(fields.get("label"), NAME_CHARACTERS)
        if object_id is None or label is None:
            raise ValueError(f"has a malformed segment group: {str(group)[:100]!a}")
        segments = _integers(fields.get("segments"))
        vertices = np.unique(faces[np.isin(segment_of_face, segments)]).astype(np.int64)
        reason = "repeated_object_id" if object_id in objects else "" if len(vertices) else "object_without_vertices"
        if reason:
            notes[reason] = notes.get(reason, 0) + 1
            continue
        objects[object_id] = SceneObject(object_id=object_id, label=label.strip(), vertices=vertices)
    return tuple(objects[key] for key in sorted(objects)), notes


def _integers(values: Any) -> NDArray[np.int64]:
    """Return a list of integers as an array, (n,).

    Raises:
        ValueError: it is something else.
    """
    try:
        array = np.array(values if isinstance(values, list) else None, dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("has segments that are not integers") from error
    if array.ndim != 1:
        raise ValueError("has segments that are not a list of integers")
    return array
