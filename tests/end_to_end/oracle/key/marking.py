"""Mark an answer: read the question, answer it anew, and compare."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.end_to_end.oracle.key import about_frames, about_marks, about_objects, about_places, about_ways
from tests.end_to_end.oracle.key.grammar import LETTERS, Asked, parse, render
from tests.end_to_end.oracle.key.names import WrongName
from tests.end_to_end.oracle.key.verdict import Verdict, View

ANSWERS: Mapping[str, Callable[[Asked, View], Verdict]] = {
    "count": about_objects.count,
    "distance": about_objects.distance,
    "nearest": about_objects.nearest,
    "size": about_objects.size,
    "room": about_objects.room,
    "direction": about_places.direction,
    "order": about_frames.order,
    "camera_distance": about_frames.camera_distance,
    "camera_motion": about_frames.camera_motion,
    "camera_direction": about_frames.camera_direction,
    "imagined_view": about_places.imagined_view,
    "pixel_depth": about_marks.pixel_depth,
    "depth_order": about_marks.depth_order,
    "relation": about_frames.relation,
    "correspondence": about_marks.correspondence,
    "route": about_ways.route,
}
DECIMALS = {"count": 0, "size": 0, "room": 1}
BARE = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What the key says about a question and its answer."""

    asked: Asked
    verdict: Verdict
    deviation: float
    """Of a number: how far it is from the key's; of a letter 0."""
    said: str
    """What answer class was given: a letter's text, or the sign of a number."""
    faults: tuple[str, ...]


def mark_answer(text: str, answer: str, view: View, value: float | None = None, margin: float | None = None) -> Mark:
    """Compare an answer, and the provenance where it is given, with the key's.

    Args:
        text: of the question.
        answer: the number or the letter.
        view: what it is about.
        value: that the question says decides it.
        margin: by which it says ``value`` may be off.

    Raises:
        NotUnderstood: the grammar does not have the text.
    """
    asked = parse(text)
    faults = [] if render(asked) == text else ["written again, the question reads otherwise"]
    try:
        verdict = ANSWERS[asked.kind](asked, view)
    except WrongName as error:
        verdict = Verdict(problems=(str(error),))
        return Mark(asked=asked, verdict=verdict, deviation=0.0, said="", faults=(str(error),))
    faults += verdict.problems
    if verdict.number is None:
        faults += _letter_faults(asked, verdict, answer)
        said = _letter_class(asked, answer)
        if value is not None and verdict.figure is not None:
            apart = abs(value - verdict.figure)
            if asked.kind in ("direction", "route"):
                apart = abs((apart + 180) % 360 - 180)
            if not apart <= verdict.near:
                faults.append(f"{value:.3f} is said to decide it, and not {verdict.figure:.3f}")
        if margin is not None and not 0 < margin < 360:
            faults.append(f"the margin is {margin}")
        return Mark(asked=asked, verdict=verdict, deviation=0.0, said=said, faults=tuple(faults))
    deviation, more = _number_faults(asked, verdict, answer)
    if value is not None and not abs(value - verdict.number) <= verdict.tolerance + 1e-9:
        more.append(f"the unrounded answer is said to be {value:.4f}")
    said = answer if asked.kind == "count" else "negative" if answer.startswith("-") else "positive"
    return Mark(asked=asked, verdict=verdict, deviation=deviation, said=said, faults=(*faults, *more))


def decimals_of(asked: Asked) -> int:
    """Return the decimals that a number answer has."""
    return 0 if asked.form.startswith("turn ") else DECIMALS.get(asked.kind, 2)


def _letter_class(asked: Asked, answer: str) -> str:
    place = LETTERS.find(answer)
    return asked.options[place] if 0 <= place < len(asked.options) else ""


def _letter_faults(asked: Asked, verdict: Verdict, answer: str) -> list[str]:
    right = [letter for letter, fits in zip(LETTERS, verdict.right, strict=False) if fits]
    if len(right) != 1:
        return [f"{len(right)} options are right"]
    return [] if right[0] == answer else [f"{answer} is not right, but {right[0]}: {_letter_class(asked, right[0])}"]


def _number_faults(asked: Asked, verdict: Verdict, answer: str) -> tuple[float, list[str]]:
    if not BARE.fullmatch(answer):
        return math.inf, [f"{answer!r} is not a bare number"]
    decimals = decimals_of(asked)
    faults = [] if len(answer.partition(".")[2]) == decimals else [f"{answer} does not have {decimals} decimals"]
    assert verdict.number is not None
    deviation = abs(float(answer) - verdict.number)
    if deviation > verdict.tolerance + 0.5 * 10**-decimals + 1e-9:
        faults.append(f"{answer} should be {verdict.number:.4f}")
    return deviation, faults
