"""Writes a dataset of synthetic scans in ScanNet's file formats.

A scene is a pure function of (seed, scene index), so scenes are rendered by as many processes as there are cores and
the same options always give the same bytes. Rendering uses one thread per process: less than half of a frame's time is
ray casting, the rest is array code on one core, so a process per core uses a machine better than threads within one.
"""

from __future__ import annotations

import multiprocessing
import shutil
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import UsageError
from gapdata.files.atomic import write_atomically
from gapdata.geometry.camera import Intrinsics
from gapdata.runtime.cores import available_cores
from gapdata.synthetic import annotation_files as files
from gapdata.synthetic.categories import labels_table
from gapdata.synthetic.motion import imu_samples
from gapdata.synthetic.releases.facts import SceneFacts, gather_facts
from gapdata.synthetic.releases.sightings import Sightings
from gapdata.synthetic.releases.writing import write_masks, write_releases
from gapdata.synthetic.render import Renderer, camera_rays, cast, object_ids
from gapdata.synthetic.scene import FRAMES, LAYOUT, Scene, build_scene, generator, scene_name
from gapdata.synthetic.sensor import ColorCamera, DepthCamera, jpeg
from gapdata.synthetic.survey import scan_poses
from gapdata.synthetic.trajectory import RATE

# A typical ScanNet calibration (iPad colour camera and Structure Sensor) at full size.
COLOR_CAMERA = Intrinsics(fx=1170.187988, fy=1170.187988, cx=647.75, cy=483.75, width=1296, height=968)
DEPTH_CAMERA = Intrinsics(fx=571.623718, fy=571.623718, cx=319.5, cy=239.5, width=640, height=480)
FIRST_TIMESTAMP = 1_000_000  # microseconds
MAX_OBJECTS = 254  # an 8-bit instance mask stores object id + 1

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisOptions:
    """What to synthesise.

    Args:
        scenes: annotated scenes; the last quarter, at least one of two or more, is the validation split.
        test_scenes: scenes besides without annotation, under ``scans_test/``.
        frames: frames of each scene, at 30 Hz.
        seed: equal seeds give equal bytes.
        color_size, depth_size: (width, height) in pixels.
        noise: strength of sensor noise and holes; 0 gives exact depth, rounded to millimetres.
        shared_camera: colour and depth share one camera, of ``depth_size``.
        lost_tracking: share of frames without a pose; at least one of 50 or more, never the first.
        annotations: write what others publish besides: boxes, descriptions, proposals, conversations.
        overwrite: replace scenes that exist.
    """

    scenes: int = 4
    test_scenes: int = 0
    frames: int = 120
    seed: int = 0
    color_size: tuple[int, int] = (1296, 968)
    depth_size: tuple[int, int] = (640, 480)
    noise: float = 1.0
    shared_camera: bool = False
    lost_tracking: float = 0.02
    annotations: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.scenes < 0 or self.test_scenes < 0 or self.scenes + self.test_scenes < 1:
            raise UsageError(
                f"{self.scenes} scenes and {self.test_scenes} test scenes are not a dataset", cure="ask for one"
            )
        if self.frames < 1 or self.noise < 0 or not 0 <= self.lost_tracking < 1 or self.seed < 0:
            raise UsageError(
                "frames must be at least 1, noise and seed at least 0, lost_tracking at least 0 and below 1"
            )
        if min(*self.color_size, *self.depth_size) < 16:
            raise UsageError(
                f"images of {self.color_size} and {self.depth_size} are too small", cure="use 16 pixels or more"
            )

    @property
    def cameras(self) -> tuple[Intrinsics, Intrinsics]:
        """Of colour and depth, as they are written: float32."""
        color, depth = COLOR_CAMERA.resized(*self.color_size), DEPTH_CAMERA.resized(*self.depth_size)
        if self.shared_camera:
            color = depth
        return _as_float32(color), _as_float32(depth)

    @property
    def scene_ids(self) -> list[str]:
        """Annotated scenes first, then test scenes."""
        return [scene_name(index) for index in range(self.scenes + self.test_scenes)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the whole dataset needs to know of a finished scene."""

    instances: dict[str, int]  # by category; none of a test scene
    facts: SceneFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What a camera sees, from the ray caster itself."""

    points: NDArray[np.float32]  # (H, W, 3) metres, unaligned world, NaN where nothing is hit
    depth: NDArray[np.float32]  # (H, W) z-depth in metres, NaN where nothing is hit
    object_ids: NDArray[np.int32]  # (H, W), -1 none


def _as_float32(camera: Intrinsics) -> Intrinsics:
    fx, fy, cx, cy = (float(np.float32(v)) for v in (camera.fx, camera.fy, camera.cx, camera.cy))
    return Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=camera.width, height=camera.height)


def scene_index(scene_id: str) -> int:
    """The index that a scene's name carries."""
    return int(scene_id.removeprefix("scene").partition("_")[0])


def lost_frames(options: SynthesisOptions, index: int) -> NDArray[np.int64]:
    """Frames of a scene whose pose is written as -inf."""
    count = round(options.lost_tracking * options.frames)
    if options.frames >= 50 and options.lost_tracking > 0:
        count = max(count, 1)
    rng = generator(options.seed, index, FRAMES, 0)
    return np.sort(1 + rng.permutation(options.frames - 1)[:count])


def render_truth(
    scene_id: str,
    options: SynthesisOptions,
    frame: int,
    camera: Intrinsics | None = None,
    *,
    scene: Scene | None = None,
) -> Truth:
    """What a frame's camera (colour unless given) truly sees, recomputed from the seed alone.

    ``scene`` spares building the scene again when many frames are asked for.
    """
    chosen = options.cameras[0] if camera is None else camera
    built = build_scene(options.seed, scene_index(scene_id)) if scene is None else scene
    pose = scan_poses(built, options.frames)[frame]
    rays = camera_rays(chosen, pose).reshape(-1, 6)
    hits = cast(built, rays)
    depth = np.where(hits.triangle >= 0, hits.distance, np.nan).astype(np.float32)
    shape = (chosen.height, chosen.width)
    points = (rays[:, :3].astype(np.float64) + depth[:, None] * rays[:, 3:].astype(np.float64)).astype(np.float32)
    return Truth(
        points=points.reshape(*shape, 3), depth=depth.reshape(shape), object_ids=object_ids(built, hits).reshape(shape)
    )


def synthesise_scene(
    out: Path, scene_id: str, options: SynthesisOptions, *, progress: Progress | None = None
) -> dict[str, int]:
    """Write one scene below ``out``; a test scene when its index is not below ``options.scenes``.

    Returns:
        Instances by category.

    Raises:
        UsageError: the scene's folder has content and ``options.overwrite`` is off.
    """
    return _make_scene(out, scene_id, options, progress).instances


def _make_scene(out: Path, scene_id: str, options: SynthesisOptions, progress: Progress | None) -> Outcome:
    import cv2

    index = scene_index(scene_id)
    annotated = index < options.scenes
    folder = out / ("scans" if annotated else "scans_test") / scene_id
    if folder.exists() and any(folder.iterdir()):
        if not options.overwrite:
            raise UsageError(
                "the folder has content", path=folder, scene=scene_id, cure="choose another one or overwrite it"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = files.scene_paths(folder, scene_id)
    sightings = None
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        scene = build_scene(options.seed, index)
        if len(scene.labels) > MAX_OBJECTS:
            raise UsageError(
                f"{len(scene.labels)} objects do not fit an 8-bit mask", scene=scene_id, cure="use another seed"
            )
        poses = scan_poses(scene, options.frames)
        color, depth = options.cameras
        if annotated and options.annotations:
            sightings = Sightings(scene=scene, camera=color)
        imu = _write_frames(scene, options, poses, paths, sightings, annotated=annotated, progress=progress)
    finally:
        cv2.setNumThreads(threads)
    write_atomically(paths["mesh"], files.ply_bytes(scene))
    facts = None
    if annotated:
        segments = files.segment_ids(scene)
        write_atomically(paths["segments"], files.segments_json(scene, segments))
        aggregation = files.aggregation_json(scene, segments, generator(options.seed, index, LAYOUT))
        write_atomically(paths["aggregation"], aggregation)
        if sightings is not None:
            facts, masks = gather_facts(scene, sightings, segments, aggregation, depth)
            write_masks(out, scene_id, masks)
    text = files.meta_text(scene, color, depth, options.frames, imu, annotated=annotated)
    write_atomically(paths["meta"], text.encode())
    return Outcome(instances=dict(Counter(scene.labels)) if annotated else {}, facts=facts)


def _write_frames(
    scene: Scene, options: SynthesisOptions, poses: NDArray[np.float64], paths: dict[str, Path],
    sightings: Sightings | None, *, annotated: bool, progress: Progress | None,
) -> int:  # fmt: skip
    """The ``.sens`` file and the 2D masks; the number of IMU records."""
    from gapdata.synthetic.sens_writer import SensWriter

    seed, index = options.seed, scene.index
    color_intrinsics, depth_intrinsics = options.cameras
    renderer = Renderer(scene)
    setup = generator(seed, index, FRAMES, 1)
    color_camera = ColorCamera(color_intrinsics.width, color_intrinsics.height, options.noise, setup)
    depth_camera = DepthCamera(depth_intrinsics.width, depth_intrinsics.height, options.noise, setup)
    masks = files.MaskArchives(scene)
    lost = {int(frame) for frame in lost_frames(options, index)}
    times = FIRST_TIMESTAMP + np.round(np.arange(options.frames) * (1e6 / RATE)).astype(np.int64)
    samples = imu_samples(poses, times, generator(seed, index, FRAMES, 3))
    with SensWriter(
        paths["sens"], color_intrinsics=color_intrinsics, depth_intrinsics=depth_intrinsics, depth_to_color=np.eye(4)
    ) as writer:
        for frame, pose in enumerate(poses):
            rng = generator(seed, index, FRAMES, 2, frame)
            radiance, ids = renderer.color(color_intrinsics, pose)
            image = color_camera.develop(radiance, rng)
            depth = depth_camera.measure(renderer.depth(depth_intrinsics, pose), rng)
            known = frame not in lost
            writer.write(
                color=jpeg(image), depth=depth, camera_to_world=pose if known else np.full((4, 4), -np.inf),
                color_timestamp=int(times[frame]), depth_timestamp=int(times[frame]),
            )  # fmt: skip
            masks.add(frame, ids if known else np.full_like(ids, -1))
            if sightings is not None and known:
                sightings.add(frame, pose, ids)
            if progress is not None:
                progress(1)
        writer.write_imu(samples)
    if annotated:
        for name, data in masks.contents().items():
            write_atomically(paths[name], data)
    return len(samples)


def synthesise_dataset(
    out: Path, options: SynthesisOptions, *, progress: Progress | None = None, workers: int | None = None
) -> list[str]:
    """Write all scenes, the label table and the split files below ``out``.

    Args:
        progress: called with numbers of finished frames.
        workers: processes, by default one per core that may be used.

    Returns:
        The scene ids, annotated ones first.

    Raises:
        UsageError: a scene's folder has content and ``options.overwrite`` is off.
    """
    ids = options.scene_ids
    for position, scene_id in enumerate(ids):
        folder = out / ("scans" if position < options.scenes else "scans_test") / scene_id
        if not options.overwrite and folder.exists() and any(folder.iterdir()):
            raise UsageError(
                "the folder has content", path=folder, scene=scene_id, cure="choose another one or overwrite it"
            )
    out.mkdir(parents=True, exist_ok=True)
    count = min(workers or available_cores(), len(ids))
    if count <= 1:
        outcomes = [_make_scene(out, scene_id, options, progress) for scene_id in ids]
    else:
        outcomes = _in_processes(out, ids, options, progress, count)
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total.update(outcome.instances)
    write_atomically(out / "scannetv2-labels.combined.tsv", labels_table(total).encode())
    validation = max(1, options.scenes // 4) if options.scenes >= 2 else 0
    splits = {
        "train": ids[: options.scenes - validation],
        "val": ids[options.scenes - validation : options.scenes],
        "test": ids[options.scenes :],
    }
    for name, members in splits.items():
        write_atomically(out / f"scannetv2_{name}.txt", "".join(f"{scene_id}\n" for scene_id in members).encode())
    if options.annotations:
        write_releases(out, [outcome.facts for outcome in outcomes if outcome.facts is not None], splits)
    return ids


def _in_processes(
    out: Path, ids: list[str], options: SynthesisOptions, progress: Progress | None, count: int
) -> list[Outcome]:
    """All scenes by spawned processes: Open3D's threads do not survive a fork."""
    context = multiprocessing.get_context("spawn")
    finished: Queue[int] = context.Queue()
    with ProcessPoolExecutor(count, mp_context=context, initializer=_share_queue, initargs=(finished,)) as pool:
        futures = [pool.submit(_scene_task, out, scene_id, options) for scene_id in ids]
        pending: set[Future[Outcome]] = set(futures)
        while pending:
            done, pending = wait(pending, timeout=0.3, return_when=FIRST_COMPLETED)
            for future in done:
                if future.exception() is not None:
                    pool.shutdown(cancel_futures=True)
                    future.result()
            _report(finished, progress)
    _report(finished, progress)
    return [future.result() for future in futures]


def _report(finished: Queue[int], progress: Progress | None) -> None:
    while True:
        try:
            frames = finished.get_nowait()
        except Empty:
            return
        if progress is not None:
            progress(frames)


_finished: Queue[int] | None = None


def _share_queue(queue: Queue[int]) -> None:
    global _finished
    _finished = queue


def _scene_task(out: Path, scene_id: str, options: SynthesisOptions) -> Outcome:
    queue = _finished
    return _make_scene(out, scene_id, options, None if queue is None else queue.put)
