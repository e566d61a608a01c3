"""Which ISO-TP a diagnostic link uses: ours, can-isotp's, or the kernel's (`transport` of a channel)."""

from __future__ import annotations

from bench.core.node import Incarnation
from bench.link.isotp_link import IsoTpLink
from bench.ports import CanBus, CanPort, DiagLink
from bench.rig.can_drivers import needs_module
from bench.rig.files import Channel
from bench.wire.isotp import IsoTpAddress, IsoTpParams


def diag_link(
    channel: Channel, bus: CanBus, port: CanPort, life: Incarnation, address: IsoTpAddress, params: IsoTpParams
) -> DiagLink:
    """Return a tester's link over the transport that the channel names.

    InputError when its library is missing, EquipmentError when the kernel has no ISO-TP.
    """
    if channel.transport == "can-isotp":
        return _can_isotp(port, life, address, params)
    if channel.transport == "kernel":
        return _kernel(channel, bus, port, life, address, params)
    return IsoTpLink(life, port, address.tx_id, address.rx_id, params)


def _can_isotp(port: CanPort, life: Incarnation, address: IsoTpAddress, params: IsoTpParams) -> DiagLink:
    needs_module("isotp", extra="isotp", key="channels.transport", found="can-isotp")
    from bench.link.can_isotp_link import CanIsoTpLink

    return CanIsoTpLink(life, port, address, params)


def _kernel(
    channel: Channel, bus: CanBus, port: CanPort, life: Incarnation, address: IsoTpAddress, params: IsoTpParams
) -> DiagLink:
    from bench.link.kernel_isotp_link import KernelIsoTpLink
    from bench.link.python_can_bus import PythonCanBus

    link = KernelIsoTpLink(life, port, channel.channel or channel.name, address, params)
    if isinstance(bus, PythonCanBus):  # the kernel sends past the bus; its frames are this node's all the same
        bus.own(address.tx_id, address.flags, life.part)
        bus.close_with(link.close)
    return link
