"""A record as it is shown: its cloud and the marks around it, in one named frame of reference, as data.

Pictures, windows and files are made from an exhibit alone. It needs no display, so tests can look at it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gapdata.records.schema import Record
from gapdata.runtime.counting import counted
from gapdata.show.scene.answers import AnswerRow, Answers, answers_about
from gapdata.show.scene.cloud import PointCloud, fuse, with_error
from gapdata.show.scene.marks import ShownBox, ShownCamera, ShownPoint, record_boxes, record_cameras, record_points
from gapdata.show.scene.room import room_frame
from gapdata.tasks.predictions import Predictions

NOT_ALIGNED = "no axis alignment: the room's axes are not drawn"
FEW_CAMERAS = 8
"""Up to this many, frustums are drawn large enough to show their images."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exhibit:
    """A cloud with all that is drawn around it. "Shown" is its frame of reference."""

    title: str  # the record's key, or the scene id
    facts: tuple[str, ...]
    reference: str
    """The frame of reference in words, e.g. ``metres, camera of frame 0``."""
    in_camera: bool
    """Whether that is a camera (x right, y down, z forward) or a world with z up."""
    cloud: PointCloud
    frame_ids: tuple[int, ...]  # raw ids of all frames in the cloud, ascending positions
    frame_values: tuple[int, ...]  # the values of cloud.frames for them
    cameras: tuple[ShownCamera, ...]
    boxes: tuple[ShownBox, ...]
    points: tuple[ShownPoint, ...]
    rows: tuple[AnswerRow, ...] = ()
    shown_to_room: NDArray[np.float64]  # (4, 4) z up, 0 at the floor: for the viewpoints, estimated where not known
    forward: NDArray[np.float64]  # (3,) unit, the direction that the first viewpoint looks in
    aligned_to_shown: NDArray[np.float64] | None  # (4, 4); None without axis alignment
    notes: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether a model's answers are shown, too."""
        return bool(self.rows)

    @property
    def sample(self) -> PointCloud:
        """About 20,000 evenly spread points of the cloud, for estimates."""
        return self.cloud.sample(20_000)

    @property
    def extent(self) -> float:
        """The diagonal of the box around all but stray points, metres; 1 for an empty cloud."""
        if not len(self.cloud):
            return 1.0
        low, high = np.percentile(self.sample.points, [1, 99], axis=0)
        return float(np.linalg.norm(high - low))

    @property
    def frustum_depth(self) -> float:
        """Depth to which frustums are drawn, metres: an eighth of the extent, less where there are many."""
        share = 8 if len(self.cameras) <= FEW_CAMERAS else 18
        return float(np.clip(self.extent / share, 0.08, 0.8))

    def thinned(self, voxel: float) -> Exhibit:
        """Return the same with one point in each cube of ``voxel`` metres.

        The cubes are those of Open3D's ``voxel_down_sample``, which would lose all but positions, colours and normals.
        """
        if not len(self.cloud):
            return self
        return replace(self, cloud=self.cloud.thinned(voxel, self.cloud.points.min(axis=0) - np.float32(voxel / 2)))


def record_exhibit(
    record: Record,
    *,
    mode: str = "rgb",
    max_points: int | None = None,
    drop_flying: bool = False,
    predictions: Predictions | None = None,
) -> Exhibit:
    """Return what is shown of a record, in the camera of its first frame.

    Args:
        record: with its members.
        mode: the colour mode; for ``error`` the disagreement is measured.
        max_points: the largest cloud; frames are subsampled on their pixel grids to stay below.
        drop_flying: leave out points that hang between two surfaces (not in the mode ``validity``, which shows them).
        predictions: a model's answers to draw beside the truth.

    Raises:
        ShardError: a member is missing or damaged.
    """
    cloud = fuse(record, max_points=max_points, drop_flying=drop_flying and mode != "validity")
    if mode == "error":
        cloud = with_error(record, cloud)
    answers = Answers() if predictions is None else answers_about(record, predictions).drawn
    aligned, room = record.axis_alignment, room_frame(record, cloud)
    notes = (() if aligned is not None else (NOT_ALIGNED,)) + answers.notes
    return Exhibit(
        title=record.key,
        facts=_facts(record, cloud),
        reference=f"metres, camera of frame {record.frame_ids[0]}",
        in_camera=True,
        cloud=cloud,
        frame_ids=record.frame_ids,
        frame_values=tuple(range(len(record))),
        cameras=record_cameras(record, range(len(record)), record.frame_ids, np.eye(4)),
        boxes=record_boxes(record) + answers.boxes,
        points=record_points(record) + answers.points,
        rows=answers.rows,
        shown_to_room=room,
        forward=room[:3, 2],
        aligned_to_shown=None if aligned is None else np.linalg.inv(aligned @ record.camera_to_world[0]),
        notes=notes + (() if predictions is None else predictions.notes),
    )


def _facts(record: Record, cloud: PointCloud) -> tuple[str, ...]:
    ids = [str(index) for index in record.frame_ids]
    frames = ", ".join(ids) if len(ids) <= 8 else f"{ids[0]}, {ids[1]}, ... {ids[-1]} ({len(ids)})"
    valid = float(np.mean([(record.depth(frame) > 0).mean() for frame in range(len(record))]))
    return (
        f"{record.source} {record.split}",
        f"{record.view} of frames {frames}",
        f"{record.image_size[0]} x {record.image_size[1]} pixels",
        f"{counted(len(cloud), 'point')} drawn",
        f"depth {100 * valid:.1f} % valid",
        counted(len(record.objects), "object"),
        counted(len(record.prompts), "prompt"),
    )
