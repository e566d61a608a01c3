"""The tester's diagnostic links to the ECUs of a vehicle, as its file says."""

from __future__ import annotations

from collections.abc import Mapping

from bench.assembly.transports import diag_link
from bench.core.node import Incarnation
from bench.description.affected_buses import affected_buses
from bench.description.load import BenchFiles
from bench.description.vehicle_file import VehicleFile
from bench.link.isotp_link import IsoTpFunctionalLink
from bench.ports.can import CanBus, CanPort
from bench.ports.diagnostics import EcuLinks


def functional_link(vehicle: VehicleFile, channel: str, port: CanPort) -> IsoTpFunctionalLink:
    """Return the tester's link to all ECUs of a channel."""
    habits = vehicle.functional_habits(channel)
    return IsoTpFunctionalLink(port, vehicle.functional_address(channel), habits.params(), habits.frame_flags)


def ecu_links(files: BenchFiles, buses: Mapping[str, CanBus], life: Incarnation) -> dict[str, EcuLinks]:
    """Return a diagnostic link to every ECU for this life, one port a channel."""
    ports = {name: bus.attach(life) for name, bus in buses.items()}
    channels = {channel.name: channel for channel in files.bench.channels}
    functional = {name: functional_link(files.vehicle, name, port) for name, port in ports.items()}
    return {
        ecu.id: EcuLinks(
            link=diag_link(
                channels[ecu.tester_channel],
                buses[ecu.tester_channel],
                ports[ecu.tester_channel],
                life,
                ecu.address(),
                files.vehicle.habits(ecu),
            ),
            functional=functional[ecu.tester_channel],
            elsewhere={name: functional[name] for name in affected_buses(files.vehicle, ecu)},
        )
        for ecu in files.vehicle.ecus
    }
