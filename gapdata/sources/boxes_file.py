"""Read ``objects.json``: boxes that a user lists beside a capture, which make a room of one's own trainable.

::

    {
      "world": "aligned",
      "objects": [
        {"label": "chair", "center": [1.2, -0.4, 0.45], "size": [0.6, 0.55, 0.9], "heading": 30}
      ]
    }

``world`` is ``aligned`` for the scan's world with z up, or ``scan`` for the world that its poses are in; ``gapdata
inspect`` of a capture without this file prints an example with numbers of that capture. All is in metres: ``center``,
and ``size`` along x, y and z of that world as long as ``heading`` is 0. ``heading`` turns the box about the vertical,
degrees, counter-clockwise seen from above. In the world ``scan`` the vertical is the scan's own; where that is not
known, ``"up": [0, 1, 0]`` states it. ``id`` is optional; without it, objects are numbered from 0 in their order.

The file lies in the folder of the capture, or beside a capture that is one file, as ``NAME.objects.json``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import SourceError, kind_of_failure
from gapdata.files.checked_values import NAME_CHARACTERS, finite, number, shown, text
from gapdata.files.folders import in_any_case
from gapdata.files.json_text import decode_json
from gapdata.geometry.boxes import OrientedBox
from gapdata.runtime.counting import counted
from gapdata.sources.base import Annotation, Scan, SceneObject

FILE_NAME = "objects.json"
WORLDS = ("aligned", "scan")
FIELDS, OPTIONAL = ("label", "center", "size"), ("heading", "id")
MAX_BYTES = 1 << 24
MAX_OBJECTS = 10_000
MAX_ID = 65_533
"""An instance mask stores the id + 1 in 16 bits, and the largest value is kept free."""
FARTHEST, LARGEST = 1000.0, 50.0
"""Metres from the origin, and of a side, from which on a box is not one of a room in metres."""
OUT_OF_REACH = 12.0
"""Metres from all cameras, from which on a box is counted: it may have been placed in another world."""
SAME_WAY = 0.99
"""Cosine between the vertical that the file states and the scan's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxesFile:
    """The file beside a capture; it is read when the objects are asked for."""

    path: Path

    def digest_input(self) -> bytes:
        """Return the file's bytes.

        Raises:
            SourceError: it cannot be read.
        """
        return self._read()

    def annotation(self, scan: Scan) -> Annotation:
        """Return the boxes in the world of the scan's poses, with an empty mesh.

        Raises:
            SourceError: the file cannot be read, or an entry is wrong, which is named with its field.
        """
        data = self._read(scan.scene_id)
        try:
            objects = parse_objects(data, scan.axis_alignment, scan.world_up)
        except ValueError as error:
            raise SourceError(str(error), path=self.path, scene=scan.scene_id) from error
        far = _out_of_reach(objects, scan)
        return Annotation(
            vertices=np.empty((0, 3), dtype=np.float32),
            faces=np.empty((0, 3), dtype=np.int32),
            colors=np.empty((0, 3), dtype=np.uint8),
            objects=objects,
            notes={"box_far_from_all_cameras": far} if far else {},
        )

    def _read(self, scene_id: str | None = None) -> bytes:
        try:
            with open(self.path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
            raise kind_of_failure(error)(problem, path=self.path, scene=scene_id) from error
        if len(data) > MAX_BYTES:
            raise SourceError(f"is larger than {MAX_BYTES} bytes", path=self.path, scene=scene_id)
        return data


def find_objects_file(capture: Path) -> BoxesFile | None:
    """Return the file with the objects of a capture, which is a folder or a file; ``None`` where it has none."""
    if capture.is_dir():
        path = in_any_case(capture, FILE_NAME)
    else:
        path = in_any_case(capture.parent, f"{capture.stem}.{FILE_NAME}")
    return BoxesFile(path=path) if path.is_file() else None


def parse_objects(
    data: bytes, axis_alignment: NDArray[np.float64] | None, world_up: NDArray[np.float64] | None
) -> tuple[SceneObject, ...]:
    """Read the objects with boxes in the scan's world.

    Args:
        data: the file.
        axis_alignment: (4, 4) from the scan's world to the aligned one; ``None`` where it is not known.
        world_up: (3,) unit vector against gravity in the scan's world; ``None`` where it is not known.

    Raises:
        ValueError: something in it is wrong; the entry and the field are named.
    """
    values = decode_json(data)
    if not isinstance(values, dict) or not isinstance(values.get("objects"), list):
        raise ValueError('is not {"world": "aligned", "objects": [...]}')
    _refuse_others(values, ("world", "objects", "up"), "the file")
    items = values["objects"]
    if len(items) > MAX_OBJECTS:
        raise ValueError(f"has {counted(len(items), 'object')}, at most {MAX_OBJECTS:,} are read")
    to_scan, up = _world(values, axis_alignment, world_up)
    objects: dict[int, SceneObject] = {}
    for place, item in enumerate(items):
        found = _object(item, place, to_scan, up)
        if found.object_id in objects:
            raise ValueError(f"objects[{place}].id is {found.object_id}, which another object has")
        objects[found.object_id] = found
    return tuple(objects.values())


def _world(
    values: dict[str, Any], axis_alignment: NDArray[np.float64] | None, world_up: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the matrix (4, 4) from the file's world to the scan's, and the vertical (3,) of the file's world."""
    world, stated = values.get("world"), values.get("up")
    if world not in WORLDS:
        raise ValueError(f'world is {shown(world)}, expected "aligned" (z up) or "scan" (the world of the poses)')
    if world == "aligned":
        if axis_alignment is None:
            raise ValueError('world is "aligned", but it is not known how this scan\'s world lies: write "scan"')
        if stated is not None:
            raise ValueError('up is for the world "scan"; in the aligned world z is up')
        return np.asarray(np.linalg.inv(axis_alignment), dtype=np.float64), np.array([0.0, 0.0, 1.0])
    if stated is None:
        return np.eye(4), world_up
    up = finite(stated, (3,))
    length = 0.0 if up is None else float(np.linalg.norm(up))
    if up is None or not length > 0:
        raise ValueError(f"up is {shown(stated)}, expected a vector of three numbers such as [0, 0, 1]")
    if world_up is not None and float(up @ world_up) / length < SAME_WAY:
        known = ", ".join(f"{value:.3g}" for value in world_up)
        raise ValueError(f"up is not the vertical of this scan, which is [{known}]: leave it out")
    return np.eye(4), up / length


def _object(item: Any, place: int, to_scan: NDArray[np.float64], up: NDArray[np.float64] | None) -> SceneObject:
    where = f"objects[{place}]"
    if not isinstance(item, dict):
        raise ValueError(f"{where} is {shown(item)}, expected an object with {', '.join(FIELDS)}")
    _refuse_others(item, (*FIELDS, *OPTIONAL), where)
    for field in FIELDS:
        if field not in item:
            raise ValueError(f"{where} has no {field}")
    label = text(item["label"], NAME_CHARACTERS)
    if label is None:
        raise ValueError(f"{where}.label is {shown(item['label'])}, expected the name of a category")
    center, size = _three(item, where, "center"), _three(item, where, "size")
    if np.abs(center).max() > FARTHEST or size.max() > LARGEST or size.min() <= 0:
        field = "center" if np.abs(center).max() > FARTHEST else "size"
        numbers = ", ".join(f"{value:g}" for value in (center if field == "center" else size))
        raise ValueError(f"{where}.{field} is [{numbers}], which is not of a thing in a room, in metres")
    heading = number(item.get("heading", 0.0))
    if heading is None:
        raise ValueError(f"{where}.heading is {shown(item['heading'])}, expected degrees")
    if heading and up is None:
        raise ValueError(f'{where}.heading needs the vertical: write "up": [0, 0, 1] (or the axis that is up) above it')
    box = OrientedBox(center=center, size=size, rotation=_turned_about(up, heading))
    return SceneObject(object_id=_id(item, place), label=label.strip(), box=box.transformed(to_scan))


def _three(item: dict[str, Any], where: str, field: str) -> NDArray[np.float64]:
    found = finite(item[field], (3,))
    if found is None:
        raise ValueError(f"{where}.{field} is {shown(item[field])}, expected three numbers in metres")
    return found


def _id(item: dict[str, Any], place: int) -> int:
    value = item.get("id", place)
    if type(value) is not int or not 0 <= value <= MAX_ID:
        raise ValueError(f"objects[{place}].id is {shown(value)}, expected an integer from 0 to {MAX_ID}")
    return value


def _refuse_others(item: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    other = next((field for field in item if field not in known), None)
    if other is not None:
        raise ValueError(f"{where} has a field {shown(other)}, expected only {', '.join(known)}")


def _turned_about(up: NDArray[np.float64] | None, heading: float) -> NDArray[np.float64]:
    """Return the rotation (3, 3) by degrees counter-clockwise about a unit vector."""
    import cv2

    if up is None or not heading:
        return np.eye(3)
    return np.asarray(cv2.Rodrigues(up * np.radians(heading))[0], dtype=np.float64)


def _out_of_reach(objects: tuple[SceneObject, ...], scan: Scan) -> int:
    """Return how many boxes are far from all cameras."""
    places = scan.camera_to_world[:, :3, 3]
    places = places[np.isfinite(scan.camera_to_world).all(axis=(1, 2))]
    if not len(places):
        return 0
    boxes = [item.box for item in objects if item.box is not None]
    return sum(float(np.linalg.norm(places - box.center, axis=1).min()) > OUT_OF_REACH for box in boxes)
