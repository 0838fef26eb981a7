"""Read EmbodiedScan's ``embodiedscan_infos_*.pkl``: the oriented boxes of a scene, and which boxes each frame shows.

The files cover scenes of ScanNet, 3RScan, Matterport3D and ARKitScenes (:mod:`gapdata.annotations.embodiedscan_names`).
A box has nine numbers in the convention ``intrinsic_zxy`` (R = Rz(a) Rx(b) Ry(c)), in the axis-aligned world, metres;
so it fits frames that are turned upright as well as those that are not. ``bbox_id`` is EmbodiedScan's own number of an
object, which may differ from the data set's own. The file leaves out frames with an invalid pose, and the file of the
test split does not have boxes. EmbodiedScan has other splits than these data sets
(:mod:`gapdata.annotations.splits`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.annotation_file import named_split
from gapdata.annotations.embodiedscan_names import BY_NUMBER, DATA_SETS, frame_of_image, place_of_sample
from gapdata.annotations.report import FileReport, Tally
from gapdata.errors import FileError
from gapdata.files.checked_values import NAME_CHARACTERS, finite, integer, integers, text
from gapdata.files.pickles import read_pickle
from gapdata.files.storage import Location
from gapdata.geometry.boxes import EulerConvention, OrientedBox, rotation_from_euler
from gapdata.geometry.camera import is_rigid

KIND = "EmbodiedScan"
CONVENTION: EulerConvention = "intrinsic_zxy"
MAX_INSTANCES = 10_000
MAX_CATEGORIES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnnotatedBox:
    """An object's oriented box in the axis-aligned world, metres."""

    object_id: int  # as in the file that it comes from
    label: str
    center: NDArray[np.float64]  # (3,)
    size: NDArray[np.float64]  # (3,) full extents along the box's own axes
    rotation: NDArray[np.float64]  # (3, 3) box axes to aligned world

    @property
    def box(self) -> OrientedBox:
        """The box without its label."""
        return OrientedBox(center=self.center, size=self.size, rotation=self.rotation)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbodiedScene:
    """A scene's boxes and the frames that EmbodiedScan uses."""

    scene_id: str
    axis_alignment: NDArray[np.float64]  # (4, 4) unaligned to aligned world
    boxes: tuple[AnnotatedBox, ...]
    visible: Mapping[int, tuple[int, ...]]
    """By raw frame index, the ids of the objects that the frame shows, in the file's order; frames without a valid pose
    are absent. Empty for data sets whose images do not have raw indices in their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbodiedScan:
    """The content of one file."""

    categories: Mapping[str, int]  # by name, numbers from 1
    scenes: Mapping[tuple[str, str], EmbodiedScene]
    """By data set and scene id."""
    report: FileReport

    def of(self, data_set: str) -> dict[str, EmbodiedScene]:
        """Return the scenes of a data set by their ids."""
        return {scene_id: scene for (source, scene_id), scene in self.scenes.items() if source == data_set}


def read_embodiedscan(path: Location, wanted: Mapping[str, Collection[str] | None] | None = None) -> EmbodiedScan:
    """Read a file and keep the scenes that are wanted.

    A scene is reduced to what is kept as soon as it has been read, so that memory holds the file and little more.

    Args:
        path: the file.
        wanted: the scenes to keep, by data set; ``None`` stands for all, of a data set and of the file.

    Raises:
        FileError: the file is damaged, runs code, or lacks ``metainfo`` or ``data_list``.
    """
    tally = Tally()
    kept = dict.fromkeys(DATA_SETS) if wanted is None else wanted

    def reduce(fields: dict[Any, Any]) -> Any:
        is_sample = "sample_idx" in fields and "images" in fields
        return _Sample(fields, kept) if is_sample else fields

    content = read_pickle(path, reduce)
    if not isinstance(content, dict) or not isinstance(content.get("data_list"), list):
        raise FileError("lacks data_list", path=path, cure="give an embodiedscan_infos_*.pkl")
    categories = _categories(content.get("metainfo"), path)
    names = {number: name for name, number in categories.items()}
    scenes: dict[tuple[str, str], EmbodiedScene] = {}
    found: dict[str, int] = {}
    for index, sample in enumerate(content["data_list"]):
        if isinstance(sample, dict):
            sample = _Sample(sample, kept)
        if isinstance(sample, _Sample) and sample.data_set in DATA_SETS:
            found[sample.data_set] = found.get(sample.data_set, 0) + 1
        if not isinstance(sample, _Sample):
            tally.ignore("not_a_sample", index, sample)
        elif sample.refusal is not None:
            tally.ignore(sample.refusal, index, sample.name)
        elif (sample.data_set, sample.scene_id) in scenes:
            tally.ignore("repeated_scene", index, sample.name)
        else:
            scenes[sample.data_set, sample.scene_id] = sample.scene(names, tally)
            tally.take(f"{sample.data_set}/{sample.scene_id}")
    if found.keys() - {"scannet"}:
        tally.notes["samples by data set"] = ", ".join(f"{name} {found[name]}" for name in DATA_SETS if name in found)
    report = tally.report(path=path, kind=KIND, split=named_split(path))
    return EmbodiedScan(categories=categories, scenes=scenes, report=report)


def _categories(metainfo: Any, path: Location) -> dict[str, int]:
    table = metainfo.get("categories") if isinstance(metainfo, dict) else None
    if not isinstance(table, dict) or not 0 < len(table) <= MAX_CATEGORIES:
        raise FileError("metainfo lacks categories", path=path, cure="give an embodiedscan_infos_*.pkl")
    categories: dict[str, int] = {}
    for name, value in table.items():
        number = integer(value)
        if text(name, NAME_CHARACTERS) is None or number is None or number in categories.values():
            problem = f"category {name!a:.60} has an invalid name, no valid number, or the number of another category"
            raise FileError(problem, path=path, cure="download the file again")
        categories[name] = number
    return categories


class _Sample:
    """A sample of the pickle, reduced to the fields that are kept; ``refusal`` is why it is left out, or ``None``."""

    __slots__ = ("alignment", "data_set", "defects", "frames", "instances", "name", "refusal", "scene_id")

    def __init__(self, fields: dict[Any, Any], wanted: Mapping[str, Collection[str] | None]) -> None:
        self.name = fields.get("sample_idx")
        self.instances: list[tuple[int, int, NDArray[np.float64]] | None] = []  # object id, category, nine numbers
        self.frames: dict[int, tuple[int, ...]] = {}
        self.defects: list[tuple[str, Any]] = []
        self.data_set, self.scene_id = place_of_sample(self.name) or ("", "")
        self.refusal = self._reason_to_refuse(fields, wanted)
        if self.refusal is None:
            self._read_instances(fields["instances"])
            if self.data_set in BY_NUMBER:
                self._read_images(fields["images"])

    def _reason_to_refuse(self, fields: dict[Any, Any], wanted: Mapping[str, Collection[str] | None]) -> str | None:
        if not self.data_set and not self.scene_id:
            return "sample_without_name"
        if self.data_set not in wanted:
            return f"other_data_set_{self.data_set if self.data_set in DATA_SETS else 'unknown'}"
        scene_ids = wanted[self.data_set]
        if not self.scene_id:
            return "sample_without_name"
        if scene_ids is not None and self.scene_id not in scene_ids:
            return "scene_not_in_data_set"
        alignment = finite(fields.get("axis_align_matrix"), (4, 4))
        if alignment is None or not is_rigid(alignment):
            return "sample_without_axis_alignment"
        if not isinstance(fields.get("instances"), list) or len(fields["instances"]) > MAX_INSTANCES:
            return "sample_without_instances"
        if not isinstance(fields.get("images"), list):
            return "sample_without_images"
        self.alignment = alignment
        return None

    def _read_instances(self, instances: list[Any]) -> None:
        """Keep one entry per instance, ``None`` for a defective one, because images name instances by position."""
        seen: set[int] = set()
        for position, instance in enumerate(instances):
            values = finite(instance.get("bbox_3d"), (9,)) if isinstance(instance, dict) else None
            object_id = integer(instance.get("bbox_id")) if isinstance(instance, dict) else None
            category = integer(instance.get("bbox_label_3d")) if isinstance(instance, dict) else None
            if values is None:
                reason = "instance_without_box"
            elif values[3:6].min() <= 0:
                reason = "box_without_extent"
            elif object_id is None or category is None:
                reason = "instance_without_id_or_label"
            elif object_id in seen:
                reason = "repeated_object_id"
            else:
                seen.add(object_id)
                self.instances.append((object_id, category, values))
                continue
            self.instances.append(None)
            self.defects.append((reason, position))

    def _read_images(self, images: list[Any]) -> None:
        for position, image in enumerate(images):
            fields = image if isinstance(image, dict) else {}
            frame = frame_of_image(self.data_set, self.scene_id, fields.get("img_path"))
            shown = integers(fields.get("visible_instance_ids", ()), MAX_INSTANCES)
            if frame is None:
                self.defects.append(("image_that_is_not_a_frame_of_the_scene", position))
            elif shown is None or any(index >= len(self.instances) for index in shown):
                self.defects.append(("image_with_wrong_visible_instances", position))
            elif frame in self.frames:
                self.defects.append(("repeated_image", position))
            else:
                self.frames[frame] = shown

    def scene(self, names: Mapping[int, str], tally: Tally) -> EmbodiedScene:
        """Return the scene with named categories, and count its defects in ``tally``."""
        for reason, position in self.defects:
            tally.defect(reason, f"{self.scene_id} {position}")
        for position, instance in enumerate(self.instances):
            if instance is not None and instance[1] not in names:
                tally.defect("unknown_category", f"{self.scene_id} {position}", instance[1])
                self.instances[position] = None
        kept = [instance for instance in self.instances if instance is not None]
        values = np.array([numbers for _, _, numbers in kept]).reshape(len(kept), 9)
        rotations = rotation_from_euler(values[:, 6:], CONVENTION)
        boxes = tuple(
            AnnotatedBox(
                object_id=object_id,
                label=names[category],
                center=numbers[:3],
                size=numbers[3:6],
                rotation=rotation,
            )
            for (object_id, category, numbers), rotation in zip(kept, rotations, strict=True)
        )
        ids = [None if instance is None else instance[0] for instance in self.instances]
        visible = {
            frame: tuple(object_id for index in dict.fromkeys(shown) if (object_id := ids[index]) is not None)
            for frame, shown in sorted(self.frames.items())
        }
        return EmbodiedScene(scene_id=self.scene_id, axis_alignment=self.alignment, boxes=boxes, visible=visible)
