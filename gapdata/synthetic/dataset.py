"""Write a dataset of synthetic scans in ScanNet's file formats.

A scene is a pure function of (seed, scene index), so scenes are rendered by as many processes as there are cores and
the same options always give the same bytes. Rendering uses one thread per process: less than half of a frame's time is
ray casting, the rest is array code on one core, so a process per core uses a machine better than threads within one.
"""

from __future__ import annotations

import multiprocessing
import shutil
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from multiprocessing.queues import Queue
from pathlib import Path

import numpy as np

from gapdata.errors import UsageError
from gapdata.files.atomic import write_atomically
from gapdata.geometry.camera import Intrinsics
from gapdata.runtime.cores import available_cores
from gapdata.sources.terms import TERMS_NAME
from gapdata.synthetic import annotation_files as files
from gapdata.synthetic.categories import labels_table
from gapdata.synthetic.releases.facts import SceneFacts, gather_facts
from gapdata.synthetic.releases.sightings import Sightings
from gapdata.synthetic.releases.writing import write_masks, write_releases
from gapdata.synthetic.render import Renderer
from gapdata.synthetic.rooms import room_kinds
from gapdata.synthetic.scene import FRAMES, LAYOUT, Scene, build_scene, generator, scene_name
from gapdata.synthetic.sens_writer import SensWriter
from gapdata.synthetic.sensor import ColorCamera, DepthCamera, imu_samples, jpeg
from gapdata.synthetic.trajectory import RATE, scan_poses

# A typical ScanNet calibration (iPad colour camera and Structure Sensor) at full size.
COLOR_CAMERA = Intrinsics(fx=1170.187988, fy=1170.187988, cx=647.75, cy=483.75, width=1296, height=968)
DEPTH_CAMERA = Intrinsics(fx=571.623718, fy=571.623718, cx=319.5, cy=239.5, width=640, height=480)
FIRST_TIMESTAMP = 1_000_000  # microseconds
SYNTHETIC_TERMS = "synthetic rooms, nobody's data\nredistributable\n"
"""The content of ``terms.txt`` (:mod:`gapdata.sources.terms`)."""
MAX_OBJECTS = 254  # an 8-bit instance mask stores object id + 1

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisOptions:
    """The options of a synthetic data set.

    Args:
        scenes: annotated scenes; the last quarter, at least one of two or more, is the validation split.
        test_scenes: further scenes without annotation, under ``scans_test/``.
        frames: frames of each scene, at 30 Hz.
        seed: equal seeds give equal bytes.
        rooms: names of the kinds of room that take turns (:data:`gapdata.synthetic.rooms.KINDS`); empty for all.
        color_size, depth_size: (width, height) in pixels.
        noise: strength of sensor noise and holes; 0 gives exact depth, rounded to millimetres.
        shared_camera: colour and depth share one camera, of ``depth_size``.
        lost_tracking: share of frames without a pose; at least one of 50 or more, never the first.
        annotations: also write the files that others publish: boxes, descriptions, proposals, conversations.
        overwrite: replace scenes that exist.
    """

    scenes: int = 4
    test_scenes: int = 0
    frames: int = 120
    seed: int = 0
    rooms: tuple[str, ...] = ()
    color_size: tuple[int, int] = (1296, 968)
    depth_size: tuple[int, int] = (640, 480)
    noise: float = 1.0
    shared_camera: bool = False
    lost_tracking: float = 0.02
    annotations: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.scenes < 0 or self.test_scenes < 0 or self.scenes + self.test_scenes < 1:
            what = f"{self.scenes} scenes and {self.test_scenes} test scenes do not make a data set"
            raise UsageError(what, cure="ask for at least one scene")
        if self.frames < 1 or self.noise < 0 or not 0 <= self.lost_tracking < 1 or self.seed < 0:
            rule = "frames must be at least 1, noise and seed at least 0, lost_tracking at least 0 and below 1"
            raise UsageError(rule)
        if min(*self.color_size, *self.depth_size) < 16:
            what = f"images of {self.color_size} and {self.depth_size} are too small"
            raise UsageError(what, cure="use 16 pixels or more")
        room_kinds(self.rooms)

    @property
    def cameras(self) -> tuple[Intrinsics, Intrinsics]:
        """Return the cameras of colour and depth, as they are written: float32."""
        color, depth = COLOR_CAMERA.resized(*self.color_size), DEPTH_CAMERA.resized(*self.depth_size)
        if self.shared_camera:
            color = depth
        return _as_float32(color), _as_float32(depth)

    @property
    def scene_ids(self) -> list[str]:
        """Return the names of annotated scenes first, then of test scenes."""
        return [scene_name(index) for index in range(self.scenes + self.test_scenes)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedScene:
    """The facts about a finished scene that files of the whole dataset hold."""

    instances: dict[str, int]  # by category; none of a test scene
    facts: SceneFacts | None = None


def _as_float32(camera: Intrinsics) -> Intrinsics:
    fx, fy, cx, cy = (float(np.float32(v)) for v in (camera.fx, camera.fy, camera.cx, camera.cy))
    return replace(camera, fx=fx, fy=fy, cx=cx, cy=cy)


def synthesise_dataset(
    out: Path, options: SynthesisOptions, *, progress: Progress | None = None, workers: int | None = None
) -> list[str]:
    """Write all scenes, the label table and the split files below ``out``.

    Args:
        out: the folder of the data set.
        options: what to write.
        progress: called with numbers of finished frames.
        workers: processes, by default one per core that may be used.

    Returns:
        The scene ids, annotated ones first.

    Raises:
        UsageError: a scene's folder has content and ``options.overwrite`` is off.
    """
    ids = options.scene_ids
    for index, scene_id in enumerate(ids):
        folder = _folder(out, options, index)
        if not options.overwrite and folder.exists() and any(folder.iterdir()):
            cure = "choose another folder, or replace its scenes with --overwrite"
            raise UsageError("is not empty", path=folder, scene=scene_id, cure=cure)
    out.mkdir(parents=True, exist_ok=True)
    count = min(workers or available_cores(), len(ids))
    if count <= 1:
        finished = [_make_scene(out, options, index, progress) for index in range(len(ids))]
    else:
        finished = _in_processes(out, options, progress, count)
    total: Counter[str] = Counter()
    for scene in finished:
        total.update(scene.instances)
    write_atomically(out / "scannetv2-labels.combined.tsv", labels_table(total).encode())
    training = options.scenes - (max(1, options.scenes // 4) if options.scenes >= 2 else 0)
    splits = {"train": ids[:training], "val": ids[training : options.scenes], "test": ids[options.scenes :]}
    for name, members in splits.items():
        write_atomically(out / f"scannetv2_{name}.txt", "".join(f"{scene_id}\n" for scene_id in members).encode())
    write_atomically(out / TERMS_NAME, SYNTHETIC_TERMS.encode())
    if options.annotations:
        write_releases(out, [scene.facts for scene in finished if scene.facts is not None], splits)
    return ids


def _in_processes(out: Path, options: SynthesisOptions, progress: Progress | None, count: int) -> list[FinishedScene]:
    """Make all scenes in spawned processes: Open3D's threads do not survive a fork."""
    context = multiprocessing.get_context("spawn")
    frames: Queue[int] = context.Queue()
    with ProcessPoolExecutor(count, mp_context=context, initializer=_share_queue, initargs=(frames,)) as pool:
        futures = [pool.submit(_make_shared_scene, out, options, k) for k in range(len(options.scene_ids))]
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=0.3, return_when=FIRST_COMPLETED)
            for future in done:
                if future.exception() is not None:
                    pool.shutdown(cancel_futures=True)
                    future.result()
            _report(frames, progress)
    _report(frames, progress)
    return [future.result() for future in futures]


def _report(frames: Queue[int], progress: Progress | None) -> None:
    while not frames.empty():
        finished = frames.get()
        if progress is not None:
            progress(finished)


_frames: Queue[int] | None = None
"""In a worker, the queue of finished frames."""


def _share_queue(queue: Queue[int]) -> None:
    global _frames
    _frames = queue


def _make_shared_scene(out: Path, options: SynthesisOptions, index: int) -> FinishedScene:
    return _make_scene(out, options, index, None if _frames is None else _frames.put)


def _folder(out: Path, options: SynthesisOptions, index: int) -> Path:
    return out / ("scans" if index < options.scenes else "scans_test") / scene_name(index)


def _make_scene(out: Path, options: SynthesisOptions, index: int, progress: Progress | None) -> FinishedScene:
    """Write one scene; a test scene when its index is not below ``options.scenes``."""
    import cv2

    annotated = index < options.scenes
    folder = _folder(out, options, index)
    if options.overwrite and folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = files.scene_paths(folder, scene_name(index))
    color, depth = options.cameras
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        scene = build_scene(options.seed, index, options.rooms)
        if len(scene.labels) > MAX_OBJECTS:
            what = f"{len(scene.labels)} objects do not fit an 8-bit mask"
            raise UsageError(what, scene=scene.scene_id, cure="use another seed")
        sightings = Sightings(scene=scene, camera=color) if annotated and options.annotations else None
        imu = _write_frames(scene, options, paths, sightings, progress)
    finally:
        cv2.setNumThreads(threads)
    write_atomically(paths["mesh"], files.ply_bytes(scene))
    text = files.meta_text(scene, color, depth, options.frames, imu, annotated=annotated)
    write_atomically(paths["meta"], text.encode())
    if not annotated:
        return FinishedScene(instances={})
    segments = files.segment_ids(scene)
    write_atomically(paths["segments"], files.segments_json(scene, segments))
    aggregation = files.aggregation_json(scene, segments, generator(options.seed, index, LAYOUT))
    write_atomically(paths["aggregation"], aggregation)
    facts = None
    if sightings is not None:
        facts, masks = gather_facts(scene, sightings, segments, aggregation, depth)
        write_masks(out, scene.scene_id, masks)
    return FinishedScene(instances=dict(Counter(scene.labels)), facts=facts)


def _write_frames(
    scene: Scene,
    options: SynthesisOptions,
    paths: dict[str, Path],
    sightings: Sightings | None,
    progress: Progress | None,
) -> int:
    """Write the ``.sens`` file and, of an annotated scene, the 2D masks; return the number of IMU records."""
    seed, index = options.seed, scene.index
    color, depth = options.cameras
    poses = scan_poses(scene, options.frames)
    renderer = Renderer(scene)
    setup = generator(seed, index, FRAMES, 1)
    color_camera = ColorCamera(color.width, color.height, options.noise, setup)
    depth_camera = DepthCamera(depth.width, depth.height, options.noise, setup)
    masks = files.MaskArchives(scene)
    lost = _lost_frames(options, index)
    times = FIRST_TIMESTAMP + np.round(np.arange(options.frames) * (1e6 / RATE)).astype(np.int64)
    samples = imu_samples(poses, times, generator(seed, index, FRAMES, 3))
    with SensWriter(paths["sens"], color_intrinsics=color, depth_intrinsics=depth, depth_to_color=np.eye(4)) as writer:
        for frame, (pose, time) in enumerate(zip(poses, times.tolist(), strict=True)):
            rng = generator(seed, index, FRAMES, 2, frame)
            radiance, ids = renderer.color(color, pose)
            image = jpeg(color_camera.develop(radiance, rng))
            reading = depth_camera.measure(renderer.depth(depth, pose), rng)
            known = frame not in lost
            stored = pose if known else np.full((4, 4), -np.inf)
            writer.write(color=image, depth=reading, camera_to_world=stored, color_timestamp=time, depth_timestamp=time)
            masks.add(frame, ids if known else np.full_like(ids, -1))
            if sightings is not None and known:
                sightings.add(frame, pose, ids)
            if progress is not None:
                progress(1)
        writer.write_imu(samples)
    if index < options.scenes:
        for name, data in masks.contents().items():
            write_atomically(paths[name], data)
    return len(samples)


def _lost_frames(options: SynthesisOptions, index: int) -> frozenset[int]:
    """Choose the frames of a scene that get -inf as their pose."""
    count = round(options.lost_tracking * options.frames)
    if options.frames >= 50 and options.lost_tracking > 0:
        count = max(count, 1)
    rng = generator(options.seed, index, FRAMES, 0)
    return frozenset((1 + rng.permutation(options.frames - 1)[:count]).tolist())
