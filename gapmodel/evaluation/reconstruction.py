"""Stage 1 scores of whole scenes: the answered points as one cloud (GAP-MLLM's Acc, Comp and Overall).

All points of a scene are stacked. Accuracy is the mean distance from an answered point to the nearest true one,
completeness the mean distance from a true point to the nearest answered one, overall their mean; all in metres,
averaged over scenes. A second set follows after the similarity transform that brings the answers closest to their
truths (Umeyama 1991) and compares shape without scale and pose. The points of each view are in the camera of its own
first frame; the authors stack them nevertheless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.overlap import FAR
from gapdata.tasks.pointmap import PointmapAnswer
from gapmodel.evaluation import pointmap
from gapmodel.evaluation.compat import Compat

Points = NDArray[np.float64]  # (N, 3) metres


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudScores:
    """Distances between two clouds, metres."""

    accuracy: float
    completeness: float
    overall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneScores:
    """One scene: its clouds as they are, and after alignment."""

    scene: str
    points: int  # answered ones
    raw: CloudScores
    aligned: CloudScores


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructionScores:
    """Means over the scenes with a readable answer; NaN without such scenes."""

    scenes: tuple[SceneScores, ...]
    unanswered: tuple[str, ...]  # scenes without a readable answer
    raw: CloudScores
    aligned: CloudScores


def score(
    scenes: Sequence[str],
    answers: Sequence[str | PointmapAnswer],
    truths: Sequence[PointmapAnswer],
    *,
    compat: Compat = "none",
) -> ReconstructionScores:
    """Score the answers of each scene together.

    The true point of an answer that cannot be read still counts for completeness. The authors leave both out, and take
    the truth from the rounded text.
    """
    by_scene: dict[str, list[tuple[Points | None, Points]]] = {}
    for scene, answer, truth in zip(scenes, answers, truths, strict=True):
        read = pointmap.read_whole(answer) if compat == "gap" and isinstance(answer, str) else pointmap.read(answer)
        point = np.clip(read.point, -FAR, FAR) if isinstance(read, PointmapAnswer) else None
        true = np.array((pointmap.as_written(truth) if compat == "gap" else truth).point)
        by_scene.setdefault(scene, []).append((point, true))
    found, unanswered = [], []
    for scene, pairs in by_scene.items():
        answered = [(point, true) for point, true in pairs if point is not None]
        if not answered:
            unanswered.append(scene)
            continue
        predicted, matching = (np.array(column) for column in zip(*answered, strict=True))
        whole = matching if compat == "gap" else np.array([true for _, true in pairs])
        scale, rotation, translation = umeyama(predicted, matching)
        moved = scale * predicted @ rotation.T + translation
        found.append(
            SceneScores(
                scene=scene,
                points=len(answered),
                raw=cloud_scores(predicted, whole),
                aligned=cloud_scores(moved, whole),
            )
        )
    return ReconstructionScores(
        scenes=tuple(found),
        unanswered=tuple(unanswered),
        raw=_mean([item.raw for item in found]),
        aligned=_mean([item.aligned for item in found]),
    )


def cloud_scores(predicted: Points, true: Points) -> CloudScores:
    """Return accuracy, completeness and their mean of two clouds, (N, 3) and (M, 3)."""
    accuracy, completeness = nearest(predicted, true).mean(), nearest(true, predicted).mean()
    return CloudScores(
        accuracy=float(accuracy), completeness=float(completeness), overall=float((accuracy + completeness) / 2)
    )


def nearest(points: Points, cloud: Points) -> NDArray[np.float64]:
    """Return the distances (N,) from points (N, 3) to the nearest points of a cloud (M, 3)."""
    from open3d import geometry, utility

    clouds = [geometry.PointCloud(utility.Vector3dVector(np.ascontiguousarray(item))) for item in (points, cloud)]
    return np.asarray(clouds[0].compute_point_cloud_distance(clouds[1]))


def umeyama(source: Points, target: Points) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return the scale, rotation (3, 3) and translation (3,) that bring points (N, 3) closest to their partners (N, 3).

    This is the least-squares solution of Umeyama (1991), equations 40 to 42. Points that all coincide do not determine
    scale and rotation; then they are only moved.
    """
    center, goal = source.mean(axis=0), target.mean(axis=0)
    spread = np.square(source - center).sum(axis=1).mean()
    if spread <= 1e-18 * max(1.0, float(np.square(center).sum())):
        return 1.0, np.eye(3), goal - center
    left, values, right = np.linalg.svd((target - goal).T @ (source - center) / len(source))
    signs = np.array([1.0, 1.0, -1.0 if np.linalg.det(left) * np.linalg.det(right) < 0 else 1.0])
    rotation = (left * signs) @ right
    scale = float((values * signs).sum() / spread)
    return scale, rotation, goal - scale * rotation @ center


def _mean(scores: Sequence[CloudScores]) -> CloudScores:
    means = {
        name: float(np.mean([getattr(item, name) for item in scores])) if scores else float("nan")
        for name in ("accuracy", "completeness", "overall")
    }
    return CloudScores(**means)
