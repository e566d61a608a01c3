"""The table of ends: what may be said of an order, by what its targets run and what was confirmed.

One right answer for each end. Software that runs but was never confirmed is not installed: a two-bank ECU falls back
from it, and an ECU with one bank still takes older software (its floor was not raised). So such an order has *failed*,
however well the readings look.

| targets run the ordered version | confirmed: no trial, release floor raised | the server may say |
| --- | --- | --- |
| all | all, or nobody can see it | success |
| all, and had it before the run | all, or nobody can see it | success, failed, refused (nothing changed) |
| all | not all | failed |
| not all | | failed, refused |
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from bench.oracle.decode_image import header_or_none
from bench.oracle.server_log import FAILED, REFUSED, SUCCESS, Order
from bench.oracle.situation import Situation


class Confirmed(StrEnum):
    """What an ECU's non-volatile memory says of a version that it runs."""

    YES = "confirmed"
    NO = "not confirmed"
    UNSEEN = "unseen"


class End(StrEnum):
    """What the targets of an order came to."""

    REACHED = "every target is reached and confirmed"
    UNCHANGED = "every target was there before the run"
    UNCONFIRMED = "every target runs, and not every one is confirmed"
    NOT_REACHED = "not every target is reached"


MAY_SAY: Mapping[End, tuple[str, ...]] = {
    End.REACHED: (SUCCESS,),
    End.UNCHANGED: (SUCCESS, FAILED, REFUSED),
    End.UNCONFIRMED: (FAILED,),
    End.NOT_REACHED: (FAILED, REFUSED),
}


def end_of(situation: Situation, order: Order, *, reached: bool) -> End:
    """Return what an order came to; `reached` says whether every target ECU reads its version."""
    if not reached:
        return End.NOT_REACHED
    found = [confirmed(situation, order, ecu, version) for ecu, version in order.targets]
    if Confirmed.NO in found:
        return End.UNCONFIRMED
    before = [(r.ecu, r.version) for r in situation.facts.references if r.role == "installed"]
    return End.UNCHANGED if all(target in before for target in order.targets) else End.REACHED


def confirmed(situation: Situation, order: Order, ecu: str, version: str) -> Confirmed:
    """Return whether an ECU keeps a version: nothing on trial, and its floor at the version's release counter."""
    stored = situation.stored.get(ecu)
    if stored is None:
        return Confirmed.UNSEEN
    need = release_counter(situation, order, ecu, version)
    raised = need is None or stored.floor >= need
    return Confirmed.YES if raised and stored.trial is None else Confirmed.NO


def release_counter(situation: Situation, order: Order, ecu: str, version: str) -> int | None:
    """Return the release counter of the image that the order brought, or of the one the ECU held already."""
    role = "target" if ecu in situation.server.codes_of(order) else "installed"
    mine = [r for r in situation.facts.images(ecu) if r.version == version]
    headers = [header_or_none(r.header) for r in sorted(mine, key=lambda r: r.role != role)]
    return next((header.release_counter for header in headers if header is not None), None)
