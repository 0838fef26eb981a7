"""Views as a recording for the viewer of rerun.io: each view is a timeline, and stored images go in as they are.

```
/                      the aligned world, z up; without axis alignment the camera of the first view's first frame
view                   the view's first camera, in which boxes, points and the pointmap are given
view/camera            the camera of the current frame
view/camera/image      its pinhole
view/camera/image/rgb  the stored JPEG; depth: the stored PNG, which the viewer projects back; objects: the masks
view/camera/image/marks, view/prompts, view/prompts/rays, view/boxes, view/points
view/predictions       a model's boxes, points and their distances from the truth; answers: the table
```
A timeline has the name of a record and counts raw frames, so that the same entities serve all views of a scene: what is
not on the chosen timeline is not shown. The viewer projects depth back with whole numbers at the centres of pixels, as
this package does, and draws an image from corner to corner, so half a pixel is added to the marks in images only.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import UsageError
from gapdata.geometry.quaternions import quaternion_of
from gapdata.records.codec import MILLIMETRES_PER_METRE, POINTMAP, member_name
from gapdata.records.schema import Record
from gapdata.show.scene.answers import AnswerRow, Answers, answers_about
from gapdata.show.scene.marks import ShownBox, ShownPoint, record_boxes, record_points
from gapdata.show.scene.palette import object_color, prompt_color
from gapdata.tasks.predictions import Predictions

ROOT = "view"
CAMERA = f"{ROOT}/camera"
IMAGE = f"{CAMERA}/image"
HALF_PIXEL = 0.5
THIN = -0.7
"""Radius of rays: below zero it is in points of the screen."""
INSTALL = "pip install 'gapmllm[rerun]'"


def save_rrd(records: Sequence[Record], path: Path, name: str, predictions: Predictions | None = None) -> int:
    """Write a recording.

    Args:
        records: with their members, of one scene.
        path: the file.
        name: of the recording.
        predictions: a model's answers to show beside the truth.

    Returns:
        The number of frames.

    Raises:
        UsageError: rerun is not installed.
        ShardError: a record is damaged.
        OSError: the file cannot be written.
    """
    try:
        import rerun
    except ImportError as error:
        raise UsageError("needs rerun-sdk, which is not installed", path=path, cure=INSTALL) from error
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    temporary.touch()  # so that a folder that cannot be written to is an OSError
    try:
        stream = rerun.RecordingStream("gapdata", recording_id=name, send_properties=False)
        stream.set_log_time_enabled(False)
        stream.set_log_tick_enabled(False)
        stream.save(temporary, default_blueprint=_blueprint(records[0], predictions is not None))
        writer = _Writer(rerun, stream, records[0])
        for record in records:
            writer.write(record, Answers() if predictions is None else answers_about(record, predictions).drawn)
        stream.flush()
        stream.disconnect()
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return sum(map(len, records))


def _blueprint(first: Record, answered: bool) -> Any:
    """Return the layout that opens first: the room on the left, the current frame on the right."""
    import rerun.blueprint as layout

    images = [
        layout.Spatial2DView(origin=IMAGE, contents=[f"+ {IMAGE}/{name}", *more], name=title)
        for title, name, more in (
            ("frame", "rgb", [f"+ {IMAGE}/marks"]),
            ("depth", "depth", []),
            ("objects", "objects", []),
        )
    ]
    # Depth projected back has the colours of distances; where a pointmap is stored, that one shows the room.
    hidden = ("objects", "depth") if POINTMAP in first.members else ("objects",)
    contents = ["+ /**", *(f"- {IMAGE}/{name}" for name in hidden)]
    room = layout.Spatial3DView(origin="/", contents=contents, name="room")
    side = [images[0], layout.Tabs(images[1], images[2])]
    if answered:
        side.append(layout.TextDocumentView(origin=f"{ROOT}/predictions/answers", name="answers"))
    return layout.Blueprint(
        layout.Horizontal(room, layout.Vertical(*side), column_shares=[3, 2]),
        layout.TimePanel(timeline=first.key, expanded=False),
        collapse_panels=True,
    )


class _Writer:
    """A recording under way."""

    def __init__(self, rerun: ModuleType, stream: Any, first: Record) -> None:
        self._rerun, self._stream = rerun, stream
        aligned = first.axis_alignment is not None
        self._to_shown = first.axis_alignment if aligned else np.linalg.inv(first.camera_to_world[0])
        axes = rerun.ViewCoordinates.RIGHT_HAND_Z_UP if aligned else rerun.ViewCoordinates.RDF
        stream.log("/", axes, static=True)

    def write(self, record: Record, answers: Answers) -> None:
        """Write a record on a timeline of its own."""
        rerun, stream = self._rerun, self._stream
        stream.reset_time()
        self._at(record, 0)
        stream.log(ROOT, self._pose(self._to_shown @ record.camera_to_world[0]))
        stream.log(ROOT, self._classes(record))
        stream.log(f"{ROOT}/boxes", self._boxes(record_boxes(record)))
        prompts = record_points(record)
        stream.log(f"{ROOT}/prompts", self._points(prompts))
        rays = [np.stack([item.eye, item.point]) for item in prompts if item.eye is not None]
        colors = [item.color for item in prompts if item.eye is not None]
        stream.log(f"{ROOT}/prompts/rays", rerun.LineStrips3D(rays, colors=colors, radii=THIN))
        if POINTMAP in record.members:
            stream.log(f"{ROOT}/points", self._pointmap(record))
        self._answers(answers)
        for frame in range(len(record)):
            self._at(record, frame)
            self._frame(record, frame)

    def _at(self, record: Record, frame: int) -> None:
        self._stream.set_time(record.key, sequence=record.frame_ids[frame])

    def _frame(self, record: Record, frame: int) -> None:
        rerun, stream, camera = self._rerun, self._stream, record.camera(frame)
        stream.log(CAMERA, self._pose(record.camera_to_first[frame]))
        stream.log(
            IMAGE,
            rerun.Pinhole(
                focal_length=[camera.fx, camera.fy],
                principal_point=[camera.cx, camera.cy],
                width=camera.width,
                height=camera.height,
            ),
        )
        for name, suffix in (("rgb", "jpg"), ("depth", "depth.png")):
            data = record.members.get(member_name(frame, suffix))
            if data is not None and name == "rgb":
                stream.log(f"{IMAGE}/rgb", rerun.EncodedImage(contents=data, media_type="image/jpeg"))
            elif data is not None:
                depth = rerun.EncodedDepthImage(data, media_type="image/png", meter=MILLIMETRES_PER_METRE)
                stream.log(f"{IMAGE}/depth", depth)
        if record.has_instances:
            stream.log(f"{IMAGE}/objects", rerun.SegmentationImage(record.instances(frame)))
        marks = [prompt for prompt in record.prompts if prompt.frame == frame]
        stream.log(
            f"{IMAGE}/marks",
            rerun.Points2D(
                np.array([prompt.pixel for prompt in marks], dtype=float).reshape(-1, 2) + HALF_PIXEL,
                colors=[prompt_color(prompt.index) for prompt in marks],
                labels=[f"{prompt.index} {prompt.label or 'point'}" for prompt in marks],
                radii=-4.0,  # points of the screen
            ),
        )

    def _answers(self, answers: Answers) -> None:
        rerun, stream, place = self._rerun, self._stream, f"{ROOT}/predictions"
        if not (answers.rows or answers.notes):
            return
        stream.log(f"{place}/boxes", self._boxes(answers.boxes))
        stream.log(f"{place}/points", self._points(answers.points))
        off = [(np.stack([item.point, item.truth]), item.color) for item in answers.points if item.truth is not None]
        lines, colors = [line for line, _ in off], [color for _, color in off]
        stream.log(f"{place}/errors", rerun.LineStrips3D(lines, colors=colors))
        text = _table(answers.rows, answers.notes)
        stream.log(f"{place}/answers", rerun.TextDocument(text, media_type="text/markdown"))

    def _pose(self, matrix: NDArray[np.float64]) -> Any:
        """Return a rigid (4, 4) transform, child to parent."""
        return self._rerun.Transform3D(translation=matrix[:3, 3], mat3x3=matrix[:3, :3])

    def _classes(self, record: Record) -> Any:
        rerun = self._rerun
        return rerun.AnnotationContext(
            [rerun.AnnotationInfo(0, "none", (70, 70, 70))]
            + [
                rerun.AnnotationInfo(item.object_id + 1, item.label, object_color(item.object_id))
                for item in record.objects
            ]
        )

    def _boxes(self, boxes: Sequence[ShownBox]) -> Any:
        rerun = self._rerun
        return rerun.Boxes3D(
            centers=[item.box.center for item in boxes],
            half_sizes=[item.box.size / 2 for item in boxes],
            quaternions=[rerun.Quaternion(xyzw=np.roll(quaternion_of(item.box.rotation), -1)) for item in boxes],
            labels=[item.text for item in boxes],
            colors=[item.color for item in boxes],
            fill_mode=rerun.components.FillMode.MajorWireframe,
        )

    def _points(self, points: Sequence[ShownPoint]) -> Any:
        return self._rerun.Points3D(
            [item.point for item in points],
            labels=[" ".join(filter(None, (str(item.number), item.label, item.note))) for item in points],
            colors=[item.color for item in points],
            # The marks in the frame name the prompts already; here a click does.
            show_labels=any(item.predicted for item in points),
            radii=0.03,
        )

    def _pointmap(self, record: Record) -> Any:
        """Return the stored pointmap with the colours of its pixels."""
        points = record.stored_pointmap()
        (width, height), (_, rows, columns, _) = record.image_size, points.shape
        stride = next(step for step in range(1, height + 1) if (height // step, width // step) == (rows, columns))
        images = np.stack([record.image(frame) for frame in range(len(record))])
        known = np.isfinite(points).all(axis=-1)
        colors = images[:, stride // 2 :: stride, stride // 2 :: stride][:, :rows, :columns]
        # A point is as large as its block of pixels there, so that surfaces look closed.
        away = np.linalg.norm(points - record.camera_to_first[:, None, None, :3, 3], axis=-1)
        radii = away * stride / (2 * record.intrinsics[:, 0])[:, None, None]
        return self._rerun.Points3D(points[known], colors=colors[known], radii=radii[known])


def _table(rows: Sequence[AnswerRow], notes: Sequence[str]) -> str:
    """Return answers beside the truth as Markdown; a model's text cannot end a cell."""
    lines = ["| truth | answer | error |", "|---|---|---|"]
    lines += [f"| {' | '.join(_cell(text) for text in (row.truth, row.answer, row.error))} |" for row in rows]
    return "\n".join([*lines, "", *(f"- {_cell(note)}" for note in notes)])


def _cell(text: str) -> str:
    return text.replace("\\", "/").replace("|", "/").replace("<", "(").replace(">", ")").replace("`", "'")
