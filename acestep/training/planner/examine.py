"""How well sentences are read: rules alone beside rules with the nano planner, in one run.

Two sets: ``held_out.toml``, written by hand in wordings that training does not have, and training's wordings about songs of the
test split. A value counts as right when it is read as it was meant, as wrong when another one is read instead, and as made up
when a sentence says none and one is read.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from importlib import resources

from acestep.api.music import key_name
from acestep.planner.nano.language import Answer
from acestep.planner.rules.reading import Further, Reading, read_sentence
from acestep.training.planner.sentences import SentenceExample, example

VALUES = ("bpm", "key", "metre", "length", "style", "instruments", "refused")


def held_out() -> Iterator[SentenceExample]:
    """The sentences written by hand."""
    table = tomllib.loads(resources.files(__package__).joinpath("held_out.toml").read_text("utf-8"))
    for row in table["sentences"]:
        yield SentenceExample(
            row["text"],
            Answer(
                bpm=row.get("bpm", 0),
                key=key_name(row["key"]) if "key" in row else "",
                metre=row.get("metre", ""),
                length=row.get("length", 0),
                unit=row.get("unit", "seconds") if "length" in row else "",
                style=row.get("style", ""),
                instruments=tuple(row.get("instruments", ())),
                refused=tuple(row.get("refused", ())),
            ),
        )


def test_songs(count: int) -> Iterator[SentenceExample]:
    """Sentences about songs that training has not seen, in its wordings."""
    return (example("test", index) for index in range(count))


@dataclass(frozen=True)
class Marks:
    """Of one reader and one value: ``right`` and ``wrong`` of ``said``; how often one was ``made_up`` where ``silent`` say none."""

    said: int
    right: int
    wrong: int
    silent: int
    made_up: int


def examine(examples: Iterable[SentenceExample], further: Further | None) -> dict[str, Marks]:
    """The marks of rules, with or without another reader, by value."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in examples:
        reading = read_sentence(one.sentence, further)
        for value in VALUES:
            meant, found = _meant(one.answer, value), _FOUND[value](reading)
            counts[value, "said" if meant else "silent"] += 1
            counts[value, "right"] += bool(meant) and _agrees(value, meant, found)
            counts[value, "wrong"] += bool(meant) and bool(found) and not _agrees(value, meant, found)
            counts[value, "made_up"] += not meant and bool(found)
    return {value: Marks(*(counts[value, name] for name in Marks.__dataclass_fields__)) for value in VALUES}


def _meant(answer: Answer, value: str) -> object:
    if value == "length":
        return (float(answer.length), answer.unit) if answer.unit else None
    return getattr(answer, value)


def _length(reading: Reading) -> object:
    figures = reading.figures
    if figures.seconds is not None:
        return figures.seconds, "seconds"
    return None if figures.bars is None else (figures.bars, "bars")


def _refused(reading: Reading) -> tuple[str, ...]:
    return (*reading.refused, *(("vocals",) if reading.instrumental and "vocals" not in reading.refused else ()))


_FOUND: dict[str, Callable[[Reading], object]] = {
    "bpm": lambda reading: reading.figures.bpm,
    "key": lambda reading: reading.figures.key or reading.figures.mode,
    "metre": lambda reading: reading.figures.metre,
    "length": _length,
    "style": lambda reading: reading.main.word if reading.main else "",
    "instruments": lambda reading: tuple(reading.instruments),
    "refused": _refused,
}


def _agrees(value: str, meant: object, found: object) -> bool:
    """Of lists, all that is meant must be there; a sentence may name more."""
    if value in ("instruments", "refused"):
        return set(meant) <= set(found)  # type: ignore[call-overload]
    return meant == found


def report(sets: dict[str, list[SentenceExample]], readers: dict[str, Further | None]) -> Iterator[str]:
    """The figures as a table in Markdown."""
    names = list(readers)
    yield "| set | value | " + " | ".join(f"{name}: right | wrong | made up" for name in names) + " |"
    yield "| --- | --- |" + " --- | --- | --- |" * len(names)
    for title, examples in sets.items():
        marks = {name: examine(examples, further) for name, further in readers.items()}
        for value in VALUES:
            yield f"| {title} | {value} | {' | '.join(_cells(marks[name][value]) for name in names)} |"
        yield f"| {title} | all | {' | '.join(_cells(_sum(marks[name].values())) for name in names)} |"


def _cells(marks: Marks) -> str:
    return f"{marks.right} of {marks.said} | {marks.wrong} | {marks.made_up} of {marks.silent}"


def _sum(many: Iterable[Marks]) -> Marks:
    return Marks(*map(sum, zip(*map(astuple, many), strict=True)))
