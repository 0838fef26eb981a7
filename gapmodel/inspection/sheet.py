"""The picture of an inspection: the frames, a row of gate maps for each level, a row of attention for each layer."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from gapdata.show.sheet.maps import cell_size, color_scale, greyed, heat_map, map_row, map_sheet, outline
from gapdata.show.sheet.parts import resized
from gapmodel.inspection.attention import Inspection

MAX_FRAMES, MAX_LAYERS = 8, 12
"""More are thinned evenly; the frame of the chosen patch stays."""


def inspection_sheet(found: Inspection) -> NDArray[np.uint8]:
    """Draw the picture, (H, W, 3) uint8 RGB."""
    frames = _spread(len(found.images), MAX_FRAMES, found.patch[0])
    layers = _spread(len(found.attention), MAX_LAYERS, len(found.attention) - 1)
    size = cell_size(len(frames) + 1, found.images.shape[1] / found.images.shape[2])
    pictures = {index: resized(found.images[index], size) for index in frames}
    grey = {index: greyed(found.images[index], size) for index in frames}
    own, row, column = found.patch
    mark = partial(outline, place=(row, column), grid=found.attention[0].frame.shape)

    mark(pictures[own])
    rows = [map_row("", "", [*pictures.values(), None], [*(f"frame {found.frame_ids[i]}" for i in frames), ""])]
    values = np.concatenate([gate.ravel() for gate in found.gates.values()]) if found.gates else np.zeros(1)
    low, high = (float(value) for value in np.percentile(values, [1, 99]))
    for name, gate in found.gates.items():
        maps = [heat_map(gate[index], low, high, grey[index], "VIRIDIS") for index in frames]
        means = [f"mean {gate[index].mean():.3f}" for index in frames]
        scale = color_scale(size, low, high, "VIRIDIS")
        rows.append(map_row(*name, [*maps, scale], [*means, "scale of all gates"]))
    for layer in (found.attention[index] for index in layers):
        in_view, in_frame = (max(float(np.percentile(part, 99.8)), 1e-9) for part in (layer.view, layer.frame))
        maps = [heat_map(layer.view[index], 0.0, in_view, grey[index], "INFERNO") for index in frames]
        inside = heat_map(layer.frame, 0.0, in_frame, grey[own], "INFERNO")
        for picture in (maps[frames.index(own)], inside):
            mark(picture)
        shares = [f"{100 * layer.view[index].sum():.1f} %" for index in frames]
        special = f"special tokens {100 * (1 - layer.view.sum()):.1f} %"
        texts = [*shares, f"within the frame {100 * layer.frame.sum():.1f} %"]
        rows.append(map_row(f"attention, layer {layer.layer}", special, [*maps, inside], texts))
    return map_sheet(found.title if found.gates else f"{found.title}    (this fusion has no gates)", rows)


def _spread(count: int, most: int, kept: int) -> list[int]:
    """Return at most ``most`` of ``count`` positions, evenly spread, with ``kept`` among them."""
    chosen = dict.fromkeys([kept, *np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()])
    return sorted(list(chosen)[:most])
