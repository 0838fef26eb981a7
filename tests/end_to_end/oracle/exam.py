"""Put the generator's questions to the key, and count what it says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gapdata.records.schema import Record
from gapdata.synthetic.dataset import SynthesisOptions
from gapdata.tasks.spatial.kind import Kind
from gapdata.tasks.spatial.kinds import KINDS, spatial_questions
from gapdata.tasks.spatial.question import SpatialQuestion
from gapdata.tasks.task import QuestionOptions
from tests.end_to_end.oracle.key.grammar import SENTENCES
from tests.end_to_end.oracle.key.lens import Lens
from tests.end_to_end.oracle.key.marking import Mark, mark_answer
from tests.end_to_end.oracle.key.true_room import TrueRoom
from tests.end_to_end.oracle.key.verdict import View
from tests.end_to_end.oracle.rooms import truth_of, view_of

ANSWERS = {
    ("direction", "sides"): {"left", "right"},
    ("direction", "thirds"): {"left", "right", "behind"},
    ("direction", "quarters"): {"front left", "front right", "back left", "back right"},
    ("relation", "side"): {"left", "right"},
    ("relation", "height"): {"above", "below"},
    ("relation", "depth"): {"nearer", "farther"},
    ("imagined_view", "side"): {"left", "right"},
    ("imagined_view", "depth"): {"nearer", "farther"},
    ("camera_direction", ""): {"forward", "backward", "left", "right", "up", "down"},
    ("route", ""): {"left", "right", "back", "straight on"},
    ("depth_order", ""): {f"cross {number}" for number in range(1, 5)},
    ("correspondence", ""): {f"cross {number}" for number in range(2, 6)},
    **{("camera_motion", way): {"positive", "negative"} for way in ("right", "up", "forward")},
    **{("camera_motion", f"turn {way}"): {"positive", "negative"} for way in ("right", "up")},
    ("count", ""): {"2", "3"},
}
"""What each sentence has to be answered with at least once; all others are answered with any number."""
MOST_LETTERS = {"camera_direction": 4, "nearest": 3}
"""Letters that are asked for at least once, where they are fewer than a sentence allows. These rooms do not have four
objects of which each is clearly the nearest to some other one: with four options nothing is asked."""


@dataclass(slots=True)
class Tally:
    """What was found of one kind of question."""

    asked: int = 0
    agreed: int = 0
    farthest: float = 0.0
    """Largest deviation of a number, in the unit of its answers."""
    letters: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Exam:
    """What the key said about all questions of some builds."""

    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    classes: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    faults: list[str] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    """Hashes of the questions, so that none counts twice."""

    def add(self, record: Record, question: SpatialQuestion, mark: Mark) -> None:
        """Count a question that was marked."""
        kind, form = mark.asked.kind, mark.asked.form
        tally = self.tallies[kind]
        tally.asked += 1
        tally.agreed += not mark.faults
        tally.farthest = max(tally.farthest, mark.deviation)
        if question.options:
            tally.letters[question.answer] += 1
        self.classes[kind, form][mark.said] += 1
        if kind != question.kind or question.options != mark.asked.options:
            self.faults.append(f"{record.key}: {question} is not what its text says")
        if mark.faults:
            self.faults.append(f"{record.key}: {question.text!r} {question.answer}: {'; '.join(mark.faults)}")

    @property
    def total(self) -> int:
        """Return the number of questions."""
        return sum(tally.asked for tally in self.tallies.values())

    def missing(self) -> list[str]:
        """Return the answers that no question had, by kind and form."""
        gaps = [f"{kind} is not asked" for kind in KINDS if not self.tallies[kind].asked]
        for sentence in SENTENCES:
            said = self.classes[sentence.kind, sentence.form]
            wanted = ANSWERS.get((sentence.kind, sentence.form), set())
            gaps += [f"{sentence.kind} {sentence.form}: never {text!r}" for text in sorted(wanted - set(said))]
            if not said:
                gaps.append(f"{sentence.kind} {sentence.form} is not asked")
        for kind, tally in self.tallies.items():
            most = max(sentence.options[1] for sentence in SENTENCES if sentence.kind == kind)
            most = MOST_LETTERS.get(kind, most)
            gaps += [f"{kind}: never {letter}" for letter in "ABCDEFGH"[:most] if not tally.letters[letter]]
        return gaps

    def summary(self) -> str:
        """Return a table: a line for each kind."""
        lines = [f"{'kind':<17}{'asked':>8}{'agreed':>8}  farthest  answers"]
        for kind in KINDS:
            tally = self.tallies[kind]
            counts = tally.letters or self.classes[kind, ""]
            many = len(counts) > 10
            answers = "" if many else " ".join(f"{text} {count}" for text, count in sorted(counts.items()))
            lines.append(f"{kind:<17}{tally.asked:>8}{tally.agreed:>8}  {tally.farthest:8.4f}  {answers}")
        agreed = sum(tally.agreed for tally in self.tallies.values())
        return "\n".join([*lines, f"{'all':<17}{self.total:>8}{agreed:>8}"])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """A question that was put to the key, and what the key said."""

    record: Record
    question: SpatialQuestion
    view: View
    mark: Mark


def ask(
    records: Iterable[Record],
    options: SynthesisOptions,
    exam: Exam,
    *,
    seeds: Iterable[int] = (0,),
    per_kind: int = 50,
    room_of: Callable[[str], TrueRoom] | None = None,
    lens_of: Callable[[Lens], Lens] = lambda lens: lens,
    kinds: Mapping[str, Kind] = KINDS,
) -> Iterator[Asked]:
    """Mark all questions about records, and yield each that is new.

    Args:
        records: scan by scan.
        options: of the scans.
        exam: where it is counted.
        seeds: of the generator, each of which asks other questions.
        per_kind: most questions of a kind, record and seed.
        room_of: the true room of a scan; ``None`` builds it.
        lens_of: the camera of stored images, from that of images of the scan.
        kinds: that are asked.
    """
    room, scene_id = None, ""
    for record in records:
        if room is None or record.scene_id != scene_id:
            room = truth_of(record.scene_id, options) if room_of is None else room_of(record.scene_id)
            scene_id = record.scene_id
        for seed in seeds:
            for _, found, _ in spatial_questions(record, QuestionOptions(per_kind=per_kind), seed, kinds):
                for question in found:
                    view = view_of(record, question, room, options)
                    view = replace(view, lens=lens_of(view.lens))
                    same = hash((record.key, question.text, question.marks))
                    if same not in exam.seen:
                        exam.seen.add(same)
                        mark = mark_answer(question.text, question.answer, view, question.value, question.margin)
                        exam.add(record, question, mark)
                        yield Asked(record=record, question=question, view=view, mark=mark)
