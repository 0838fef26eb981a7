"""The recipe of a build: which views it makes of a scan, at which size, and with which prompts.

The text below each field is its documentation in ``manifests/README.md``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from gapdata.files.storage import Location
from gapdata.geometry.block_sizes import PATCH, near_sizes
from gapdata.recipes.bounds import Bounds, Count, NotNegative, Positive, PositiveCount, Share
from gapdata.recipes.recipe_files import recipe_file
from gapdata.recipes.toml_fields import read_toml
from gapdata.recipes.typed_fields import require

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
    """Width and height of stored images in pixels, both multiples of 16, the side of Qwen3-VL's patches. The model sees
    images with multiples of 32, the side of its visual tokens, whole and without resizing."""
    jpeg_quality: Annotated[int, Bounds(1, 100)] = 92
    """Quality of stored JPEGs, 1 to 100; a frame that already has the size of stored images keeps its own JPEG."""
    pointmap_stride: PositiveCount = 8
    """The stored pointmap has one pixel for each ``stride`` x ``stride`` pixels of the image; the full pointmap follows
    from depth and cameras."""
    near: Positive = 0.1
    """Depth below this many metres counts as invalid."""
    far: Annotated[float, Bounds(0, MAX_DEPTH, above=True)] = 15.0
    """Depth beyond this many metres counts as invalid (ScanNet's own projections use 0.1 to 15 m)."""
    min_confidence: Annotated[int, Bounds(0, 2)] = 1
    """Leave out depth of which the sensor is less sure, where the source says so: 0 keeps all, 1 leaves out what phones
    call low (edges that were filled in from colour), 2 also what they call medium."""
    upright: bool = True
    """Turn the frames of a scan by the quarter turns that bring gravity to their lower edge, where the source tells the
    vertical. One turn holds for the whole scan; records tell it (``turned``). Otherwise frames stay as captured."""
    portrait: Literal["swap", "crop"] = "swap"
    """``swap``: scans with frames that are higher than wide are stored with the sides of ``image_size`` swapped.
    ``crop``: they are cut to its shape as others are."""
    min_valid_depth: Share = 0.05
    """Smallest share of valid depth; frames with less do not enter a view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRecipe:
    """``[clips]``: frames that follow each other at 1 fps."""

    enabled: bool = True
    """Make clips."""
    frames: FrameCount = 4
    """Number of frames in a clip."""
    interval: PositiveCount = 30
    """Raw frames between two frames of a clip: 30 at 30 Hz is one second."""
    step: PositiveCount = 30
    """Raw frames between the starts of two clips."""
    max_shift: Count = 3
    """A frame without a valid pose is replaced by the nearest frame with one, at most this many raw frames away."""
    unbroken: bool = False
    """Make a clip only where every ``step``-th raw frame in it has a valid pose, as VG-LLM does with a step of 10."""
    max_per_evaluation_scan: Count = 0
    """Most clips of a scan outside the training split, drawn at random (VG-LLM: 10); 0 takes all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneViewRecipe:
    """``[scene_views]``: frames spread evenly over a whole scan."""

    enabled: bool = True
    """Make scene views."""
    frames: FrameCount = 32
    """Number of frames in a view; a shorter scan gives fewer."""
    grid: PositiveCount = 1
    """Raw frames between two frames that a view may choose from (VG-LLM: 10)."""
    rotate: bool = False
    """Begin a view at a random frame and go on from the scan's beginning after its end, as VG-LLM's training does."""
    per_description: Count = 0
    """Views that each description has for itself (VG-LLM: 2), drawn until one shows the object; 0 uses one view for all
    descriptions of a scene. More than 0 needs EmbodiedScan's file, which tells the frames that show an object."""
    attempts: PositiveCount = 20
    """Times that a description's view is drawn; after that, a frame that shows the object replaces its last frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AroundRecipe:
    """``[around]``: the frame that shows a described object best, and its neighbours, for grounding's second stage."""

    enabled: bool = False
    """Make these views; they need scene views and descriptions of objects."""
    reach: PositiveCount = 90
    """Raw frames on either side of the chosen frame. The view has the frames after it first, then those before it, each
    from the nearest on."""
    interval: PositiveCount = 10
    """Raw frames between two neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRecipe:
    """``[objects]``: the source of boxes and names."""

    source: Literal["mesh", "embodiedscan"] = "mesh"
    """``mesh``: the instances of the labelled mesh. ``embodiedscan``: only instances that EmbodiedScan has a box for,
    with its oriented box and name; its boxes themselves for a scan without labelled vertices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationRecipe:
    """``[annotations]``: how the files named with ``--annotations`` are used."""

    splits: bool = False
    """Take the split of a scene from the first file that has the scene, and leave out scenes that no file has.
    Otherwise take the data set's split. The two differ: EmbodiedScan's ``val`` is a part of ScanNet's ``train``."""
    allow_overlap: bool = False
    """Build scenes that one file trains on and another evaluates on, and files whose split contradicts the data set's;
    the report names them."""
    conversations: bool = False
    """Make a view for each list of frames that a file asks about (GAP-MLLM's, VG-LLM's, SPAR's), besides the views
    above, and put questions about a whole scan (VSI-Bench's, ScanQA's, SQA3D's) to its scene view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRecipe:
    """``[instances]``: instance masks."""

    route: Literal["rendered", "projected"] = "rendered"
    """``rendered``: cast rays onto the labelled mesh and compare with the sensor's depth; this needs only the mesh.
    ``projected``: take the masks of ScanNet's own ``<scene>_2d-instance-filt.zip``."""
    of_boxes: Literal["depth", "mesh"] = "depth"
    """For objects that the source gives as boxes only. ``depth``: a pixel shows the smallest box that its depth lies
    in, or else is less than 3 cm away from. ``mesh``: the vertices of the scan's mesh inside a box are the object's,
    and rays are cast as for other meshes. Records tell it (``masks``)."""
    tolerance: NotNegative = 0.1
    """Metres by which the depth of mesh and sensor may differ; a pixel that differs more counts as showing something
    that the mesh lacks."""
    relative_tolerance: NotNegative = 0.05
    """The same as a share of the depth; the larger of the two counts."""
    min_visible_pixels: Count = 20
    """A view lists an object only if at least this many of its pixels are visible in one frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRecipe:
    """``[prompts]``: marked pixels."""

    per_view: Annotated[int, Bounds(0, 255)] = 16
    """Most marked pixels in a view, at most 255, because a mask has 8 bits; 0 for none."""
    per_object: PositiveCount = 2
    """Most marked pixels on one object."""
    border: Annotated[int, Bounds(0, 255)] = 4
    """Distance in pixels of the stored image that a marked pixel keeps from the border of its object, from invalid
    depth and from the border of the image."""
    spacing: Count = 24
    """Distance in pixels of the stored image between two marked pixels of one frame."""
    mark_native_width: Positive = 1296.0
    """Image width in pixels at which the mark has GAP-MLLM's native size; a smaller number draws a larger mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRecipe:
    """``[quality]``: views with frames that do not agree with each other, which shows wrong poses, are quarantined.

    A frame is judged by most of its pairs with other frames, a view by its worst frame. The figures of a view are in
    its record and in ``index.parquet``, so that training can be stricter (``data.max_misalignment`` of its recipe).
    """

    max_misalignment: Positive = 0.06
    """Most metres by which a frame must be moved to agree with most of its neighbours in time."""
    max_residual: Positive = 2.0
    """Largest distance between the surfaces of two frames, in the median, as a multiple of what sensor noise and 5 mm
    of pose error explain; most pairs of a frame with its neighbours in time must keep it. Wrong focal lengths and depth
    scales show here."""
    max_free_space: Share = 0.25
    """Largest share of a frame's surfaces that lie where most of its neighbours in time saw free space. Not 0, because
    people walk through scans."""
    drift: Annotated[float, Bounds(1)] = 2.0
    """Factor by which the limits above are wider for frames that are not neighbours in time, because poses drift, and
    for frames that overlap by less than ``min_overlap``, but by at least half of it."""
    max_unshared: Share = 0.5
    """Largest share of neighbouring frames, at most a second apart, that do not have a surface in common, in a view and
    in a whole scan; 1 allows any."""
    min_overlap: Annotated[float, Bounds(0, 1, above=True)] = 0.2
    """Share of two frames that must show the same surface for the two to count as neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecipe:
    """``[shards]``: how records are distributed over files."""

    scenes_per_shard: PositiveCount = 4
    """Scenes in one tar. Fewer let more workers share the work, more make fewer files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A whole recipe. ``seed``, together with an item's key, decides every random choice about the item."""

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
        """Return nested plain types, as they would be read from TOML."""
        return dataclasses.asdict(self)


def read_recipe(path: Path | None, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file (or take the defaults) and apply ``key=value`` overrides such as ``clips.step=10``.

    ``path`` may also be the name of one of this package's recipes (:func:`gapdata.recipes.recipe_files.recipe_file`).

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
