"""What the sources of a record are worth: gaps and losses, and what this bench could have seen and did not.

A source that was watched with a gap cannot carry a pass: what would have broken the rule may have happened in it (D5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.core.records import Watch
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, bench, seconds, undecided
from bench.oracle.situation import Situation

CONTINUOUS = (
    Source.FRAMES, Source.HTTP, Source.POWER, Source.BOOTS, Source.EXECUTIONS, Source.BOOTLOADER_RUNS,
    Source.FLASH_OPERATIONS, Source.SERVER_EVENTS, Source.CONDITIONS,
)  # fmt: skip
"""Sources that tell what happened, so that they must be watched from the first event until the end; the others are
read once."""
_BY_ECU = (Source.BOOTS, Source.EXECUTIONS, Source.BOOTLOADER_RUNS, Source.FLASH, Source.FLASH_OPERATIONS, Source.POWER)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a pass that relies on one of these sources is worth nothing."""

    sources: tuple[Source, ...]
    finding: Finding


def doubts_of_coverage(situation: Situation) -> list[Doubt]:
    """Return the gaps and losses of all sources that were watched, once the run is over."""
    since_ns, until_ns = situation.began_ns or 0, situation.ended_t_ns
    found = []
    for source in Source:
        for name, watch in _watches(situation, source):
            gaps = watch.gaps_ns(since_ns, until_ns) if source in CONTINUOUS else ()
            texts = [f"nobody looked from {seconds(begin)} to {seconds(end)}" for begin, end in gaps]
            texts += [f"{watch.lost} messages were lost"] if watch.lost else []
            if texts:
                seen = [bench(f"{name}: {text}") for text in texts]
                found.append(Doubt((source,), undecided(f"{name} were watched with gaps", *seen, blame="bench")))
    return found


def _watches(situation: Situation, source: Source) -> Iterable[tuple[str, Watch]]:
    """Yield how each place that matters was watched; places of which nobody speaks are no gap, nor is a missing one."""
    coverage = situation.coverage[source]
    name = source.value.replace("_", " ")
    if not coverage.places:
        if coverage.watched:
            yield name, coverage.watch()
        return
    places: dict[str, None] = {}
    for layout in situation.facts.layouts:
        places[layout.ecu if source in _BY_ECU else layout.channel] = None
    if source is Source.FRAMES:  # commands to all ECUs count on every bus of the vehicle
        places |= dict.fromkeys(situation.facts.functional)
    for place in places:
        if coverage.watch(place).watched:
            yield f"{name} of {place}", coverage.watch(place)


def not_looked_at(facts: Facts, relied_on: Sequence[Source]) -> Finding | None:
    """Return that this bench could have watched a source and did not; None where it cannot, or where it did."""
    missing = [source for source in relied_on if not facts.watches(source) and source in facts.observable]
    if not missing:
        return None
    names = ", ".join(source.value.replace("_", " ") for source in missing)
    return undecided(
        f"this bench can see {names}, and did not in this run", bench(f"not watched: {names}"), blame="bench"
    )
