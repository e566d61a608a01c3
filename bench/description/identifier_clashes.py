"""Cyclic frames whose identifier something else on the same bus has: no node could tell them apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

from bench.config.invalid_key import invalid_key
from bench.description.ecu_entry import EcuEntry
from bench.description.network_files import ManagementEntry
from bench.wire.isotp import IsoTpAddress

TESTER = -1
"""Stands where an ECU's number stands, for what no ECU sends."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What puts identifiers on the buses of a traffic."""

    ecus: Sequence[EcuEntry]
    network: ManagementEntry | None
    functional_address: Callable[[str], IsoTpAddress]
    """Where functional requests on a channel go."""


@dataclass(frozen=True, slots=True)
class _Use:
    """An identifier on a channel; `sender` is the number of the ECU that puts it there."""

    channel: str
    can_id: int
    id_29_bit: bool
    what: str
    sender: int
    frame: str = ""
    """Key of the cyclic frame; empty for anything else."""
    order: int = 0
    """Which frame of the file it is, counted from 1."""
    fd: bool = False
    carried: bool = False
    """Whether a gateway put it there."""


def refuse_clashing_frames(traffic: Traffic) -> None:
    """Raise `invalid_key` for a cyclic frame with the identifier of a connection, an alive message or another frame.

    What gateways carry onto another bus counts there too.
    """
    seen: dict[tuple[str, int, bool], list[_Use]] = {}
    for use in _carried(traffic, [*_others(traffic), *_frames(traffic)]):
        known = seen.setdefault((use.channel, use.can_id, use.id_29_bit), [])
        for other in known:
            if use.what != other.what and (use.frame or other.frame):
                _refuse(use, other)
        known.append(use)


def _refuse(one: _Use, two: _Use) -> None:
    blamed, other = (one, two) if one.frame and one.order >= two.order else (two, one)
    raise invalid_key(
        f"{blamed.what} and {other.what} share identifier 0x{one.can_id:X} on {one.channel}"
        f"{' by a route' if one.carried or two.carried else ''}",
        key=f"{blamed.frame}.id", allowed=f"an identifier that nothing else has on {one.channel}",
    )  # fmt: skip


def _frames(traffic: Traffic) -> Iterator[_Use]:
    order = count(1)
    for number, ecu in enumerate(traffic.ecus):
        for place, frame in enumerate(ecu.frames):
            key = f"ecus.{number}.frames.{place}"
            yield _Use(
                channel=frame.channel or ecu.channel, can_id=frame.id, id_29_bit=frame.id_29_bit,
                what=f"frame {key} of ECU {ecu.id}", sender=number, frame=key, order=next(order), fd=frame.fd,
            )  # fmt: skip


def _others(traffic: Traffic) -> Iterator[_Use]:
    for number, ecu in enumerate(traffic.ecus):
        yield from _connections(traffic, ecu, number)
        if traffic.network is not None and ecu.nm_node is not None:
            alive = traffic.network.base_id + ecu.nm_node
            yield _Use(ecu.channel, alive, False, f"the alive messages of ECU {ecu.id}", number)


def _connections(traffic: Traffic, ecu: EcuEntry, number: int) -> Iterator[_Use]:
    for channel in dict.fromkeys((ecu.channel, ecu.tester_channel)):
        to_all = traffic.functional_address(channel)
        yield _Use(channel, to_all.tx_id, to_all.id_29_bit, "the functional requests", TESTER)
        for place, address in enumerate(ecu.places()):
            requests = place % 2 == 0
            what = f"the {'requests to' if requests else 'responses of'} ECU {ecu.id}"
            yield _Use(channel, address.can_id, address.id_29_bit, what, TESTER if requests else number)


def _carried(traffic: Traffic, uses: Iterable[_Use]) -> Iterator[_Use]:
    """Yield the uses, and what becomes of each on other buses; a gateway does not carry what it sent itself."""
    routes = [(number, route) for number, ecu in enumerate(traffic.ecus) for route in ecu.routes]
    for first in uses:
        reached, waiting = {(first.channel, first.can_id)}, [first]
        while waiting:
            use = waiting.pop(0)
            yield use
            for number, route in routes:
                if number == use.sender or not route.takes(use.channel, use.can_id, id_29_bit=use.id_29_bit, fd=use.fd):
                    continue
                can_id = route.carried_as(use.can_id)
                if (route.to, can_id) not in reached:
                    reached.add((route.to, can_id))
                    waiting.append(replace(use, channel=route.to, can_id=can_id, sender=number, carried=True))
