"""Read the files of a ScanNet scene besides its frames: metadata, labelled mesh, segments and aggregation."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import GapDataError, MissingInput, SourceError, kind_of_failure
from gapdata.files.storage import Location, file_in
from gapdata.files.text import decode_text
from gapdata.geometry.camera import is_rigid
from gapdata.runtime.counting import counted
from gapdata.sources.base import Annotation, SceneObject
from gapdata.sources.mask_archive import ARCHIVE_SUFFIXES, MaskArchive, find_mask_archive
from gapdata.sources.ply import Mesh, read_sound_mesh
from gapdata.sources.segments import VerticesBySegment

DUPLICATED_SCENE, FIRST_DUPLICATE = "scene0217_00", 31
"""This scene lists every object twice, the second time from objectId 31 on (ScanNet issue 51)."""

AGAIN = "download it again"


class SceneFiles:
    """The files of a scene besides its frames; each is read when it is first asked for."""

    def __init__(self, directory: Location) -> None:
        self.directory = directory
        self.scene_id = directory.name
        self._masks: MaskArchive | None = None

    def digest_input(self, *, masks: bool = False) -> bytes:
        """Return bytes that change when these files do: the small text files whole, sizes of mesh and segments.

        Args:
            masks: include the archive of 2D projections, by its size and directory. If it is missing or cannot be read,
                the text of the error is included instead, and the error is raised when a mask is read.
        """
        parts = []
        with naming_scene(self.scene_id):
            for suffix in (".txt", ".aggregation.json"):
                path = file_in(self.directory, f"{self.scene_id}{suffix}")
                parts.append(path.read_bytes() if path.is_file() else b"missing")
            for suffix in ("_vh_clean_2.ply", "_vh_clean_2.0.010000.segs.json"):
                path = file_in(self.directory, f"{self.scene_id}{suffix}")
                parts.append(str(path.stat().st_size if path.is_file() else -1).encode())
            if masks:
                try:
                    parts.append(self.mask_archive().digest_input())
                except SourceError as error:
                    parts.append(error.problem.encode())
        return b"".join(parts)

    def mask_archive(self) -> MaskArchive:
        """Return the archive of 2D projections, opened when it is first asked for.

        Raises:
            MissingInput: the scene does not have it.
            SourceError: it is not a readable zip.
        """
        if self._masks is None:
            with naming_scene(self.scene_id):
                path = find_mask_archive(self.directory, self.scene_id)
                if path is None:
                    raise MissingInput(
                        f"has no {self.scene_id}{ARCHIVE_SUFFIXES[0]}",
                        path=self.directory,
                        cure='download it, or render the masks: instances.route = "rendered"',
                    )
                self._masks = MaskArchive(path, self.scene_id)
        return self._masks

    def close(self) -> None:
        """Close what was opened."""
        if self._masks is not None:
            self._masks.close()
            self._masks = None

    @cached_property
    def metadata(self) -> dict[str, str]:
        """Return the ``key = value`` lines of ``<scene>.txt``; empty where the file is missing."""
        path = file_in(self.directory, f"{self.scene_id}.txt")
        with naming_scene(self.scene_id):
            if not path.exists():
                return {}
            try:
                text = decode_text(path.read_bytes(), tolerant=True)
            except ValueError as error:
                raise SourceError(str(error), path=path) from error
        lines = [line.partition("=") for line in text.split("\n")]
        return {key.strip(): value.strip() for key, separator, value in lines if separator}

    @cached_property
    def axis_alignment(self) -> NDArray[np.float64] | None:
        """Return the matrix from unaligned to axis-aligned world, (4, 4); ``None`` where ``<scene>.txt`` lacks it.

        Raises:
            SourceError: the entry is not a rigid 4x4 matrix.
        """
        text = self.metadata.get("axisAlignment")
        if text is None:
            return None
        try:
            matrix = np.array([float(value) for value in text.split()]).reshape(4, 4)
        except ValueError:
            matrix = np.full((4, 4), np.nan)
        if not is_rigid(matrix):
            path = file_in(self.directory, f"{self.scene_id}.txt")
            raise SourceError("axisAlignment is not a rigid 4x4 matrix", path=path, scene=self.scene_id, cure=AGAIN)
        return matrix

    def annotation(self) -> Annotation | None:
        """Return the labelled mesh; ``None`` for a scene without ``.aggregation.json``.

        Raises:
            SourceError: one of mesh, segments and aggregation is missing beside the others, damaged, or does not fit
                them.
        """
        with naming_scene(self.scene_id):
            return self._read_annotation()

    def _read_annotation(self) -> Annotation | None:
        aggregation_path = file_in(self.directory, f"{self.scene_id}.aggregation.json")
        if not aggregation_path.exists():
            return None
        mesh_path = file_in(self.directory, f"{self.scene_id}_vh_clean_2.ply")
        vertices, faces, colors = _read_mesh(mesh_path, self.scene_id)
        segments_path = file_in(self.directory, f"{self.scene_id}_vh_clean_2.0.010000.segs.json")
        segments = _field(segments_path, self.scene_id, "segIndices", list)
        try:
            segment_of_vertex = np.array(segments, dtype=np.int64)
        except (ValueError, TypeError, OverflowError) as error:
            raise SourceError(
                f"segIndices are not integers: {error}", path=segments_path, scene=self.scene_id, cure=AGAIN
            ) from error
        if segment_of_vertex.shape != (len(vertices),):
            problem = (
                f"has {counted(len(segments), 'segment index', 'segment indices')} for "
                f"{counted(len(vertices), 'vertex', 'vertices')} of {mesh_path.name}"
            )
            raise SourceError(problem, path=segments_path, scene=self.scene_id, cure="download both files again")
        groups = _field(aggregation_path, self.scene_id, "segGroups", list)
        objects, notes, duplicates = _read_objects(groups, segment_of_vertex, self.scene_id, aggregation_path)
        return Annotation(
            vertices=vertices, faces=faces, colors=colors, objects=objects, notes=notes, duplicates=duplicates
        )


class naming_scene:
    """A block that adds the scene's id to errors that pass through: a reader knows its file, not the scene.

    An error of the disk or the store becomes a source error, too.
    """

    def __init__(self, scene_id: str) -> None:
        self.scene_id = scene_id

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, GapDataError) and error.scene is None:
            error.scene = self.scene_id
        elif isinstance(error, OSError):
            problem = f"cannot be read: {error.strerror or error}"
            raise kind_of_failure(error)(problem, path=error.filename, scene=self.scene_id) from error


def _read_objects(
    groups: list[Any], segment_of_vertex: NDArray[np.int64], scene_id: str, path: Location
) -> tuple[tuple[SceneObject, ...], dict[str, int], dict[int, int]]:
    """Return objects, notes, and the ids that were left out as duplicates.

    An object with the label and the segments of an earlier one is a duplicate in any scene: it would take all its
    vertices away.
    """
    by_segment = VerticesBySegment(segment_of_vertex)
    objects: dict[int, SceneObject] = {}
    notes: dict[str, int] = {}
    duplicates: dict[int, int] = {}
    seen: dict[tuple[str, bytes], int] = {}
    for group in groups:
        try:
            object_id, label = int(group["objectId"]), str(group["label"]).strip()
            segments = np.unique(np.array(group["segments"], dtype=np.int64))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise SourceError(
                f"a segment group is malformed: {error!r}", path=path, scene=scene_id, cure=AGAIN
            ) from error
        original = seen.setdefault((label, segments.tobytes()), object_id)
        if original != object_id:
            duplicates[object_id] = original
        if original != object_id or (scene_id == DUPLICATED_SCENE and object_id >= FIRST_DUPLICATE):
            notes["duplicated_object"] = notes.get("duplicated_object", 0) + 1
            continue
        vertices = by_segment.vertices(segments)
        if object_id in objects or not len(vertices):
            reason = "repeated_object_id" if object_id in objects else "object_without_vertices"
            notes[reason] = notes.get(reason, 0) + 1
            continue
        objects[object_id] = SceneObject(object_id=object_id, label=label, vertices=vertices)
    return tuple(objects[key] for key in sorted(objects)), notes, duplicates


def _read_mesh(path: Location, scene_id: str) -> Mesh:
    """Read vertices, faces and colours in file order, which segment indices refer to."""
    if not path.exists():
        raise SourceError("is missing, though the scene has an aggregation", path=path, scene=scene_id, cure=AGAIN)
    data = path.read_bytes()
    try:
        return read_sound_mesh(data)
    except ValueError as error:
        raise SourceError(str(error), path=path, scene=scene_id, cure=AGAIN) from error


def _field(path: Location, scene_id: str, name: str, kind: type) -> Any:
    try:
        value = json.loads(decode_text(path.read_bytes()))[name]
    except FileNotFoundError as error:
        problem = "is missing, though the scene has an aggregation"
        raise SourceError(problem, path=path, scene=scene_id, cure=AGAIN) from error
    except (ValueError, RecursionError) as error:
        problem = f"has no readable {name}: {'is not valid JSON: ' * isinstance(error, json.JSONDecodeError)}{error}"
        raise SourceError(problem, path=path, scene=scene_id, cure=AGAIN) from error
    except (KeyError, TypeError) as error:
        raise SourceError(f"has no {name}", path=path, scene=scene_id, cure=AGAIN) from error
    if not isinstance(value, kind):
        raise SourceError(
            f"{name} is {type(value).__name__}, expected {kind.__name__}", path=path, scene=scene_id, cure=AGAIN
        )
    return value
