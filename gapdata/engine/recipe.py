"""The recipe of a build: which views, at which size, with which prompts. A TOML file with every field documented
here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from gapdata.files.storage import Location
from gapdata.geometry.block_sizes import PATCH, near_sizes
from gapdata.recipes.bounds import Bounds, Count, Positive, PositiveCount, Share
from gapdata.recipes.recipe_files import recipe_file
from gapdata.recipes.toml_fields import read_toml, require

SIDES = (32, 8192)
"""The least and the most pixels along a side of a stored image."""
MAX_DEPTH = 65.0
"""Metres: depth is stored as 16-bit millimetres."""
MAX_NEIGHBOURS = 99
"""Frames of a view around a described object, besides the chosen one."""
FrameCount: TypeAlias = Annotated[int, Bounds(1, 100)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRecipe:
    """``[frames]``: how a frame is stored."""

    image_size: tuple[int, int] = (512, 384)
    """Width and height of stored images in pixels, both multiples of 16, Qwen3-VL's patches; multiples of 32, its
    visual tokens, can be seen whole and as they are stored."""
    jpeg_quality: Annotated[int, Bounds(1, 100)] = 92
    """Of stored images, 1 to 100; a frame that already has their size keeps its own JPEG."""
    pointmap_stride: PositiveCount = 8
    """The stored pointmap keeps one pixel in ``stride`` x ``stride``; the full one is derived from depth and
    cameras."""
    near: Positive = 0.1
    """Depth below this many metres counts as invalid."""
    far: Annotated[float, Bounds(0, MAX_DEPTH, above=True)] = 15.0
    """Depth beyond this many metres counts as invalid (ScanNet's own projections use 0.1 to 15 m)."""
    min_valid_depth: Share = 0.05
    """A frame with a smaller share of valid depth is nearly empty and never enters a view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRecipe:
    """``[clips]``: consecutive frames at 1 fps."""

    enabled: bool = True
    """Whether there are clips."""
    frames: FrameCount = 4
    """Frames of a clip."""
    interval: PositiveCount = 30
    """Raw frames between two frames of a clip: 30 at 30 Hz is one second."""
    step: PositiveCount = 30
    """Raw frames between the starts of two clips."""
    max_shift: Count = 3
    """A frame without a valid pose is replaced by its nearest neighbour within so many raw frames."""
    unbroken: bool = False
    """Only clips over which every ``step``-th raw frame has a valid pose (VG-LLM's windows over every tenth frame)."""
    max_per_evaluation_scan: Count = 0
    """So many clips, drawn at random, of a scan that is not for training (VG-LLM: 10); 0 takes all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneViewRecipe:
    """``[scene_views]``: frames spread evenly over a whole scan."""

    enabled: bool = True
    """Whether there are scene views."""
    frames: FrameCount = 32
    """Frames of a view; a shorter scan gives fewer."""
    grid: PositiveCount = 1
    """Every n-th raw frame is a candidate (VG-LLM: 10)."""
    rotate: bool = False
    """Start at a random candidate and go on from the first one after the last (VG-LLM's training views)."""
    per_description: Count = 0
    """0: one view serves all descriptions of a scene. Otherwise each description has so many views of its own (VG-LLM:
    2), drawn until one shows the object; it takes EmbodiedScan's file to know that before any frame is read."""
    attempts: PositiveCount = 20
    """Draws of a description's view; after the last one a frame that shows the object replaces the last frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AroundRecipe:
    """``[around]``: for grounding's second stage, the frame that shows a described object best, with its neighbours."""

    enabled: bool = False
    """Whether there are such views; they need scene views, and descriptions of objects."""
    reach: PositiveCount = 90
    """Raw frames on either side; those after the chosen frame come first, then those before it, nearest first."""
    interval: PositiveCount = 10
    """Raw frames between two neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRecipe:
    """``[objects]``: whose boxes and names."""

    source: Literal["mesh", "embodiedscan"] = "mesh"
    """``mesh``: the labelled mesh's instances. ``embodiedscan``: EmbodiedScan's oriented boxes and names, for the
    instances that they belong to, and only those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationRecipe:
    """``[annotations]``: what the files named with ``--annotations`` decide."""

    splits: bool = False
    """A scene is for what the first file that speaks of it is for (EmbodiedScan's ``val`` is carved from ScanNet's
    ``train``), and scenes of which no file speaks are left out. Otherwise the data set's own split counts."""
    allow_overlap: bool = False
    """Build scenes that one file trains on and another evaluates on, also such whose split in the data set contradicts
    what is said about their file; the report names them."""
    conversations: bool = False
    """Besides the views chosen above, one for each list of frames that a GAP-MLLM or VG-LLM file asks about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRecipe:
    """``[instances]``: instance masks."""

    route: Literal["rendered", "projected"] = "rendered"
    """``rendered``: by casting rays onto the labelled mesh, checked against the sensor's depth; needs no further files.
    ``projected``: ScanNet's own ``<scene>_2d-instance-filt.zip``, taken as it is."""
    tolerance: float = 0.1
    """Metres by which mesh and sensor depth may differ before a pixel of a rendered mask counts as showing something
    that the mesh lacks."""
    relative_tolerance: float = 0.05
    """The same as a share of the depth; the larger of the two holds."""
    min_visible_pixels: int = 20
    """An object that shows fewer pixels in every frame of a view is not listed in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRecipe:
    """``[prompts]``: marked pixels."""

    per_view: Annotated[int, Bounds(0, 255)] = 16
    """Most marked pixels of a view; 0 for none."""
    per_object: PositiveCount = 2
    """Most of them on one object."""
    border: Annotated[int, Bounds(0, 255)] = 4
    """Pixels of the stored image between a prompt and the border of its object, of valid depth, or of the image."""
    spacing: Count = 24
    """Pixels of the stored image between two prompts of one frame."""
    mark_native_width: Positive = 1296.0
    """Image width in pixels at which the mark has GAP-MLLM's native size; smaller draws it larger, for small images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRecipe:
    """``[quality]``: views whose frames do not agree with each other are quarantined as badly posed.

    A frame is judged by what most of its pairs say, a view by its worst frame. How many views of good scans and of bad
    ones these thresholds keep is in the table below the recipes. The figures of every view are in its record and in
    ``index.parquet``, so stricter choices can be made later (``data.max_misalignment`` of a training recipe).
    """

    max_misalignment: Positive = 0.06
    """Metres by which a frame may have to be moved to agree with most of its neighbours in time."""
    max_residual: Positive = 2.0
    """How many times further apart surfaces may lie than sensor noise and 5 mm of pose error explain, in the median of
    a pair, and for most of a frame's neighbours in time. Wrong focal lengths and depth scales show here."""
    max_free_space: Share = 0.25
    """Share of what one frame sees that may lie where most of its neighbours in time looked through. People who walk
    through a scan are the reason for the margin."""
    drift: Annotated[float, Bounds(1)] = 2.0
    """How many times as much a frame may disagree with frames that are not its neighbours in time, because poses drift,
    or that overlap by less than ``min_overlap``, but by half of it."""
    max_unshared: Share = 0.5
    """Share of neighbouring frames, at most a second apart, that may have no surface in common, in a view and in a
    whole scan; 1 allows any."""
    min_overlap: Annotated[float, Bounds(0, 1, above=True)] = 0.2
    """Share of two frames that must show the same surface for the two to count as neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecipe:
    """``[shards]``: how records are spread over files."""

    scenes_per_shard: PositiveCount = 4
    """Whole scenes in one tar; fewer spread over more workers, more make fewer files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A whole recipe. ``seed`` decides every random choice, together with the key of the item it is made for."""

    seed: int = 0
    frames: FrameRecipe = FrameRecipe()
    clips: ClipRecipe = ClipRecipe()
    scene_views: SceneViewRecipe = SceneViewRecipe()
    around: AroundRecipe = AroundRecipe()
    objects: ObjectRecipe = ObjectRecipe()
    annotations: AnnotationRecipe = AnnotationRecipe()
    instances: InstanceRecipe = InstanceRecipe()
    prompts: PromptRecipe = PromptRecipe()
    quality: QualityRecipe = QualityRecipe()
    shards: ShardRecipe = ShardRecipe()

    def to_dict(self) -> dict[str, Any]:
        """Nested plain types, as they would be read from TOML."""
        return dataclasses.asdict(self)


def read_recipe(path: Path | None, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file (or take the defaults) and apply ``key=value`` overrides such as ``clips.step=10``.

    ``path`` may also be the name of a recipe that comes along, as in :func:`gapdata.recipes.recipe_files.recipe_file`.

    Raises:
        UsageError: the file cannot be read, a field is unknown, or a value has the wrong type or is out of range.
    """
    path = recipe_file(path)
    recipe: Recipe = read_toml(Recipe, path, overrides)
    check_recipe(recipe, path)
    return recipe


def check_recipe(recipe: Recipe, path: Location | None) -> None:
    """Refuse a recipe in which fields contradict each other.

    Raises:
        UsageError: two do; the message has their names and values.
    """
    frames, clips, around = recipe.frames, recipe.clips, recipe.around
    width, height = frames.image_size
    near = near_sizes((width, height), PATCH, *SIDES) or "none"
    require(
        all(SIDES[0] <= side <= SIDES[1] and side % PATCH == 0 for side in (width, height)),
        f"frames.image_size must be two multiples of {PATCH} from {SIDES[0]} to {SIDES[1]}, not {width}x{height}"
        f" (near it: {near})",
        path,
    )
    require(
        frames.pointmap_stride <= min(width, height),
        f"frames.pointmap_stride, {frames.pointmap_stride}, must not exceed a side of the image, {width}x{height}",
        path,
    )
    require(frames.near < frames.far, f"frames.near, {frames.near}, must be below frames.far, {frames.far}", path)
    require(
        clips.max_shift < max(clips.interval / 2, 1),
        f"clips.max_shift, {clips.max_shift}, must be below half of clips.interval, {clips.interval}",
        path,
    )
    require(
        around.interval <= around.reach and 2 * (around.reach // around.interval) <= MAX_NEIGHBOURS,
        f"around.reach, {around.reach}, must be at least around.interval, {around.interval}, and give at most"
        f" {MAX_NEIGHBOURS} neighbours",
        path,
    )
    require(
        recipe.scene_views.enabled or not around.enabled,
        "around.enabled needs scene_views.enabled, which choose its frames",
        path,
    )
    require(
        clips.enabled or recipe.scene_views.enabled or recipe.annotations.conversations,
        "one of clips.enabled, scene_views.enabled and annotations.conversations must be true",
        path,
    )
