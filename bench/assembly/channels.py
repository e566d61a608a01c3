"""The CAN channels of a bench file, opened: simulated buses and adapters of this machine side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from bench.assembly.can_drivers import open_adapter
from bench.core.clock import NS_PER_US
from bench.core.records import EXTENDED, FrameRecord
from bench.core.world import World
from bench.description.bench_file import SIM, Channel
from bench.description.load import BenchFiles
from bench.description.vehicle_file import VehicleFile
from bench.link.sim_bus import SimCanBus
from bench.ports.can import CanBus, ChannelSpec, SenderOf
from bench.wire.can import CanFrame, identifier
from bench.wire.isotp import IsoTpAddress
from bench.wire.isotp_params import CONSECUTIVE

UNKNOWN, TESTER = "unknown", "tester"
"""Senders in the journal: nobody whom the vehicle file knows, and another tester than ours."""


@contextmanager
def open_buses(world: World, files: BenchFiles) -> Iterator[dict[str, CanBus]]:
    """Open every channel of the bench, by name; on leaving, adapters are given back and their threads have ended.

    Within the running loop when a channel is an adapter. InputError when a driver or library is missing,
    EquipmentError when an adapter cannot be opened (those opened before are closed).
    """
    with ExitStack() as opened:
        buses: dict[str, CanBus] = {}
        for channel in files.bench.channels:
            buses[channel.name] = _open(world, channel, files.vehicle, opened)
        yield buses


def _open(world: World, channel: Channel, vehicle: VehicleFile, opened: ExitStack) -> CanBus:
    if channel.driver == SIM:
        return simulated_bus(world, channel)
    bus = open_adapter(world, channel.driver, channel_spec(channel), senders(vehicle, channel.name))
    opened.callback(bus.close)
    return bus


def note_pacing(world: World, files: BenchFiles, buses: Mapping[str, CanBus]) -> None:
    """Write into the journal which mechanism keeps short gaps on each adapter, and the gaps that were seen there."""
    for channel in files.bench.channels:
        measured = getattr(buses.get(channel.name), "pacing", None)
        if measured is not None:
            mechanism = "the kernel's timers" if channel.transport == "kernel" else measured
            gaps = gaps_seen(world.journal.frames(), files.vehicle, channel.name)
            world.journal.add(channel.name, "pacing", f"{channel.transport}: {mechanism}; {gaps}")


def gaps_seen(frames: Iterable[FrameRecord], vehicle: VehicleFile, channel: str) -> str:
    """Return in words how far apart the tester's consecutive frames were, without those after a flow control."""
    addresses = [ecu.address() for ecu in vehicle.ecus if ecu.tester_channel == channel]
    requests = {address.tx_identifier: len(address.prefix) for address in addresses}
    last: dict[int, int] = {}
    gaps_ns = []
    for frame in frames:
        key = frame.can_id | (frame.flags & EXTENDED) << 31
        if frame.channel != channel or key not in requests:
            if frame.channel == channel:
                last.clear()
            continue
        body = frame.data[requests[key] :]
        if body and body[0] >> 4 == CONSECUTIVE:
            if key in last:
                gaps_ns.append(frame.t_ns - last[key])
            last[key] = frame.t_ns
        else:
            last.pop(key, None)
    if not gaps_ns:
        return "no consecutive frames"
    gaps_ns.sort()
    low, middle, high = (gaps_ns[index] / NS_PER_US for index in (0, len(gaps_ns) // 2, -1))
    return f"{len(gaps_ns)} gaps seen, end to end: {low:.0f} to {high:.0f} us, half below {middle:.0f} us"


def stays_here(channel: Channel) -> bool:
    """Return whether a bus ends within this machine, so that test keys do no harm there."""
    virtual = channel.interface in ("virtual", "udp_multicast")
    can = channel.channel or channel.name
    return channel.driver == SIM or virtual or (channel.interface == "socketcan" and can.startswith("vcan"))


def simulated_bus(world: World, channel: Channel) -> SimCanBus:
    """Return the bus of a channel with driver `sim`."""
    rates = channel.bitrate_bit_s, channel.data_bitrate_bit_s
    return SimCanBus(world, channel.name, *rates, bursts=channel.grain == "auto")


def channel_spec(channel: Channel) -> ChannelSpec:
    """Return a channel as its driver is asked to open it."""
    return ChannelSpec(
        name=channel.name,
        interface=channel.interface,
        channel=channel.channel or channel.name,
        bitrate_bit_s=channel.bitrate_bit_s,
        data_bitrate_bit_s=channel.data_bitrate_bit_s,
        options=dict(channel.options),
    )


def senders(vehicle: VehicleFile, channel: str) -> SenderOf:
    """Return who sends a frame heard on a channel: the ECU whose response it is, or a tester."""
    testers = {vehicle.functional_address(channel).tx_identifier}
    responses: list[tuple[IsoTpAddress, str]] = []
    for ecu in vehicle.ecus:
        if ecu.tester_channel == channel:
            testers.add(ecu.address().tx_identifier)
            responses.append((ecu.address(), ecu.id))

    def sender_of(frame: CanFrame) -> str:
        for address, ecu_id in responses:
            if address.accepts(frame):
                return ecu_id
        return TESTER if identifier(frame) in testers else UNKNOWN

    return sender_of
