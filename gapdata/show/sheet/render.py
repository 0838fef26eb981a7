"""From a cloud and a viewpoint to a shaded picture, by one of two renderers.

``software`` (:mod:`gapdata.show.sheet.splat`) is the default: it runs anywhere, gives the same bytes anywhere and
closes surfaces. ``open3d`` (:mod:`gapdata.show.sheet.offscreen`) draws fixed-size points through Filament where the
machine can. ``GAPDATA_RENDERER`` chooses one; ``auto`` is Open3D where it draws something, software otherwise.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import UsageError
from gapdata.show.scene.cloud import PointCloud
from gapdata.show.scene.palette import PANEL_BOTTOM, PANEL_TOP
from gapdata.show.sheet.offscreen import OffscreenFailure, render_offscreen
from gapdata.show.sheet.splat import SUPERSAMPLING, Rendering, render_splats
from gapdata.show.sheet.viewpoint import Viewpoint

RENDERER_VARIABLE = "GAPDATA_RENDERER"
RENDERERS = ("software", "open3d", "auto")

EDGE_RADIUS = 3
"""Distance in supersampled pixels at which eye-dome lighting compares depths."""
SMALLEST_ISLAND = 600
"""Supersampled pixels; about the area of 15 samples in the nearest view."""
STEEPEST_SURFACE = 2.5
"""Slope (depth per width, both in metres) above which a change of depth is an edge rather than a slanted surface."""


def chosen_renderer() -> str:
    """``software``, ``open3d`` or ``auto``, from the environment.

    Raises:
        UsageError: the variable names none of them.
    """
    name = os.environ.get(RENDERER_VARIABLE, "software").lower()
    if name not in RENDERERS:
        raise UsageError(f"{RENDERER_VARIABLE} is {name!r}", cure=f"set it to one of {', '.join(RENDERERS)}")
    return name


def render_views(
    cloud: PointCloud, views: dict[str, Viewpoint], renderer: str
) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """A picture (h, w, 3) uint8 RGB and its depth (h, w) in metres (inf where nothing is) for each view.

    Raises:
        UsageError: Open3D was demanded and cannot render here.
    """
    renderings = _open3d_renderings(cloud, views, renderer) if renderer != "software" else None
    if renderings is None:
        renderings = {name: render_splats(cloud, view) for name, view in views.items()}
    return {name: _finished(renderings[name], view) for name, view in views.items()}


def _open3d_renderings(cloud: PointCloud, views: dict[str, Viewpoint], renderer: str) -> dict[str, Rendering] | None:
    """Open3D's pictures; None where it has none and ``auto`` allows the other renderer."""
    try:
        return render_offscreen(cloud, views)
    except OffscreenFailure as failure:
        if renderer == "auto":
            return None
        raise UsageError(
            f"Open3D cannot render off screen here ({failure})",
            cure=f"install a Vulkan driver (libvulkan1, mesa-vulkan-drivers) or set {RENDERER_VARIABLE}=software",
        ) from failure


def _finished(rendering: Rendering, view: Viewpoint) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Shade, put on the background and reduce to the view's size."""
    import cv2

    height, width = rendering.depth.shape
    focal = view.camera.fx * SUPERSAMPLING
    depth = without_specks(rendering.depth)
    covered = np.isfinite(depth)
    shaded = rendering.colors * eye_dome(depth, focal)[..., None]
    down = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None, None]
    background = np.array(PANEL_TOP, dtype=np.float32) * (1 - down) + np.array(PANEL_BOTTOM, dtype=np.float32) * down
    picture = np.where(covered[..., None], shaded, background).astype(np.float32)
    size = (width // SUPERSAMPLING, height // SUPERSAMPLING)
    blocks = depth.reshape(size[1], SUPERSAMPLING, size[0], SUPERSAMPLING)
    reduced = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.rint(np.clip(reduced, 0, 255)).astype(np.uint8), blocks.min(axis=(1, 3))


def without_specks(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """The depth (H, W) without islands below ``SMALLEST_ISLAND``: what culling leaves of a wall seen from behind."""
    import cv2

    _, island, stats, _ = cv2.connectedComponentsWithStats(np.isfinite(depth).astype(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < SMALLEST_ISLAND
    small[0] = False
    return np.where(small[island], np.float32(np.inf), depth)


def eye_dome(depth: NDArray[np.float32], focal: float) -> NDArray[np.float32]:
    """Eye-dome lighting: how bright (H, W) in (0, 1] a pixel stays, the darker the more neighbours stand before it.

    After Boucheny (2009), with the step measured against the pixel's own size in metres, so that one strength suits
    every zoom.
    """
    height, width = depth.shape
    reach = EDGE_RADIUS
    padded = np.pad(depth, reach, constant_values=np.inf)
    near = np.where(np.isfinite(depth), depth, np.float32(1.0))
    pixel = near * np.float32(reach / focal)
    steps = np.zeros_like(near)
    for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1), (-0.7, -0.7), (-0.7, 0.7), (0.7, -0.7), (0.7, 0.7)):
        top, left = reach + round(dy * reach), reach + round(dx * reach)
        neighbour = padded[top : top + height, left : left + width]
        steps += np.clip((near - neighbour) / pixel - STEEPEST_SURFACE, 0.0, 12.0)
    return np.exp(-0.011 * steps)
