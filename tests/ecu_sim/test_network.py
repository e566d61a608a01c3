"""Cyclic frames, communication control, network management, missing partners, the inhibit signal."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.car import CarState
from bench.core.specs import PartnerSpec
from ecu_sim.network.cyclic import crc8, frame_data
from ecu_sim.network.states import TRANSITIONS, NmEvent, NmState, next_state
from tests.ecu_sim.network_world import MANAGEMENT, NetCar, drive, ecu, frame

LOST_FIRST, LOST_SECOND = "C10087", "C10187"
NM_ID = 0x501


# Cyclic frames --------------------------------------------------------------------------------------


def test_crc8_is_that_of_sae_j1850() -> None:
    assert crc8(b"123456789") == 0x4B


def test_frame_comes_each_period_with_a_counter_from_0_to_14_and_a_right_checksum() -> None:
    async def story(car: NetCar) -> None:
        await car.wait_ms(3000)
        heard = car.can0.of(0x110)
        gaps = {round((after - before) / 1e6) for (before, _), (after, _) in pairwise(heard)}
        assert gaps == {100}
        counts = [data[1] & 0x0F for _, data in heard]
        assert counts[:17] == [*range(15), 0, 1]
        assert all(data[0] == crc8((0x110).to_bytes(4, "big") + data[1:]) for _, data in heard)

    drive(story, [ecu(frames=(frame(),))])


def test_frames_that_nobody_acknowledges_wait_once_each_however_long_the_ecu_is_alone() -> None:
    """A controller has one place for a cyclic message; on a bus without others 9 s of frames do not pile up."""

    async def story(car: NetCar) -> None:
        inner = car.listeners["can1"]
        inner.node.cut("test")
        await car.wait_ms(9_000)
        inner.node.power_on()
        began_ns = car.now_ns
        await car.wait_ms(95)
        assert len(inner.of(0x110, began_ns)) == 1 + 1, "the one that waited, and one in its time"
        assert len(inner.of(0x111, began_ns)) in (1 + 5, 1 + 6)
        assert len(inner.of(NM_ID, began_ns)) in (1, 1 + 1)

    frames = (frame(0x110, 100), frame(0x111, 16))
    drive(story, [ecu(channel="can1", management=MANAGEMENT, frames=frames)], buses={"can0": None, "can1": None})


def test_bus_on_which_nobody_is_for_minutes_is_no_end_of_the_run() -> None:
    async def story(car: NetCar) -> None:
        car.listeners["can1"].node.cut("test")
        await car.wait_ms(70_000)

    frames = tuple(frame(0x100 + n, 10) for n in range(4))
    drive(story, [ecu(channel="can1", frames=frames)], buses={"can0": None, "can1": None})


def test_frame_that_was_dropped_without_a_word_does_not_end_its_cycle() -> None:
    """An interface may refuse a frame: after ten seconds the ECU no longer waits for it."""

    async def story(car: NetCar) -> None:
        bus = car.listeners["can1"].bus
        car.listeners["can1"].node.cut("test")
        await car.wait_ms(500)
        for port in bus.ports:
            if port.life.part == "ecu":
                port.cancel(0x110)
        car.listeners["can1"].node.power_on()
        await car.wait_ms(11_000)
        assert len(car.listeners["can1"].of(0x110)) > 5

    drive(story, [ecu(channel="can1", frames=(frame(0x110, 100),))], buses={"can0": None, "can1": None})


def test_frames_have_their_own_periods_lengths_and_offsets() -> None:
    async def story(car: NetCar) -> None:
        await car.wait_ms(1000)
        short, late = car.can0.of(0x110), car.can0.of(0x18FF0001)
        assert {len(data) for _, data in short} == {4}
        assert len(short) == pytest.approx(60, abs=4)
        assert (late[0][0] - short[0][0]) / 1e6 == pytest.approx(300, abs=1)

    extended = frame(0x18FF0001, 100, id_29_bit=True, offset_ms=300)
    drive(story, [ecu(frames=(frame(0x110, 20, length=4), extended))])


@given(st.integers(0, 14), st.integers(16, 63), st.booleans())
def test_inhibit_bit_is_the_only_difference_beside_the_checksum(count: int, bit: int, inhibit: bool) -> None:
    spec = frame(inhibit_bit=bit)
    data, calm = frame_data(spec, count, inhibit=inhibit), frame_data(spec, count, inhibit=False)
    assert bool(data[bit // 8] >> bit % 8 & 1) is inhibit
    differing = [i for i in range(1, 8) if data[i] != calm[i]]
    assert differing == ([bit // 8] if inhibit else [])
    assert data[0] == crc8(spec.can_id.to_bytes(4, "big") + data[1:])


# 0x28 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_pdu", "application", "alive"),
    [("280101", False, True), ("280102", True, False), ("280103", False, False), ("280301", False, True),
     ("280201", True, True)],
)  # fmt: skip
def test_0x28_stops_the_messages_that_it_names(request_pdu: str, application: bool, alive: bool) -> None:
    async def story(car: NetCar) -> None:
        await car.can0.ask("1003")
        assert await car.can0.ask(request_pdu) == f"68 {request_pdu[2:4]}"
        since_ns = car.now_ns
        await car.wait_ms(2000)
        assert bool(car.can0.of(0x110, since_ns)) is application
        assert bool(car.can0.of(NM_ID, since_ns)) is alive
        assert await car.can0.ask("280003") == "68 00"
        since_ns = car.now_ns
        await car.wait_ms(1000)
        assert car.can0.of(0x110, since_ns)
        assert car.can0.of(NM_ID, since_ns)

    drive(story, [ecu(frames=(frame(),), management=MANAGEMENT)])


def test_frames_come_back_when_the_session_runs_out() -> None:
    async def story(car: NetCar) -> None:
        await car.can0.ask("1003")
        await car.can0.ask("280101")
        since_ns = car.now_ns
        await car.wait_ms(4000)
        assert car.can0.of(0x110, since_ns) == []
        await car.wait_ms(1500)
        assert car.can0.of(0x110, since_ns)

    drive(story, [ecu(frames=(frame(),))])


def test_bootloader_sends_neither_frames_nor_alive_messages() -> None:
    async def story(car: NetCar) -> None:
        await car.programming()
        since_ns = car.now_ns
        await car.wait_ms(2000)
        assert [f for t_ns, f in car.can0.frames if t_ns > since_ns] == []

    drive(story, [ecu(frames=(frame(),), management=MANAGEMENT)])


# Network management ---------------------------------------------------------------------------------


def test_table_of_network_management_knows_every_state_and_leads_to_sleep_only_by_waiting() -> None:
    assert {state for state, _ in TRANSITIONS} == set(NmState)
    to_sleep = [key for key, state in TRANSITIONS.items() if state is NmState.BUS_SLEEP]
    assert to_sleep == [(NmState.PREPARE_BUS_SLEEP, NmEvent.WAITED)]


@given(st.lists(st.sampled_from(NmEvent)))
def test_requested_network_never_sleeps(events: list[NmEvent]) -> None:
    """The timer events that a requested network can have: its time-out runs in READY_SLEEP alone."""
    state = next_state(NmState.BUS_SLEEP, NmEvent.REQUESTED)
    ready_only = (NmEvent.RELEASED, NmEvent.REPEAT_OVER_RELEASED)
    for event in events:
        if event not in ready_only:
            state = next_state(state, event)
            assert state in (NmState.REPEAT_MESSAGE, NmState.NORMAL_OPERATION)


def sleeping() -> CarState:
    return CarState(ignition=False)


def test_ecu_falls_asleep_when_nobody_needs_the_network_and_sends_nothing_more() -> None:
    async def story(car: NetCar) -> None:
        await car.wait_ms(1200)
        assert car.can0.of(NM_ID)
        assert car.can0.of(0x110)
        await car.wait_ms(6000)
        assert [e.payload for e in car.entries("ecu", "sleep")] == ["bus sleep"]
        slept_ns = car.entries("ecu", "sleep")[0].t_ns
        assert car.can0.of(0x110, slept_ns - 1_400_000_000) == []
        last_alive = car.can0.of(NM_ID)[-1][0]
        last_frame = car.can0.of(0x110)[-1][0]
        assert last_alive < last_frame, "ready sleep: frames go on, alive messages do not"

    drive(story, [ecu(frames=(frame(),), management=MANAGEMENT)], car=sleeping())


def test_ignition_wakes_a_sleeping_ecu() -> None:
    async def story(car: NetCar) -> None:
        await car.wait_ms(8000)
        boots = len(car.world.recorder.boots)
        since_ns = car.now_ns
        car.set("ignition", True)
        await car.wait_ms(300)
        assert len(car.world.recorder.boots) > boots
        assert car.can0.of(NM_ID, since_ns)
        await car.wait_ms(20_000)
        assert len(car.entries("ecu", "sleep")) == 1, "ignition keeps it awake"

    drive(story, [ecu(frames=(frame(),), management=MANAGEMENT)], car=sleeping())


def test_first_frame_wakes_a_sleeping_ecu_and_is_lost_the_next_one_is_answered() -> None:
    async def story(car: NetCar) -> None:
        await car.wait_ms(8000)
        assert await car.can0.ask("3E00", within_ms=150) is None
        assert [e.payload for e in car.entries("ecu", "wake")] == ["a frame 0x7A0"]
        assert await car.can0.ask("3E00") == "7E 00"

    drive(story, [ecu(management=MANAGEMENT)], car=sleeping())


def test_tester_in_a_session_keeps_the_ecu_awake() -> None:
    async def story(car: NetCar) -> None:
        await car.can0.ask("1003")
        for _ in range(8):
            await car.wait_ms(2000)
            await car.can0.ask("3E00")
        assert car.entries("ecu", "sleep") == []
        await car.wait_ms(15_000)
        assert len(car.entries("ecu", "sleep")) == 1

    drive(story, [ecu(management=MANAGEMENT)], car=sleeping())


def test_request_just_before_the_ecu_would_sleep_keeps_it_awake() -> None:
    """Its application frames have stopped already; whoever still asks something is not left alone a moment later."""

    async def story(car: NetCar) -> None:
        await car.wait_ms(MANAGEMENT.repeat_ms + MANAGEMENT.timeout_ms + 400)
        began_ns = car.now_ns
        assert car.can0.of(0x110, began_ns - 300_000_000) == [], "prepares to sleep"
        assert await car.can0.ask("3E00") == "7E 00"
        await car.wait_ms(MANAGEMENT.wait_bus_sleep_ms)
        assert car.entries("ecu", "sleep") == []
        assert await car.can0.ask("3E00") == "7E 00"
        await car.wait_ms(10_000)
        assert len(car.entries("ecu", "sleep")) == 1

    drive(story, [ecu(management=MANAGEMENT, frames=(frame(),))], car=sleeping())


def test_alive_message_of_another_node_keeps_the_ecu_awake() -> None:
    async def story(car: NetCar) -> None:
        for _ in range(20):
            await car.wait_ms(1000)
            car.can0.send(0x502, "0200FFFFFFFFFFFF")
        assert car.entries("ecu", "sleep") == []
        assert car.can0.of(NM_ID, 3_000_000_000) == [], "ready to sleep all the while: it does not need the network"

    drive(story, [ecu(management=MANAGEMENT)], car=sleeping())


def test_node_that_asks_for_repetition_is_answered_by_alive_messages() -> None:
    async def story(car: NetCar) -> None:
        await car.wait_ms(2500)
        since_ns = car.now_ns
        assert car.can0.of(NM_ID, since_ns - 600_000_000) == []
        car.can0.send(0x502, "0201FFFFFFFFFFFF")
        await car.wait_ms(1000)
        assert car.can0.of(NM_ID, since_ns)

    drive(story, [ecu(management=MANAGEMENT)], car=sleeping())


def test_power_cut_of_a_sleeping_ecu_is_an_ordinary_cut() -> None:
    async def story(car: NetCar) -> None:
        await car.wait_ms(8000)
        node = car.vehicle.nodes["ecu"]
        node.cut("test")
        car.set("ignition", True)
        await car.wait_ms(100)
        assert not node.powered
        assert car.entries("ecu", "wake") == []
        node.power_on()
        await car.wait_ms(200)
        assert await car.can0.ask("3E00") == "7E 00"

    drive(story, [ecu(management=MANAGEMENT)], car=sleeping())


def test_ecu_without_network_management_never_sleeps() -> None:
    async def story(car: NetCar) -> None:
        await car.wait_ms(30_000)
        assert car.can0.of(0x110)[-1][0] > 30_000_000_000

    drive(story, [ecu(frames=(frame(),))], car=sleeping())


# Partners -------------------------------------------------------------------------------------------


def watcher(**changed: Any) -> Any:
    partners = (PartnerSpec(can_id=0x200, timeout_ms=500), PartnerSpec(can_id=0x201, timeout_ms=500))
    return ecu(partners=partners, **changed)


async def talk(car: NetCar, *can_ids: int, times: int) -> None:
    for _ in range(times):
        for can_id in can_ids:
            car.can0.send(can_id, "00")
        await car.wait_ms(100)


def test_partner_that_falls_silent_sets_its_own_dtc_which_heals_when_it_returns() -> None:
    async def story(car: NetCar) -> None:
        await talk(car, 0x200, 0x201, times=10)
        assert car.dtcs() == {}
        await talk(car, 0x200, times=10)
        assert list(car.dtcs()) == [LOST_SECOND]
        assert car.dtcs()[LOST_SECOND] & 0x01
        await talk(car, 0x200, 0x201, times=3)
        assert car.dtcs()[LOST_SECOND] & 0x09 == 0x08, "confirmed, but no longer failing"

    drive(story, [watcher()])


@pytest.mark.parametrize("why", ["ignition off", "dtc setting off", "reception off"])
def test_nobody_is_missed_while_silence_is_nothing_wrong(why: str) -> None:
    async def story(car: NetCar) -> None:
        await car.can0.ask("1003")
        if why == "ignition off":
            car.set("ignition", False)
        else:
            await car.can0.ask("8502" if why == "dtc setting off" else "280301")
        for _ in range(3):
            await car.wait_ms(1000)
            await car.can0.ask("3E00")
        assert car.dtcs() == {}
        car.set("ignition", True)
        await car.can0.ask("280001")
        await car.can0.ask("8501")
        await car.wait_ms(400)
        assert car.dtcs() == {}, "the partner gets a whole time-out again"
        await car.wait_ms(1200)
        assert set(car.dtcs()) == {LOST_FIRST, LOST_SECOND}

    drive(story, [watcher()])


def test_dtc_of_an_earlier_life_heals_too() -> None:
    async def story(car: NetCar) -> None:
        await car.wait_ms(1500)
        assert car.dtcs()[LOST_FIRST] & 0x01
        await car.can0.ask("1101")
        await talk(car, 0x200, 0x201, times=5)
        assert not car.dtcs()[LOST_FIRST] & 0x01

    drive(story, [watcher()])


# Inhibit --------------------------------------------------------------------------------------------


def inhibited(car: NetCar, since_ns: int = 0) -> list[bool]:
    return [bool(data[2] & 1) for _, data in car.can0.of(0x130, since_ns)]


def test_start_of_the_car_is_inhibited_from_the_erase_on_and_refused_meanwhile() -> None:
    async def story(car: NetCar) -> None:
        await car.programming()
        since_ns = car.now_ns
        await car.wait_ms(300)
        assert set(inhibited(car, since_ns)) == {False}, "nothing was erased yet"
        await car.erase()
        since_ns = car.now_ns
        await car.wait_ms(300)
        assert set(inhibited(car, since_ns)) == {True}
        car.set("engine", True)
        assert car.vehicle.car.state.engine is False
        refused = car.world.recorder.conditions[-1]
        assert (refused.key, refused.value, refused.accepted) == ("engine", True, False)
        assert "inhibited by ecu" in refused.cause
        car.vehicle.nodes["ecu"].cut("test")
        await car.wait_ms(1000)
        car.set("engine", True)
        assert car.vehicle.car.state.engine is False, "an ECU that fell silent has not taken its word back"

    drive(story, [ecu(frames=(frame(0x130, inhibit_bit=16),))])


def test_car_starts_while_every_ecu_has_its_application() -> None:
    async def story(car: NetCar) -> None:
        await car.wait_ms(500)
        assert set(inhibited(car)) == {False}
        car.set("engine", True)
        assert car.vehicle.car.state.engine is True

    drive(story, [ecu(frames=(frame(0x130, inhibit_bit=16),))])


def test_same_car_gives_the_same_trace() -> None:
    async def story(car: NetCar) -> str:
        await car.wait_ms(9000)
        car.set("ignition", True)
        await car.wait_ms(1000)
        return car.world.journal.sha256()

    ecus = [watcher(frames=(frame(),), management=MANAGEMENT)]
    assert drive(story, ecus, car=sleeping()) == drive(story, ecus, car=sleeping())
