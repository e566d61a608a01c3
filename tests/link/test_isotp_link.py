"""ISO-TP on the simulated bus: pacing against the wire's own times, and single frames only when functional."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from bench.core.clock import NS_PER_MS
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.records import BRS, FD
from bench.core.world import World
from bench.link.isotp_link import IsoTpFunctionalLink, IsoTpLink
from bench.link.sim_bus import SimCanBus
from bench.wire.can import CanFrame
from bench.wire.can_fd import frame_time_ns
from bench.wire.isotp import IsoTpEndpoint, IsoTpParams, st_min_to_ns

NOMINAL, DATA = 500_000, 2_000_000


class Ear:
    """Keeps complete messages."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def on_start(self, length: int) -> None:
        del length

    def on_message(self, payload: bytes) -> None:
        self.messages.append(payload)

    def on_error(self, name: str) -> None:
        pytest.fail(name)


@pytest.mark.parametrize("st_min", [0, 0xF1, 3])
@pytest.mark.parametrize(("tx_dl", "flags"), [(8, 0), (64, FD | BRS)])
def test_st_min_is_kept_from_the_end_of_a_frame_to_the_start_of_the_next_on_the_wire(
    st_min: int, tx_dl: int, flags: int
) -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)
    bus, ear = SimCanBus(world, "can0", NOMINAL, DATA), Ear()
    ends: dict[str, IsoTpEndpoint] = {}

    def plug_in(life: Incarnation, name: str, send_id: int, receive_id: int) -> None:
        port = bus.attach(life)
        end = ends[name] = IsoTpEndpoint(
            life,
            IsoTpParams(st_min=st_min, tx_dl=tx_dl),
            lambda data, sent: port.send(CanFrame(send_id, data, flags), sent),
            ear,
        )
        port.subscribe(lambda frame, t_ns: end.on_frame(frame.data, t_ns) if frame.can_id == receive_id else None)

    Node(world, "tester", lambda life: plug_in(life, "tester", 0x7A0, 0x7A8)).power_on()
    Node(world, "ecu", lambda life: plug_in(life, "ecu", 0x7A8, 0x7A0)).power_on()
    outcomes: list[str | None] = []
    payload = bytes(i * 7 & 0xFF for i in range(400))
    ends["tester"].send(payload, outcomes.append)
    loop.run(loop.sleep_ns(1_000 * NS_PER_MS))
    frames = [frame for frame in world.journal.frames() if frame.can_id == 0x7A0 and frame.data[0] >> 4 == 2]
    gaps = [
        later.t_ns - frame_time_ns(CanFrame(later.can_id, later.data, later.flags), NOMINAL, DATA) - earlier.t_ns
        for earlier, later in pairwise(frames)
    ]
    assert (outcomes, ear.messages) == ([None], [payload])
    assert len(gaps) >= 5
    assert set(gaps) == {st_min_to_ns(st_min)}


@pytest.mark.parametrize("length", [0, 8])
def test_functional_request_that_fits_no_single_frame_is_refused(length: int) -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)
    bus = SimCanBus(world, "can0", NOMINAL)
    links: list[IsoTpFunctionalLink] = []
    Node(world, "tester", lambda life: links.append(IsoTpFunctionalLink(bus.attach(life), 0x7DF, 0xCC))).power_on()
    with pytest.raises(ValueError, match="functional messages carry 1 to 7"):
        loop.run(links[0].send(bytes(length)))


def test_link_whose_sender_was_cancelled_sends_nothing_more_of_it_and_is_free_again() -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)
    bus, ear = SimCanBus(world, "can0", NOMINAL), Ear()

    def plug_in(life: Incarnation) -> None:
        port = bus.attach(life)
        end = IsoTpEndpoint(life, IsoTpParams(), lambda data, sent: port.send(CanFrame(0x7A8, data), sent), ear)
        port.subscribe(lambda frame, t_ns: end.on_frame(frame.data, t_ns) if frame.can_id == 0x7A0 else None)
        ear.on_error = lambda name: None  # type: ignore[method-assign]

    async def story(life: Incarnation) -> None:
        link = IsoTpLink(life, bus.attach(life), 0x7A0, 0x7A8, IsoTpParams())
        sending = loop.create_task(link.send(bytes(4000)))
        await life.sleep_ns(20 * NS_PER_MS)
        sending.cancel()
        await asyncio.wait((sending,))
        assert sending.cancelled()
        sent = len(world.journal.frames())
        await life.sleep_ns(NS_PER_MS)
        assert len(world.journal.frames()) <= sent + 1
        await link.send(b"\x11\x01")

    Node(world, "ecu", plug_in).power_on()
    tester = Node(world, "tester", lambda _life: None)
    tester.power_on()
    assert tester.incarnation is not None
    loop.run(story(tester.incarnation))
    assert ear.messages == [b"\x11\x01"]
    loop.discard()
