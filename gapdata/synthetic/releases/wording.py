"""Word references as sentences, in the lower case and the plain style of ScanRefer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from numpy.random import Generator

from gapdata.synthetic.releases.referrals import Referral
from gapdata.synthetic.releases.relations import SUPERLATIVES, Anchor, Constraint
from gapdata.synthetic.releases.vocabulary import NOUNS

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PLACES: Mapping[str, tuple[str, ...]] = {
    "on": ("on {a}", "on top of {a}"),
    "on_a": ("on {a}", "on top of {a}"),
    "under": ("under {a}", "underneath {a}"),
    "above": ("above {a}", "on the wall above {a}"),
    "below": ("under {a}", "below {a}"),
    "next_to": ("next to {a}", "beside {a}", "right by {a}"),
    "left_of": ("to the left of {a} when you face {a}", "to the left of {a} as you look at {a}"),
    "right_of": ("to the right of {a} when you face {a}", "to the right of {a} as you look at {a}"),
    "enter_left": ("on your left as you come in through {a}", "on the left when you enter through {a}"),
    "enter_right": ("on your right as you come in through {a}", "on the right when you enter through {a}"),
    "between": ("between {a} and {b}",),
    "corner": ("in the corner of the room", "in a corner of the room"),
    "closest": ("closest to {a}", "nearest to {a}"),
    "farthest": ("farthest from {a}", "farthest away from {a}"),
}
"""Phrases that follow "the chair" or "it is"; {a} and {b} are the anchors."""
EXTREMES = {
    "largest": ("largest", "larger"), "smallest": ("smallest", "smaller"), "tallest": ("tallest", "taller"),
    "shortest": ("shortest", "shorter"), "leftmost": ("leftmost", "left"), "rightmost": ("rightmost", "right"),
}  # fmt: skip
"""The words of a superlative, among many and of two."""


def describe(referral: Referral, rng: Generator) -> str:
    """Word a reference as one description; its wording is drawn."""
    told = (*referral.constraints, *referral.details)
    adjectives = _adjectives(told)
    extreme = next((c for c in told if c.relation in EXTREMES), None)
    places = [_place(c, rng) for c in told if c.relation in PLACES]
    if extreme is not None:
        return _extreme_sentence(referral, extreme, adjectives, places, rng)
    telling = [c.relation for c in referral.constraints if c.relation in PLACES]
    if telling and telling[0] in SUPERLATIVES:
        return _closest_sentence(referral, adjectives, places, rng)
    noun = " ".join([*adjectives, referral.noun.word])
    pronoun = str(rng.choice(["it", "it", "this one"]))
    style = int(rng.integers(4))
    if referral.count > 1 and places and not _adjectives(referral.constraints):
        opening = f"there are {NUMBERS[referral.count]} {referral.noun.plural} in the room."
        rest = f" it is {_joined(adjectives)}." if adjectives else ""
        return f"{opening} this is the one {_joined(places)}.{rest}"
    if not places:
        return _choice(rng, f"the {noun}.", f"this is the {noun} in the room.", f"find the {noun} in this room.")
    if style == 0:
        return f"the {noun} {_joined(places)}."
    if style == 1:
        return f"this is {_article(noun)}. {pronoun} is {_joined(places)}."
    if style == 2:
        rest = f" {pronoun} is {_joined(places[1:])}." if len(places) > 1 else ""
        return f"there is {_article(noun)} {places[0]}.{rest}"
    return f"it is the {noun} {_joined(places)}."


def tokens(text: str) -> list[str]:
    """Split a text into words and punctuation marks, as ScanRefer's ``token`` lists them."""
    return re.findall(r"[\w'-]+|[^\w\s]", text.lower())


def _extreme_sentence(
    referral: Referral, extreme: Constraint, adjectives: Sequence[str], places: Sequence[str], rng: Generator
) -> str:
    many, of_two = EXTREMES[extreme.relation]
    if referral.count == 2:
        head = f"the {of_two} of the two {referral.noun.plural}"
    elif referral.count > 2:
        head = f"the {many} of the {NUMBERS[referral.count]} {referral.noun.plural}"
    else:
        head = f"the {many} {referral.noun.word}"
    if extreme.anchors:
        view = f"facing {_name(extreme.anchors[0])}"
        sentence = _choice(rng, f"{view}, it is {head}.", f"{view}, choose {head}.", f"{head} when {view}.")
    else:
        sentence = _choice(rng, f"{head} in the room.", f"this is {head} in the room.", f"it is {head}.")
    said = [*([_article(" ".join([*adjectives, referral.noun.word]))] if adjectives else []), *places]
    return f"{sentence} it is {_joined(said)}." if said else sentence


def _closest_sentence(referral: Referral, adjectives: Sequence[str], places: Sequence[str], rng: Generator) -> str:
    first, rest, word = places[0], places[1:], referral.noun.word
    if referral.count > 1:
        head = f"of the {NUMBERS[referral.count]} {referral.noun.plural}, it is the one {first}."
    else:
        head = _choice(
            rng, f"the {word} that is {first}.", f"choose the {word} {first}.", f"this is the {word} {first}."
        )
    if adjectives:
        rest = [_article(" ".join([*adjectives, word])), *rest]
    return f"{head} it is {_joined(rest)}." if rest else head


def _adjectives(constraints: Sequence[Constraint]) -> list[str]:
    """Return colours before materials, as English orders them."""
    return [c.value for relation in ("color", "material") for c in constraints if c.relation == relation]


def _place(constraint: Constraint, rng: Generator) -> str:
    names = [_name(anchor) for anchor in constraint.anchors]
    if constraint.relation == "on_a":
        names = [_article(NOUNS[constraint.value][0].word)]
    text = _choice(rng, *PLACES[constraint.relation])
    return text.format(a=names[0] if names else "", b=names[1] if len(names) > 1 else "")


def _name(anchor: Anchor) -> str:
    return f"the {anchor.color} {anchor.word}" if anchor.color else f"the {anchor.word}"


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _choice(rng: Generator, *options: str) -> str:
    return options[int(rng.integers(len(options)))]
