"""The sequence of a run: HTTP, UDS, power, boots and the server's decisions, merged by time."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from itertools import pairwise

from bench.core.records import BootRecord, ConditionRecord, PowerRecord, RunRecord
from bench.evidence import dm_story, uds_story
from bench.evidence.uds_story import Talk
from bench.evidence.view import Outcome, Sequence, Step

MAX_STEPS = 260
"""More lines than this nobody reads; the middle of a longer run is left out and counted."""
CAR = "car"
"""The participant whose state the conditions are."""
ORDER = {"power": 0, "boot": 1, "event": 3}


def sequence_of(record: RunRecord, talks: Seq[Talk]) -> Sequence:
    """Return the merged sequence of `record`."""
    happened = [
        *(_power_step(power) for power in record.power.items if power.t_ns > 0),
        *(_boot_step(boot) for boot in record.boots.items if boot.t_ns > 0 and boot.stage != "boot_manager"),
        *(_condition_step(condition) for condition in record.conditions.items if condition.t_ns > 0),
    ]
    steps = [
        *dm_story.http_steps(record.http.items),
        *uds_story.steps(talks, [step.t_ns for step in happened]),
        *happened,
        *dm_story.event_steps(record.server_events.items, expects_update=record.expects_update),
    ]
    steps.sort(key=lambda step: (step.t_ns, ORDER.get(step.kind, 2)))
    kept = _shortened(_without_quiet_polls(steps))
    return Sequence(participants=_participants(record, kept), steps=tuple(kept))


def _participants(record: RunRecord, steps: Seq[Step]) -> tuple[str, ...]:
    """Server, then the testers, then the ECUs, then whoever else spoke."""
    ecus = [layout.ecu for layout in record.layouts]
    spoke = [name for step in steps for name in (step.source, step.target) if name]
    others = [name for name in dict.fromkeys(spoke) if name not in ecus and name not in (dm_story.SERVER, "agent")]
    return (dm_story.SERVER, "agent", *others, *ecus)


def _power_step(power: PowerRecord) -> Step:
    outcome: Outcome = "info" if power.on else "bad"
    text = "power on" if power.on else "power cut"
    return _note(power.t_ns, "power", power.part, text, power.cause, outcome)


def _boot_step(boot: BootRecord) -> Step:
    where = f" in bank {boot.bank}" if boot.bank else ""
    return _note(boot.t_ns, "boot", boot.ecu, f"{boot.stage}{where}", boot.reason, "info")


def _condition_step(condition: ConditionRecord) -> Step:
    """A change of the car's state; one that the car refused changed nothing."""
    text = f"car: {condition.key} = {_value(condition.value)}"
    if condition.accepted:
        return _note(condition.t_ns, "event", CAR, text, condition.cause, "info")
    return _note(condition.t_ns, "event", CAR, f"{text} refused", condition.cause, "bad")


def _value(value: bool | float | str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else value


def _note(t_ns: int, kind: str, source: str, text: str, detail: str, outcome: Outcome) -> Step:
    return Step.model_validate(
        {
            "t_ns": t_ns, "end_t_ns": t_ns, "kind": kind, "source": source, "target": None,
            "text": text, "detail": detail, "outcome": outcome, "count": 1,
        }
    )  # fmt: skip


def _without_quiet_polls(steps: Seq[Step]) -> list[Step]:
    """Fold polls: a block of HTTP lines equal to the block just before it only raises that block's count."""
    kept: list[Step] = []
    for step in steps:
        kept.append(step)
        for size in (1, 2, 3, 4):
            if _repeats(kept, size):
                earlier, later = kept[-2 * size : -size], kept[-size:]
                kept[-2 * size :] = [
                    old.model_copy(update={"count": old.count + new.count, "end_t_ns": new.end_t_ns})
                    for old, new in zip(earlier, later, strict=True)
                ]
                break
    return kept


def _repeats(steps: Seq[Step], size: int) -> bool:
    if len(steps) < 2 * size:
        return False
    tail = steps[-2 * size :]
    if any(step.kind != "http" for step in tail):
        return False
    return all(_face(old) == _face(new) for old, new in zip(tail[:size], tail[size:], strict=True))


def _face(step: Step) -> tuple[str, str | None, str, str]:
    return step.source, step.target, step.text, step.detail


def _shortened(steps: list[Step]) -> list[Step]:
    """Leave out the middle of what is dull, then of what is refused; of cuts and decisions only when all else went."""
    excess = len(steps) - MAX_STEPS
    dropped: dict[int, None] = {}
    for rank in range(3):
        if excess > len(dropped):
            ranked = [number for number, step in enumerate(steps) if _rank(step) == rank]
            much = min(len(ranked), excess - len(dropped))
            start = (len(ranked) - much) // 2
            dropped.update(dict.fromkeys(ranked[start : start + much]))
    kept: list[Step] = []
    for number, step in enumerate(steps):
        if number not in dropped:
            kept.append(step)
        elif kept and kept[-1].kind == "left_out":
            kept[-1] = _left_out(kept[-1], step)
        else:
            kept.append(_left_out(None, step))
    return kept


def _rank(step: Step) -> int:
    if step.kind not in ("uds", "functional", "http"):
        return 2
    return 1 if step.outcome == "bad" else 0


def _left_out(before: Step | None, step: Step) -> Step:
    count = (before.count if before else 0) + 1
    t_ns = before.t_ns if before else step.t_ns
    words = {"kind": "left_out", "target": None, "text": "left out", "detail": "see the journal", "outcome": "none"}
    return step.model_copy(update={**words, "count": count, "t_ns": t_ns, "source": dm_story.SERVER})


def longest_silences(steps: Seq[Step], at_least_ns: int) -> dict[int, int]:
    """Return line number -> silence before it, where nothing was said for `at_least_ns`."""
    return {
        number + 1: after.t_ns - before.end_t_ns
        for number, (before, after) in enumerate(pairwise(steps))
        if after.t_ns - before.end_t_ns >= at_least_ns
    }
