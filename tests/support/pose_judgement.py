"""How many views of good scans are kept, and how many of bad ones refused: scans with a mistake put in, judged as a
build judges them.

    python -m tests.support.pose_judgement

measures all of them and writes the table of ``manifests/README.md`` between its markers. The benchmark
``tests/benchmarks/test_pose_judgement.py`` holds the ratios; ``tests/engine/test_pose_judgement.py`` does with fewer
views.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gapdata.commands.main import main
from gapdata.engine.bad_scans import refuse_bad_scan
from gapdata.engine.bad_views import refuse_bad_poses
from gapdata.engine.open_scene import frame_settings
from gapdata.engine.recipe import Recipe
from gapdata.errors import SourceError
from gapdata.frames.selection import select_uniform
from gapdata.geometry.camera import is_rigid
from gapdata.records.prepare import FramePreparer, PreparedFrame
from gapdata.records.quality import QualityMeter
from gapdata.records.views import View
from gapdata.seeding import generator_for
from gapdata.sources.base import Scan
from gapdata.sources.rgbd import RgbdFolder
from gapdata.sources.scannet import ScanNetDataset
from tests.conftest import REPOSITORY, SAMPLES
from tests.support.pose_mistakes import MISTAKES, SECOND, Mistake, MistakenScan, Poses, off_by

PAGE = REPOSITORY / "manifests" / "README.md"
BEGIN, END = "<!-- poses: table -->", "<!-- poses: end -->"
RECIPE = Recipe()
MOVES = (0.3, 15.0)
"""Metres or degrees between two frames of a view from which on its camera moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """Of the views of one scan with one mistake: how many were judged, and how many refused."""

    views: int
    refused: int

    @property
    def share(self) -> float:
        """Refused ones as a share; NaN without views."""
        return self.refused / self.views if self.views else float("nan")

    def __add__(self, other: Verdicts) -> Verdicts:
        return Verdicts(views=self.views + other.views, refused=self.refused + other.refused)


@dataclass(frozen=True, kw_only=True)
class Capture:
    """A good scan and the views of it that are judged."""

    scan: Scan
    views: Sequence[View]

    @cached_property
    def truth(self) -> Poses:
        """(N, 4, 4), NaN where there is no frame."""
        poses = np.array(self.scan.camera_to_world)
        poses[~is_rigid(poses)] = np.nan
        return poses

    def judge(self, mistake: Mistake) -> Verdicts:
        """Judge the scan with the mistake in it, and then each of its views, as a build does."""
        scan: Any = MistakenScan(self.scan, self.truth, mistake)
        frames, quality = RECIPE.frames, RECIPE.quality
        preparer = FramePreparer(scan, frame_settings(frames), None, capacity=len(self.truth))
        usable = is_rigid(scan.camera_to_world)
        views = [view for view in self.views if usable[list(view.frame_ids)].all()]
        views = [view for view in views if not mistake.moving or moves(self.truth, view)]
        meter = QualityMeter(preparer.camera, scan.camera_to_world, quality.min_overlap, capacity=len(self.truth))
        try:
            refuse_bad_scan(scan, preparer, meter, usable, _frames(views), quality, frames.far)
        except SourceError:
            return Verdicts(views=len(views), refused=len(views))
        refused = 0
        for view in views:
            if mistake.one_frame is not None:
                meter = self._one_off(preparer, scan.camera_to_world, view, mistake.one_frame)
            try:
                if all(preparer.has_depth(frame) for frame in view.frame_ids):
                    figures = meter.measure([_frame(preparer, frame) for frame in view.frame_ids])
                    refuse_bad_poses(scan, view, figures, quality)
                else:  # a build never takes a frame that is nearly empty
                    refused += 1
            except SourceError:
                refused += 1
        return Verdicts(views=len(views), refused=refused)

    def _one_off(self, preparer: FramePreparer, poses: Poses, view: View, by: tuple[float, float]) -> QualityMeter:
        rng = generator_for(0, "one pose", view.key)
        frame = view.frame_ids[int(rng.integers(len(view.frame_ids)))]
        moved = poses.copy()
        moved[frame] = off_by(poses[frame], *by, rng)
        return QualityMeter(preparer.camera, moved, RECIPE.quality.min_overlap)


def moves(truth: Poses, view: View) -> bool:
    """Whether the view's camera moves."""
    poses = truth[list(view.frame_ids)]
    to_first = np.linalg.inv(poses[0]) @ poses
    cosines = (np.trace(to_first[:, :3, :3], axis1=1, axis2=2) - 1) / 2
    turned = np.degrees(np.arccos(np.clip(cosines, -1, 1))).max()
    return bool(np.linalg.norm(to_first[:, :3, 3], axis=1).max() >= MOVES[0] or turned >= MOVES[1])


def clips(scan: Scan, step: int, frames: int = 4, interval: int = SECOND) -> Iterator[View]:
    """Clips of frames a second apart that begin every ``step`` raw frames."""
    usable = is_rigid(scan.camera_to_world)
    for first in range(0, len(usable) - (frames - 1) * interval, step):
        ids = tuple(range(first, first + frames * interval, interval))
        if usable[list(ids)].all():
            yield View(key=f"{scan.scene_id}-clip-{first:05d}", kind="clip", frame_ids=ids)


def scene_views(scan: Scan, spans: Sequence[tuple[float, int]], frames: int = 32) -> Iterator[View]:
    """Views spread over a share of the scan; of each share so many, shifted against each other."""
    usable = is_rigid(scan.camera_to_world)
    known = np.flatnonzero(usable)
    for share, count in spans:
        spare = max(len(known) - int(share * len(known)), count)
        for turn in range(count):
            window = np.zeros_like(usable)
            first = turn * spare // count
            window[known[first : first + max(int(share * len(known)), 1)]] = True
            ids = select_uniform(window, frames)
            if ids:
                yield View(key=f"{scan.scene_id}-scene-{share}-{turn}", kind="scene", frame_ids=ids)


def table(found: Mapping[str, Mapping[str, Verdicts]]) -> str:
    """Rows: what is wrong; a column for each kind of scan: the share of its views that is refused, of how many."""
    names = list(found)
    lines = [f"| what is wrong | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for mistake in MISTAKES:
        cells = [_cell(found[name][mistake.name]) for name in names]
        lines.append(f"| {mistake.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(verdicts: Verdicts) -> str:
    return f"{verdicts.share:.0%} of {verdicts.views}" if verdicts.views else "-"


def _frames(views: Sequence[View]) -> list[int]:
    return [frame for view in views for frame in view.frame_ids]


def _frame(preparer: FramePreparer, frame: int) -> PreparedFrame:
    """What judging needs of a frame: its depth."""
    depth = preparer.depth(frame)
    return PreparedFrame(
        frame_id=frame,
        camera=preparer.camera(frame),
        jpeg=b"",
        depth_png=b"",
        instance_png=None,
        depth=depth,
        objects=None,
        sharpness=0.0,
    )


def kitchen(samples: Path, step: int = 5) -> Capture:
    """7-Scenes' kitchen: clips from every ``step``-th raw frame, and views of 32 frames of the whole and of parts."""
    scan = _open(RgbdFolder.open(samples / "7scenes-redkitchen"))
    interleaved = [
        View(key=f"kitchen-scene-every-{SECOND}-{first}", kind="scene", frame_ids=tuple(range(first, 996, SECOND)))
        for first in range(0, SECOND, max(step, 5))
    ]
    parts = scene_views(scan, [(0.98, 1 + 25 // step), (0.5, 1 + 25 // step), (0.25, 1 + 25 // step)])
    return Capture(scan=scan, views=[*clips(scan, step), *interleaved, *parts])


def redwood(samples: Path, work: Path) -> Capture:
    """Redwood's five neighbouring frames."""
    folder = work / "redwood"
    folder.mkdir()
    for name in ("color", "depth", "trajectory.log"):
        (folder / name).symlink_to(samples.absolute() / "redwood-rgbd" / name)
    (folder / "intrinsics.json").write_text(json.dumps({"fx": 525, "fy": 525, "cx": 319.5, "cy": 239.5}))
    scan = _open(RgbdFolder.open(folder))
    return Capture(scan=scan, views=[*clips(scan, 1, frames=5, interval=1), *clips(scan, 1, frames=4, interval=1)])


def synthetic(work: Path, scenes: int, frames: int, step: int) -> list[Capture]:
    """Furnished rooms with sensor noise."""
    sizes = ["--color-size", "96x72", "--depth-size", "160x120", "--seed", "5", "--workers", "1"]
    assert main(["synth", str(work / "synth"), "--scenes", str(scenes), "--frames", str(frames), *sizes]) == 0
    dataset = ScanNetDataset.open(work / "synth")
    scans = [dataset.open_scan(scene_id) for scene_id in dataset.scene_ids]
    return [
        Capture(
            scan=scan, views=[*clips(scan, step), *scene_views(scan, [(0.98, 2), (0.5, 2)], frames=min(frames, 32))]
        )
        for scan in scans
    ]


def all_verdicts(samples: Path, work: Path) -> dict[str, dict[str, Verdicts]]:
    """Every mistake in every scan: by the kind of scan, then by the mistake's name."""
    captures = {
        "kitchen": [kitchen(samples)],
        "Redwood": [redwood(samples, work)],
        "synthetic": synthetic(work, scenes=3, frames=300, step=15),
    }
    return {
        name: {mistake.name: sum_of(capture.judge(mistake) for capture in scans) for mistake in MISTAKES}
        for name, scans in captures.items()
    }


def sum_of(verdicts: Iterable[Verdicts]) -> Verdicts:
    """Those of several scans together."""
    return sum(verdicts, Verdicts(views=0, refused=0))


def page_with_table(page: str, found: Mapping[str, Mapping[str, Verdicts]]) -> str:
    """The page with the table between its markers."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table(found)}\n\n{END}{rest.partition(END)[2]}"


def _open(dataset: RgbdFolder) -> Scan:
    return dataset.open_scan(dataset.scene_ids[0])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        PAGE.write_text(page_with_table(PAGE.read_text(), all_verdicts(SAMPLES, Path(temporary))))
