"""Which ISO-TP a diagnostic link uses: ours, can-isotp's, or the kernel's (`transport` of a channel)."""

from __future__ import annotations

from bench.assembly.can_drivers import needs_module
from bench.core.clock import Clock
from bench.core.errors import InputError
from bench.core.node import Incarnation
from bench.description.addressing import TesterHabits
from bench.description.bench_file import Channel
from bench.link.isotp_link import IsoTpLink
from bench.ports.can import CanBus, CanPort
from bench.ports.diagnostics import DiagLink
from bench.wire.isotp import IsoTpAddress


def diag_link(
    channel: Channel, bus: CanBus, port: CanPort, life: Incarnation, address: IsoTpAddress, habits: TesterHabits
) -> DiagLink:
    """Return a tester's link over the transport that the channel names.

    InputError when its library is missing or cannot do what the vehicle file asks, EquipmentError when the kernel
    has no ISO-TP.
    """
    transport = "own" if life.virtual else channel.transport  # a dry run goes over a simulated bus
    if habits.classic_fallback and transport != "own":
        raise InputError(
            f"transport {transport!r} cannot fall back to classic frames",
            key="isotp.classic_fallback",
            found="true",
            allowed="false, or transport = 'own' for that channel in the bench file",
        )
    if habits.extra_gap_ms and transport != "own":
        raise InputError(
            f"transport {transport!r} keeps the gaps that the ECU asks for, no longer ones",
            key="isotp.extra_gap_ms",
            found=habits.extra_gap_ms,
            allowed="0, or transport = 'own' for that channel in the bench file",
        )
    if transport == "can-isotp":
        needs_module("isotp", extra="isotp", key="channels.transport", found="can-isotp")
        from bench.link.can_isotp_link import CanIsoTpLink

        return CanIsoTpLink(life, port, address, habits.params(), habits.frame_flags)
    if transport == "kernel":
        return _kernel(channel, bus, port, life, address, habits)
    return own_link(life, port, address, habits)


def own_link(clock: Clock, port: CanPort, address: IsoTpAddress, habits: TesterHabits) -> IsoTpLink:
    """Return a tester's link over the bench's own ISO-TP."""
    fallback = habits.classic_fallback
    return IsoTpLink(clock, port, address, habits.params(), habits.frame_flags, classic_fallback=fallback)


def _kernel(
    channel: Channel, bus: CanBus, port: CanPort, life: Incarnation, address: IsoTpAddress, habits: TesterHabits
) -> DiagLink:
    from bench.link.kernel_isotp_link import KernelIsoTpLink
    from bench.link.python_can_bus import PythonCanBus

    interface = channel.channel or channel.name
    link = KernelIsoTpLink(life, port, interface, address, habits.params(), habits.frame_flags)
    if isinstance(bus, PythonCanBus):  # the kernel sends past the bus; its frames are this node's all the same
        bus.own(address.tx_identifier, life.part)
        bus.close_with(life, link.close)
    return link
