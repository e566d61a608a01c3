"""Where `make cuts` cuts the power: the operations of a golden run, and of the boot that follows a cut.

Each operation is cut before, in each of its units (a torn unit in one or more of its readings) and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

from bench.core.clock import NS_PER_US
from bench.images.signing import SignedImage
from ecu_sim.memory.torn import RULES, TornReads
from tests.soak.lab import Flashing, Lab, image, kinds, run_lab

IMAGE_BYTES = 32 * 1024
OLD, NEW = "1.0.0", "2.0.0"
EVENTS = ("erase", "program", "boot", "nvm")
RECORD_BYTES = 16
"""Of NVM: what is torn there."""
QUIET_MS = 500
"""How long the boot after a cut is watched beyond the ECU's boot time limit."""


class Operation(NamedTuple):
    """One operation: `units` can be torn; `t_ns` is when it began, `region` where in flash it works."""

    event: str
    n: int
    units: int
    t_ns: int
    region: str = ""


class Cut(NamedTuple):
    """Where the power goes: before, after or in unit `torn` of an operation; at an instant for NVM writes.

    `first` is a cut that came before, and whose recovery this one strikes.
    """

    event: str
    n: int
    where: str
    at_ns: int = 0
    reads: TornReads = TornReads.MIXED
    first: Cut | None = None

    def __str__(self) -> str:
        before = "" if self.first is None else f"{self.first}+"
        return f"{before}{self.event}:{self.n}:{self.where}{'' if self.reads is RULES[0] else f':{self.reads}'}"


def images(name: str) -> tuple[SignedImage, SignedImage]:
    """Return what the ECU has and what it gets."""
    return image(name, OLD, 1, IMAGE_BYTES), image(name, NEW, 2, IMAGE_BYTES)


# Stories --------------------------------------------------------------------------------------------


async def ready(lab: Lab) -> None:
    """Boot the ECU with the old software."""
    lab.install(OLD, 1, IMAGE_BYTES)
    lab.vehicle.power_on()
    assert await lab.answers_within(lab.kind.personality.boot.time_limit_ms) is not None


async def confirm(lab: Lab) -> None:
    """Confirm what runs."""
    routine, sessions = lab.kind.recipe.routines.confirm, lab.kind.recipe.sessions
    if routine is not None:
        await lab.ask(bytes((0x10, sessions.extended)))
        await lab.ask(b"\x31\x01" + routine.to_bytes(2, "big"))


async def cut_update(lab: Lab, cut: Cut) -> None:
    """Update the ECU until the power is cut."""
    arm(lab, cut)
    flashing: Flashing = lab.begin_flash(images(lab.kind.name)[1])
    lab.node_lost = flashing.stop
    await flashing.done
    if lab.node.powered:
        await confirm(lab)
    await lab.wait_ms(20)
    assert not lab.node.powered, "the cut never came"
    lab.node_lost = lambda: None


async def boot_unasked(lab: Lab) -> None:
    """Give the power back and leave the ECU alone."""
    lab.node.power_on()
    await lab.wait_ms(lab.kind.personality.boot.time_limit_ms + QUIET_MS)


def arm(lab: Lab, cut: Cut) -> None:
    """Have the power cut there."""

    def lose_power() -> None:
        lab.memory.tear_as(cut.reads)
        lab.node.cut("cut everywhere")
        lab.node_lost()

    if cut.event == "nvm":
        lab.world.clock.call_at_ns(cut.at_ns, lose_power)
    else:
        counter = lab.world.points.counter(lab.id, cut.event)
        word, _, units = cut.where.partition("=")
        counter.arm(cut.n, word, int(units) if units else None, lose_power)


# Operations -----------------------------------------------------------------------------------------


def operations(name: str, after: Cut | None = None) -> list[Operation]:
    """Return all operations of an undisturbed update, confirmation included, or of the boot after a cut."""

    async def story(lab: Lab) -> list[Operation]:
        await ready(lab)
        begin_ns = lab.world.clock.now_ns()
        if after is None:
            await lab.flash(images(name)[1])
            await confirm(lab)
        else:
            await cut_update(lab, after)
            begin_ns = lab.world.clock.now_ns() - 1
            await boot_unasked(lab)
        return _seen(lab, begin_ns)

    found: list[Operation] = run_lab(name, story)
    return found


def _seen(lab: Lab, begin_ns: int) -> list[Operation]:
    table, recorder = lab.world.points.table(), lab.world.recorder
    regions = {
        kind: [o.region for o in recorder.flash if o.ecu == lab.id and o.kind == kind] for kind in ("erase", "program")
    }
    found = [
        Operation(event, seen.n, seen.units, seen.t_ns, regions[event][seen.n - 1] if event in regions else "")
        for event in ("erase", "program", "boot") for seen in table.get((lab.id, event), ()) if seen.t_ns > begin_ns
    ]  # fmt: skip
    writes = [e for e in lab.world.journal.entries() if e.kind == "nvm.write" and e.t_ns > begin_ns]
    return found + [
        Operation("nvm", n, len(write.payload) // RECORD_BYTES, write.t_ns) for n, write in enumerate(writes, 1)
    ]


# Cuts -----------------------------------------------------------------------------------------------


def all_readings(operation: Operation, unit: int) -> tuple[TornReads, ...]:
    """Return the readings of a torn unit: all where much hangs on it, two in turn where an image's bytes are torn."""
    if operation.event == "boot":
        return RULES[:1]
    if operation.event == "program" and operation.region.startswith("image:"):
        return RULES[0], RULES[1 + unit % (len(RULES) - 1)]
    return RULES


def cuts_of(
    name: str, operation: Operation, readings: Callable[[Operation, int], tuple[TornReads, ...]] = all_readings
) -> Iterator[Cut]:
    """Yield every cut of an operation: before it, in each of its units in each reading, after it."""
    event, n, units, t_ns, _ = operation
    record_ns = kinds()[name].personality.nvm.record_us * NS_PER_US
    timed = event == "nvm"
    yield Cut(event, n, "before", t_ns if timed else 0)
    for k in range(units):
        at_ns = t_ns + k * record_ns + record_ns // 2 if timed else 0
        for reads in readings(operation, k):
            yield Cut(event, n, f"torn={k}", at_ns, reads)
    yield Cut(event, n, "after", t_ns + units * record_ns + 1 if timed else 0)


def first_cuts(name: str) -> list[Cut]:
    """Return cuts whose recovery is cut again: an erase, a program in the middle and the last one, torn, all readings;
    and one before the last boot."""
    found = operations(name)
    erases = [operation for operation in found if operation.event == "erase"]
    programs = [operation for operation in found if operation.event == "program"]
    torn = [
        Cut(operation.event, operation.n, f"torn={unit}", 0, reads)
        for operation, unit in ((erases[0], 0), (programs[0], programs[0].units // 2), (programs[-1], 0))
        for reads in RULES
    ]
    boots = [operation for operation in found if operation.event == "boot"]
    return [*torn, Cut("boot", boots[-1].n, "before")]


def second_cuts(name: str, first: Cut) -> Iterator[Cut]:
    """Yield the cuts in the boot after a cut: each stage, each record of each NVM write, first, middle and last unit of
    what is erased or programmed. A torn unit reads as in the first cut."""
    for operation in operations(name, first):
        ends = {f"torn={k}" for k in (0, operation.units // 2, operation.units - 1)}
        few = operation.event in ("erase", "program")
        for cut in cuts_of(name, operation, lambda _operation, _unit: (first.reads,)):
            if not few or "torn" not in cut.where or cut.where in ends:
                yield cut._replace(first=first)


def every_cut(name: str) -> list[Cut]:
    """Return all cuts of an update, and of the boots after some of them."""
    once = [cut for operation in operations(name) for cut in cuts_of(name, operation)]
    return once + [cut for first in first_cuts(name) for cut in second_cuts(name, first)]


SAMPLED_TORN, SAMPLED_SECOND = 25, 10


def some_cuts(name: str, seed: int = 1) -> list[Cut]:
    """Return the first, middle and last operation of each kind, cut before, in first, middle and last unit, after; and
    a sample of other readings and of second cuts."""
    draw, found = Random(f"{name} {seed}"), operations(name)
    chosen: list[Cut] = []
    for event in EVENTS:
        own = [operation for operation in found if operation.event == event]
        for operation in dict.fromkeys(own[at] for at in (0, len(own) // 2, -1) if own):
            cuts = list(cuts_of(name, operation, lambda _operation, _unit: RULES[:1]))
            chosen += dict.fromkeys(cuts[at] for at in (0, 1, len(cuts) // 2, len(cuts) - 2, len(cuts) - 1))
    others: list[Any] = [cut for o in found for cut in cuts_of(name, o) if cut.reads is not RULES[0]]
    twice = list(second_cuts(name, draw.choice(first_cuts(name))))
    return (
        chosen
        + draw.sample(others, min(SAMPLED_TORN, len(others)))
        + draw.sample(twice, min(SAMPLED_SECOND, len(twice)))
    )
