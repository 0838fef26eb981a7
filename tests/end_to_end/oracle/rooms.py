"""The builds that are asked, and the true rooms behind their records."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from gapdata.commands.main import main
from gapdata.records.schema import Record
from gapdata.synthetic.dataset import SynthesisOptions, synthesise_dataset
from gapdata.tasks.spatial.question import SpatialQuestion
from tests.end_to_end.oracle.key.lens import Lens, stored_lens
from tests.end_to_end.oracle.key.true_room import TrueRoom, true_room
from tests.end_to_end.oracle.key.verdict import Marked, View

SENSOR_NOISE = 0.02
"""Share of a depth by which the simulated sensor is off at most on a smooth surface, at the default strength."""
SETTINGS = ("scene_views.frames=32", "prompts.per_view=0")


def build_rooms(root: Path, options: SynthesisOptions, size: tuple[int, int]) -> Path:
    """Write scans of rooms below a folder, build shards with images of a size, and return the folder of the build."""
    synthesise_dataset(root / "scans", options, workers=1)
    told = [part for setting in (f"frames.image_size={list(size)}", *SETTINGS) for part in ("--set", setting)]
    where = ["--scannet", str(root / "scans"), "--out", str(root / "build")]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert main(["build-shards", *where, *told, "--executor", "inline"]) == 0
    return root / "build"


def truth_of(scene_id: str, options: SynthesisOptions) -> TrueRoom:
    """Return the room of a scan."""
    return true_room(int(scene_id.removeprefix("scene").partition("_")[0]), options)


def view_of(record: Record, question: SpatialQuestion, room: TrueRoom, options: SynthesisOptions) -> View:
    """Return what the key is told of a question: the frames' numbers, the images' size, and the marks."""
    native, (width, height) = options.cameras[0], record.image_size
    scan = Lens(fx=native.fx, fy=native.fy, cx=native.cx, cy=native.cy, width=native.width, height=native.height)
    return View(
        room=room,
        frames=record.frame_ids,
        lens=stored_lens(scan, width, height),
        marks=tuple(Marked(frame=mark.frame, pixel=mark.pixel, number=mark.number) for mark in question.marks),
        noise=SENSOR_NOISE * options.noise,
    )
