"""A simulated ECU that misbehaves on order: what a tester sees of each kind, and what the ECU did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.core.clock import NS_PER_MS
from bench.wire.ecu_misbehave import KINDS, parse
from ecu_sim.misbehave import ACTS, CHANGES
from tests.ecu_sim.conftest import Car

Drive = Callable[..., Any]
EXTENDED, SESSION = "10 03", "22 F1 86"


def told(drive: Drive, *orders: str, ask: tuple[str, ...], within_ms: int = 1_000) -> list[str | None]:
    """Return what the ECU answers to requests one after the other."""

    async def story(car: Car) -> list[str | None]:
        for order in orders:
            car.vehicle.misbehave("ecu", parse(order))
        return [await car.hex(pdu, within_ms) for pdu in ask]

    result: list[str | None] = drive(story)
    return result


def test_every_kind_has_an_act_and_nothing_else_has() -> None:
    assert set(ACTS) == set(KINDS)
    assert set(CHANGES) <= set(KINDS)


def test_nrc_is_told_at_the_nth_request_and_nothing_is_done(drive: Drive) -> None:
    answers = told(drive, "0x10:nrc=0x22@2", ask=("10 01", EXTENDED, SESSION, EXTENDED))
    assert answers == ["50 01 00 32 01 F4", "7F 10 22", "62 F1 86 01", "50 03 00 32 01 F4"]


def test_nrc_after_is_told_and_the_session_is_another_all_the_same(drive: Drive) -> None:
    assert told(drive, "0x10:nrc_after=0x72", ask=(EXTENDED, SESSION)) == ["7F 10 72", "62 F1 86 03"]


def test_nrc_after_replaces_a_genuine_refusal(drive: Drive) -> None:
    assert told(drive, "0x22:nrc_after=0x72", ask=("22 00 00",)) == ["7F 22 72"]


def test_any_code_can_be_told_even_one_without_a_name(drive: Drive) -> None:
    assert told(drive, "any:nrc=0xE7", ask=(SESSION, "3E 00")) == ["7F 22 E7", "7F 3E E7"]


@pytest.mark.parametrize(("kind", "session"), [("silent", "01"), ("lost_answer", "03")])
def test_no_answer_comes_and_the_session_tells_whether_the_request_was_served(
    drive: Drive, kind: str, session: str
) -> None:
    assert told(drive, f"0x10:{kind}", ask=(EXTENDED, SESSION)) == [None, f"62 F1 86 {session}"]


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        ("0x10:wrong_echo", "50 04 00 32 01 F4"),
        ("0x10:wrong_service=2", "52 03 00 32 01 F4"),
        ("0x10:truncated=3", "50 03 00"),
    ],
)
def test_answer_is_falsified_and_the_request_was_served(drive: Drive, order: str, answer: str) -> None:
    assert told(drive, order, ask=(EXTENDED, SESSION)) == [answer, "62 F1 86 03"]


@pytest.mark.parametrize("order", ["0x22:wrong_echo", "0x22:wrong_service"])
def test_negative_answer_is_left_alone_where_only_positive_ones_are_falsified(drive: Drive, order: str) -> None:
    assert told(drive, order, ask=("22 00 00",)) == ["7F 22 31"]


def test_wrong_counter_echo_is_that_of_transfer_data_and_the_block_counts(drive: Drive) -> None:
    async def story(car: Car) -> list[str | None]:
        image = car.image()
        await car.programming()
        await car.erase(image)
        car.vehicle.misbehave("ecu", parse("0x36:wrong_echo@1"))
        await car.good(bytes.fromhex("340044") + bytes(4) + len(image.data).to_bytes(4, "big"))
        block = bytes((0x36, 1)) + image.data[:512]
        answers = [await car.ask(block), await car.ask(block), await car.ask(bytes((0x36, 2)) + image.data[512:1024])]
        return [None if each is None else each.hex() for each in answers]

    assert drive(story) == ["7602", "7601", "7602"]


def timed(drive: Drive, order: str) -> tuple[list[float], float | None]:
    """Return when each 0x78 and the answer came, in ms after the request."""

    async def story(car: Car) -> tuple[list[float], float | None]:
        car.vehicle.misbehave("ecu", parse(order))
        began_ns = car.world.clock.now_ns()
        answer = await car.ask(bytes.fromhex("22F186"), 20_000)
        seen = [((t_ns - began_ns) / NS_PER_MS, pdu) for t_ns, pdu in car.tester.answers]
        final = next((t_ms for t_ms, pdu in seen if pdu == answer), None)
        return [t_ms for t_ms, pdu in seen if pdu[2:] == b"\x78"], final

    result: tuple[list[float], float | None] = drive(story)
    return result


@pytest.mark.parametrize(
    ("order", "pending_ms", "answer_ms"),
    [
        ("0x22:late=below_p2", [], 30),
        ("0x22:late=above_p2", [], 150),
        ("0x22:late=1200", [], 1200),
        ("0x22:slow=below_p2_star", [40], 5020),
        ("0x22:slow=above_p2_star", [40], 5140),
        ("0x22:slow=12000", [40, 5030, 10020], 12000),
    ],
)
def test_late_and_slow_answers_come_when_they_were_ordered(
    drive: Drive, order: str, pending_ms: list[float], answer_ms: float
) -> None:
    pending, answer = timed(drive, order)
    assert pending == pytest.approx(pending_ms, abs=2)
    assert answer == pytest.approx(answer_ms, abs=2)


def test_pending_for_ever_says_0x78_others_are_refused_as_busy_and_a_power_cut_ends_it(drive: Drive) -> None:
    async def story(car: Car) -> tuple[int, str | None, str | None]:
        car.vehicle.misbehave("ecu", parse("0x22:pending@1"))
        assert await car.ask(bytes.fromhex("22F186"), 60_000) is None
        told_to_wait = len(car.tester.pending)
        busy = await car.hex("10 03")
        car.node.cut("test")
        car.node.power_on()
        await car.wait_ms(400)
        return told_to_wait, busy, await car.hex(SESSION)

    assert drive(story) == (13, "7F 10 21", "62 F1 86 01")


@pytest.mark.parametrize(
    ("order", "answer"), [("0x22:reset@1", None), ("0x22:reset=after@1", "62 F1 86 03"), ("0x31:reset=150", None)]
)
def test_reset_boots_the_ecu_anew_before_within_or_after_the_request(
    drive: Drive, order: str, answer: str | None
) -> None:
    async def story(car: Car) -> tuple[str | None, int, str | None]:
        if order.startswith("0x31"):
            await car.programming()
            car.vehicle.misbehave("ecu", parse(order))
            first = await car.ask(bytes.fromhex("3101FF0044") + bytes(4) + (4096).to_bytes(4, "big"))
        else:
            await car.good("1003")
            car.vehicle.misbehave("ecu", parse(order))
            first = await car.ask(bytes.fromhex("22F186"))
        await car.wait_ms(400)
        return None if first is None else first.hex(" ").upper(), len(car.stages()), await car.hex(SESSION)

    first, boots, session = drive(story)
    assert (first, session) == (answer, "62 F1 86 01")
    assert boots == (3 if order.startswith("0x31") else 2)


def test_reset_in_the_middle_of_an_erase_leaves_a_torn_sector(drive: Drive) -> None:
    async def story(car: Car) -> Any:
        await car.programming()
        car.vehicle.misbehave("ecu", parse("0x31.01FF00:reset=250"))
        await car.ask(bytes.fromhex("3101FF0044") + bytes(4) + (4096).to_bytes(4, "big"))
        await car.wait_ms(400)
        return car.memory.flash.torn("image:A"), car.stages()[-1]

    torn, stage = drive(story)
    assert torn == ((0, 16384),)
    assert stage == ("bootloader", None)


def test_bytes_behind_the_service_choose_the_request_and_counts_go_on_over_reboots(drive: Drive) -> None:
    async def story(car: Car) -> list[str | None]:
        car.vehicle.misbehave("ecu", parse("0x22.F190:nrc=0x10@2"))
        answers = [await car.hex("22 F1 86"), await car.hex("22 F1 90")]
        car.node.reset()
        await car.wait_ms(400)
        return [*answers[:1], await car.hex("22 F1 90"), (await car.hex("22 F1 90") or "")[:8]]

    assert drive(story) == ["62 F1 86 01", "7F 22 10", "62 F1 90"]


def test_first_of_two_orders_strikes_and_each_counts_for_itself(drive: Drive) -> None:
    answers = told(drive, "0x22:nrc=0x10@2", "any:nrc=0x11@2..3", ask=(SESSION, SESSION, SESSION, SESSION))
    assert answers == ["62 F1 86 01", "7F 22 10", "7F 22 11", "62 F1 86 01"]


def test_every_strike_is_a_line_of_the_journal(drive: Drive) -> None:
    async def story(car: Car) -> list[str]:
        car.vehicle.misbehave("ecu", parse("0x22:silent@every2"))
        for _ in range(4):
            await car.hex(SESSION, 100)
        return [line.decode() for line in car.world.journal.lines() if b'"misbehave"' in line]

    lines = drive(story)
    assert len(lines) == 2
    assert '"payload":"0x22:silent@every2"' in lines[0]
