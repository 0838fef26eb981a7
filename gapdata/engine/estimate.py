"""Estimate what a build will take, before it is made: bytes and minutes from a model per frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gapdata.engine.advice import Unaligned
from gapdata.engine.plan import Plan, ScenePlan
from gapdata.engine.recipe import Recipe
from gapdata.engine.report_text import unaligned_text
from gapdata.runtime.counting import counted, few
from gapdata.sources.base import Dataset

NAMED_SCENES = 5

BYTES_PER_PIXEL = {"jpg at quality 92": 0.22, "depth.png": 0.5, "instance.png": 0.04, "prompt.png": 0.004}
"""Bytes of stored members, measured on real indoor frames (Redwood) and noisy synthetic ones at 512x384. Other JPEG
qualities scale by :data:`JPEG_SCALE`."""
JPEG_SCALE = {100: 2.8, 95: 1.33, 92: 1.0, 85: 0.71, 75: 0.52, 50: 0.34, 1: 0.1}
"""Size of a JPEG relative to quality 92, measured on the same frames; qualities between these are interpolated."""
RECORD_BYTES = 20_000
"""JSON and tar headers of a record."""
SECONDS_PER_FRAME = 0.08
"""CPU seconds to decode, register, render and encode one distinct frame of 512x384 (60 to 100 ms measured)."""
SECONDS_PER_VIEW_FRAME = 0.006
"""CPU seconds for each frame of each view: pointmap, prompts, quality, writing."""
SCENE_SECONDS = 1.5
"""Mesh, boxes and ray casting structure of an annotated scene of full size."""
REFERENCE_PIXELS = 512 * 384


def expected_bytes(scenes: Sequence[ScenePlan], recipe: Recipe) -> int:
    """Estimate the bytes of the tars that hold all planned records of these scenes."""
    width, height = recipe.frames.image_size
    jpeg = BYTES_PER_PIXEL["jpg at quality 92"] * _jpeg_scale(recipe.frames.jpeg_quality)
    stored = jpeg + sum(BYTES_PER_PIXEL[name] for name in ("depth.png", "instance.png", "prompt.png"))
    pointmap = 12 / recipe.frames.pointmap_stride**2  # float32 x, y, z
    frames = sum(scene.view_frames for scene in scenes)
    return round(frames * width * height * (stored + pointmap)) + RECORD_BYTES * sum(s.most_records for s in scenes)


def expected_seconds(scenes: Sequence[ScenePlan], recipe: Recipe) -> float:
    """Estimate the CPU seconds to build these scenes on one core; frames that views share are prepared once."""
    width, height = recipe.frames.image_size
    scale = width * height / REFERENCE_PIXELS
    clips, step = recipe.clips, max(recipe.clips.step, 1)
    distinct = 0.0
    for scene in scenes:
        whole = min(recipe.scene_views.frames, scene.frame_count) if recipe.scene_views.enabled else 0
        neighbours = scene.around * (1 + 2 * (recipe.around.reach // recipe.around.interval))
        whole += min(neighbours, scene.frame_count)
        in_clips = max(scene.view_frames - whole, 0) if clips.enabled else 0
        # If the step divides the interval, a clip shares all but one frame with the next ones.
        reused = clips.interval % step == 0
        distinct += whole + (min(in_clips, in_clips / clips.frames + clips.frames) if reused else in_clips)
    view_frames = sum(scene.view_frames for scene in scenes)
    seconds = scale * (distinct * SECONDS_PER_FRAME + view_frames * SECONDS_PER_VIEW_FRAME)
    return seconds + SCENE_SECONDS * sum(bool(scene.keys) for scene in scenes)


def missing_inputs(dataset: Dataset, scene_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the scenes without frames, which give nothing, and those without annotation, which give no prompts."""
    return {
        "without_frames": [name for name in scene_ids if dataset.kind(name) == "missing"],
        "without_annotation": [name for name in scene_ids if not dataset.annotated(name)],
    }


def plan_facts(plan: Plan, missing: Mapping[str, Sequence[str]], lacking: Unaligned) -> dict[str, Any]:
    """Return what the build will do and take.

    Args:
        plan: of the build.
        missing: from :func:`missing_inputs`.
        lacking: the scenes without an axis alignment.
    """
    scenes = plan.scenes
    kinds = Counter(scene.source_kind for scene in scenes)
    return {
        "fingerprint": plan.fingerprint,
        "shards": len(plan.shards),
        "scenes": len(scenes),
        "source_kinds": dict(sorted(kinds.items())),
        "frames": sum(scene.frame_count for scene in scenes),
        "lost_tracking": sum(scene.lost_tracking for scene in scenes),
        "records": sum(scene.most_records for scene in scenes),
        "records_are_exact": not any(scene.around for scene in scenes),
        "view_frames": sum(scene.view_frames for scene in scenes),
        "expected_bytes": expected_bytes(scenes, plan.recipe),
        "expected_cpu_seconds": round(expected_seconds(scenes, plan.recipe), 1),
        **{name: list(names) for name, names in missing.items()},
        "without_alignment": list(lacking.scene_ids),
        "descriptions_without_alignment": lacking.descriptions,
        "unreadable": {scene.scene_id: scene.problem for scene in scenes if scene.problem is not None},
    }


def format_plan(facts: Mapping[str, Any]) -> str:
    """Return the figures of :func:`plan_facts` as text for a terminal."""
    kinds = ", ".join(f"{kind} ({count})" for kind, count in facts["source_kinds"].items())
    unaligned = len(facts["without_alignment"])
    lines = [
        f"{counted(facts['scenes'], 'scene')} with {counted(facts['frames'], 'frame')} "
        f"({facts['lost_tracking']} without a pose)",
        f"   read from {kinds}",
        f"-> {'' if facts['records_are_exact'] else 'at most '}{counted(facts['records'], 'record')} with "
        f"{counted(facts['view_frames'], 'frame')} in {counted(facts['shards'], 'shard')}",
        f"estimated: {facts['expected_bytes'] / 1e9:.2f} GB, {facts['expected_cpu_seconds'] / 60:.1f} minutes on one "
        "core (within a factor of two)",
        *(
            f"{counted(len(facts[name]), 'scene')} {name.replace('_', ' ')}: {few(facts[name], NAMED_SCENES)}"
            for name in ("without_frames", "without_annotation")
            if facts[name]
        ),
        *([unaligned_text(unaligned, facts["descriptions_without_alignment"])] if unaligned else []),
        *(f"{scene_id} cannot be read: {problem}" for scene_id, problem in facts["unreadable"].items()),
    ]
    return "\n".join(lines)


def _jpeg_scale(quality: int) -> float:
    import numpy as np

    known = sorted(JPEG_SCALE)
    return float(np.interp(quality, known, [JPEG_SCALE[value] for value in known]))
