"""ISO-TP on the simulated bus: pacing against the wire's own times, and single frames only when functional."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from bench.core.clock import NS_PER_MS
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.records import BRS, EXTENDED, FD, REMOTE
from bench.core.world import World
from bench.link.isotp_link import IsoTpFunctionalLink, IsoTpLink
from bench.link.sim_bus import SimCanBus
from bench.link.sim_port import SimCanPort
from bench.ports.diagnostics import AnswerTimeout, LinkError
from bench.wire.can import CanFrame
from bench.wire.can_fd import frame_time_ns
from bench.wire.isotp import IsoTpAddress, IsoTpEndpoint, IsoTpParams, st_min_to_ns

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
    address = IsoTpAddress.normal(0x7DF, 0x7DF)
    Node(
        world, "tester", lambda life: links.append(IsoTpFunctionalLink(bus.attach(life), address, IsoTpParams()))
    ).power_on()
    with pytest.raises(ValueError, match="functional messages carry 1 to 7"):
        loop.run(links[0].send(bytes(length)))


# IsoTpLink: addresses, owners, what a time-out takes back --------------------------------------------

ADDRESS_PAIRS = [
    (IsoTpAddress.normal(0x7A0, 0x7A8), IsoTpAddress.normal(0x7A0, 0x7A8, id_29_bit=True)),
    (IsoTpAddress.mixed(0x7A0, 0x7A8, 0x41), IsoTpAddress.mixed(0x7A0, 0x7A8, 0x42)),
    (IsoTpAddress.extended(0x6F1, 0x640, 0xF1, 0x40), IsoTpAddress.extended(0x6F1, 0x640, 0xF2, 0x41)),
]
"""Two links whose frames have the same identifiers and are told apart by format or address byte."""


class Bench:
    """A bus with a tester's port and other nodes that say what tests tell them."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.world = World(self.loop, seed=1)
        self.bus = SimCanBus(self.world, "can0", NOMINAL, DATA)
        self.lives: dict[str, Incarnation] = {}
        self.tester = self.port("tester")

    def port(self, name: str) -> SimCanPort:
        Node(self.world, name, lambda life: self.lives.update({name: life})).power_on()
        return self.bus.attach(self.lives[name])

    def link(self, address: IsoTpAddress, params: IsoTpParams | None = None) -> IsoTpLink:
        return IsoTpLink(self.lives["tester"], self.tester, address, params or IsoTpParams())

    def sent(self) -> list[tuple[int, int, bytes]]:
        return [(f.can_id, f.flags, f.data) for f in self.world.journal.frames() if f.sender == "tester"]


async def nothing_came(link: IsoTpLink) -> bool:
    with pytest.raises(AnswerTimeout):
        await link.receive(5 * NS_PER_MS)
    return True


@pytest.mark.parametrize(("one", "other"), ADDRESS_PAIRS)
def test_links_with_the_same_identifiers_hear_their_own_answers_alone(one: IsoTpAddress, other: IsoTpAddress) -> None:
    bench = Bench()
    ecu = bench.port("ecu")
    links = [bench.link(one), bench.link(other)]

    async def story() -> None:
        for number, address in enumerate((one, other)):
            extension = b"" if address.rx_extension is None else bytes((address.rx_extension,))
            ecu.send(CanFrame(address.rx_id, extension + bytes((1, 0x40 + number)), address.flags))
        for number, link in enumerate(links):
            assert await link.receive(5 * NS_PER_MS) == bytes((0x40 + number,))
            assert await nothing_came(link)

    bench.loop.run(story())


@pytest.mark.parametrize("flags", [EXTENDED, REMOTE])
def test_frame_of_another_format_and_a_remote_frame_are_no_answer(flags: int) -> None:
    bench = Bench()
    ecu = bench.port("ecu")
    link = bench.link(IsoTpAddress.normal(0x7A0, 0x7A8))
    ecu.send(CanFrame(0x7A8, b"\x01\x7e", flags))
    assert bench.loop.run(nothing_came(link))


@pytest.mark.parametrize(
    "second",
    [
        IsoTpAddress.normal(0x7A0, 0x7A8),
        IsoTpAddress.normal(0x7A1, 0x7A8),
        IsoTpAddress.mixed(0x7A0, 0x7A8, 0x41),
    ],
)
def test_second_owner_of_an_identifier_pair_on_one_port_is_refused(second: IsoTpAddress) -> None:
    bench = Bench()
    bench.link(IsoTpAddress.normal(0x7A0, 0x7A8))
    with pytest.raises(ValueError, match=f"0x{second.tx_id:X} and 0x7A8 already"):
        bench.link(second)


def test_next_life_of_a_node_owns_the_pair_anew() -> None:
    bench = Bench()
    address = IsoTpAddress.normal(0x7A0, 0x7A8)
    bench.link(address)
    bench.tester = bench.bus.attach(bench.lives["tester"])
    bench.link(address)


@pytest.mark.parametrize(("one", "other"), ADDRESS_PAIRS)
def test_link_that_gives_up_takes_back_its_own_frames_only(one: IsoTpAddress, other: IsoTpAddress) -> None:
    """Nobody acknowledges for 1.5 s: the first link gives up after N_As, the frame of the other, younger one stays."""
    bench = Bench()
    first, second = bench.link(one), bench.link(other)

    async def story() -> None:
        async def give_up() -> None:
            with pytest.raises(LinkError, match="N_TIMEOUT_A"):
                await first.send(b"\x3e\x00")

        async def wait() -> None:
            await bench.loop.sleep_ns(900 * NS_PER_MS)
            await second.send(b"\x3e\x01")

        async with asyncio.TaskGroup() as group:
            group.create_task(give_up())
            group.create_task(wait())
            await bench.loop.sleep_ns(1_500 * NS_PER_MS)
            bench.port("late listener")

    bench.loop.run(story())
    assert len(bench.sent()) == 1
    assert b"\x3e\x01" in bench.sent()[0][2]


@pytest.mark.parametrize(
    ("params", "frame_flags", "flags", "length"),
    [
        (IsoTpParams(), None, 0, 8),
        (IsoTpParams(padding=None), None, 0, 3),
        (IsoTpParams(tx_dl=64), None, FD | BRS, 8),
        (IsoTpParams(tx_dl=64), FD, FD, 8),
        (IsoTpParams(tx_dl=64, tx_dl_min=64), None, FD | BRS, 64),
        (IsoTpParams(), FD | BRS, FD | BRS, 8),
    ],
)
def test_frames_of_both_links_have_the_flags_and_the_length_that_are_asked_for(
    params: IsoTpParams, frame_flags: int | None, flags: int, length: int
) -> None:
    bench = Bench()
    bench.port("ecu")
    physical = IsoTpLink(
        bench.lives["tester"], bench.tester, IsoTpAddress.normal_fixed(0xF1, 0x21), params, frame_flags
    )
    functional = IsoTpFunctionalLink(
        bench.tester, IsoTpAddress.normal_fixed(0xF1, 0x33, functional=True), params, frame_flags
    )
    bench.loop.run(physical.send(b"\x3e\x00"))
    bench.loop.run(functional.send(b"\x3e\x80"))
    assert [(can_id, sent, len(data)) for can_id, sent, data in bench.sent()] == [
        (0x18DA21F1, flags | EXTENDED, length),
        (0x18DB33F1, flags | EXTENDED, length),
    ]


def test_functional_request_behind_an_address_byte_carries_one_byte_less() -> None:
    bench = Bench()
    bench.port("ecu")
    address = IsoTpAddress.extended(0x6F1, 0x6F1, 0xDF, 0xDF)
    link = IsoTpFunctionalLink(bench.tester, address, IsoTpParams())
    bench.loop.run(link.send(bytes(6)))
    assert bench.sent() == [(0x6F1, 0, b"\xdf\x06" + bytes(6))]
    with pytest.raises(ValueError, match="functional messages carry 1 to 6"):
        bench.loop.run(link.send(bytes(7)))


@pytest.mark.parametrize("hears_fd", [True, False])
def test_fallback_finds_an_ecu_without_fd_and_leaves_one_with_fd_alone(hears_fd: bool) -> None:
    bench = Bench()
    ecu = bench.port("ecu")
    address = IsoTpAddress.normal(0x7A0, 0x7A8)
    link = IsoTpLink(bench.lives["tester"], bench.tester, address, IsoTpParams(tx_dl=64), classic_fallback=True)

    def heard(frame: CanFrame, t_ns: int) -> None:
        if hears_fd or not frame.flags & FD:
            ecu.send(CanFrame(0x7A8, b"\x01\x7e", frame.flags))

    ecu.subscribe(heard)

    async def ask() -> bool:
        await link.send(b"\x3e\x00")
        try:
            await link.receive(5 * NS_PER_MS)
        except AnswerTimeout:
            return False
        return True

    answered = [bench.loop.run(ask()) for _ in range(4)]
    kinds = [bool(flags & FD) for _, flags, _ in bench.sent()]
    assert answered == [hears_fd, True, True, True]
    assert kinds == [True, hears_fd, hears_fd, hears_fd]


def test_fallback_ends_with_the_first_fd_frame_of_the_ecu() -> None:
    bench = Bench()
    ecu = bench.port("ecu")
    address = IsoTpAddress.normal(0x7A0, 0x7A8)
    link = IsoTpLink(bench.lives["tester"], bench.tester, address, IsoTpParams(tx_dl=64), classic_fallback=True)

    async def story() -> None:
        await link.send(bytes(100))  # nobody sends flow control

    with pytest.raises(LinkError, match="N_TIMEOUT_Bs"):
        bench.loop.run(story())
    bench.loop.run(link.send(b"\x3e\x00"))
    ecu.send(CanFrame(0x7A8, b"\x01\x7e", FD | BRS))
    bench.loop.run(bench.loop.sleep_ns(NS_PER_MS))
    bench.loop.run(link.send(b"\x3e\x00"))
    assert [bool(flags & FD) for _, flags, _ in bench.sent()] == [True, False, True]


def test_run_of_frames_behind_another_address_byte_passes_an_endpoint_that_is_receiving() -> None:
    """Burst grain: the frames would be the next ones by their sequence number."""
    address = IsoTpAddress.mixed_fixed(0xF1, 0x21, 0x41)
    endpoint = IsoTpEndpoint(VirtualLoop(), IsoTpParams(), lambda data, sent: None, Ear(), address=address)
    endpoint.on_frame(b"\x41\x10\x64" + bytes(5), 0)
    own, other = b"\x41\x21" + bytes(6), b"\x42\x21" + bytes(6)
    assert 0 < endpoint.takes(own) < 100
    assert endpoint.takes(other) > 1_000_000
    endpoint.take(other, 10, bytes(60), 1)
    assert endpoint.takes(own) > 0, "nothing was taken"


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
        link = IsoTpLink(life, bus.attach(life), IsoTpAddress.normal(0x7A0, 0x7A8), IsoTpParams())
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
