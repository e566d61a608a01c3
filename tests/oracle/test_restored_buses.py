"""What was switched off for all ECUs of a bus is on again, on the buses too on which nobody is flashed."""

from __future__ import annotations

from bench.core.records import RunRecord, Watch, Watched
from bench.oracle.result import Verdict
from tests.oracle.neighbours_car import car as unread_car
from tests.oracle.neighbours_car import to_all
from tests.oracle.oracle_vectors import S, read, replace, tidy

OFF_AND_ON = (("8582", "8581"), ("288301", "288001"))


def car() -> RunRecord:
    """The healthy update beside a door on another bus, whose session was read too."""
    record = unread_car()
    return replace(record, readings=(*record.readings.items, read("door", 0xF186, b"\x01")))


def watched_on(record: RunRecord, **buses: Watch) -> RunRecord:
    return replace(record, frames=Watched(record.frames.items, ((0, 10 * S),), places=buses))


def test_what_is_never_on_again_on_another_bus_fails() -> None:
    for off, _ in OFF_AND_ON:
        found = tidy(to_all(car(), (4 * S, off)))
        assert (found.verdict, found.blame) == (Verdict.FAIL, "flasher")
        assert "of the ECUs on can1 was switched off and never on again" in found.sentence


def test_command_on_another_bus_restores_nothing_here() -> None:
    ours = to_all(car(), (4 * S, "8582"))
    frames = tuple(
        frame._replace(channel="can0") if frame.data[:3] == b"\x02\x85\x81" else frame for frame in ours.frames.items
    )
    assert tidy(replace(ours, frames=frames)).verdict is Verdict.FAIL


def test_last_command_that_restores_is_enough() -> None:
    for off, on in OFF_AND_ON:
        assert tidy(to_all(car(), (4 * S, off), (4 * S + 1, on))).verdict is Verdict.PASS
        assert tidy(to_all(car(), (4 * S, on), (4 * S + 1, off))).verdict is Verdict.FAIL


def test_bus_on_which_nothing_was_said_is_as_it_was() -> None:
    assert tidy(car()).verdict is Verdict.PASS


def test_bus_that_nobody_watched_never_passes() -> None:
    always = Watch(((0, 10 * S),))
    assert tidy(watched_on(car(), can0=always, can1=always)).verdict is Verdict.PASS
    assert tidy(watched_on(car(), can0=always)).verdict is Verdict.NOT_OBSERVED
    for gap in (Watch(((0, 10 * S),), lost=1), Watch(((0, 4 * S), (5 * S, 10 * S)))):
        found = tidy(watched_on(car(), can0=always, can1=gap))
        assert (found.verdict, found.blame) == (Verdict.INCONCLUSIVE, "bench")
        assert tidy(watched_on(to_all(car(), (4 * S, "8582")), can0=always, can1=gap)).verdict is Verdict.FAIL
