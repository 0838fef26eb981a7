"""The window's keys: the state of the window is a pure function of the keys that were pressed; the window draws it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gapdata.show.scene.exhibit import Exhibit
from gapdata.show.scene.modes import MODES
from gapdata.show.scene.pieces import Label, Piece, exhibit_pieces

LEFT, RIGHT = "left", "right"
MODE_KEYS: Mapping[str, str] = {str(place): mode for place, mode in enumerate(MODES, start=1)}
LABELS = "labels"
GROUP_KEYS: Mapping[str, str] = {
    "c": "cameras",
    "b": "boxes",
    "p": "prompts",
    "a": "answers",
    "g": "room",
    "l": LABELS,
}
HELP = (
    "keys: "
    + "  ".join(f"{key} {mode}" for key, mode in MODE_KEYS.items())
    + "   left/right previous/next   "
    + "  ".join(f"{key.upper()} {group}" for key, group in GROUP_KEYS.items())
    + "   R reset   Q close"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowState:
    """The record that is shown, what colours it, and what is hidden."""

    position: int = 0
    mode: str = "rgb"
    hidden: frozenset[str] = frozenset()  # of pieces.GROUPS, and LABELS


def pressed(state: WindowState, key: str, count: int) -> WindowState:
    """Return the state after a key; keys without meaning change nothing.

    The last of ``count`` records is followed by the first.
    """
    if key in (LEFT, RIGHT):
        return replace(state, position=(state.position + (1 if key == RIGHT else -1)) % count)
    if key in MODE_KEYS:
        return replace(state, mode=MODE_KEYS[key])
    if key in GROUP_KEYS:
        return replace(state, hidden=state.hidden ^ {GROUP_KEYS[key]})
    return state


def window_title(state: WindowState, name: str, count: int) -> str:
    """Return the name of the record, its number of ``count``, and the colour mode."""
    return f"gapdata view: {name} ({state.position + 1} of {count}), {state.mode}"


def shown_pieces(exhibit: Exhibit, state: WindowState) -> dict[str, Piece]:
    """Return the pieces beside the points that a state shows, by ``group/name``."""
    return {
        f"{group}/{name}": piece
        for group, pieces in exhibit_pieces(exhibit).items()
        if group not in state.hidden
        for name, piece in pieces.items()
        if not (isinstance(piece, Label) and LABELS in state.hidden)
    }
