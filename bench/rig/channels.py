"""The CAN channels of a bench file, opened: simulated buses and adapters of this machine side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench.core.world import World
from bench.link.sim_bus import SimCanBus
from bench.ports import CanBus, ChannelSpec, SenderOf
from bench.rig.can_drivers import SIM, open_adapter
from bench.rig.files import BenchFiles, Channel, VehicleFile
from bench.wire.can import CanFrame, identifier
from bench.wire.isotp import IsoTpAddress

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
        return SimCanBus(world, channel.name, channel.bitrate_bit_s, channel.data_bitrate_bit_s)
    bus = open_adapter(world, channel.driver, channel_spec(channel), senders(vehicle, channel.name))
    opened.callback(bus.close)
    return bus


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
        if ecu.channel == channel:
            testers.add(ecu.address().tx_identifier)
            responses.append((ecu.address(), ecu.id))

    def sender_of(frame: CanFrame) -> str:
        for address, ecu_id in responses:
            if address.accepts(frame):
                return ecu_id
        return TESTER if identifier(frame) in testers else UNKNOWN

    return sender_of
