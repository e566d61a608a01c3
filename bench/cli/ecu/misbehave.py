"""`otabench ecu --misbehave`: what a served ECU does wrong on purpose, and the list of what there is."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from bench.assembly.describe_ecu import describe_ecu
from bench.cli.ecu.output import print_json
from bench.cli.output import answers
from bench.core.errors import InputError
from bench.serving.ecu_server import AnyMisbehaviour, ServedEcu, ServedVehicle
from bench.wire import ecu_misbehave, isotp_misbehave, occasions
from bench.wire.ecu_misbehave import KINDS, EcuMisbehaviour, WrongOrder
from bench.wire.isotp_misbehave import INJECTORS

HINT = "otabench ecu --misbehave list"
ISOTP_GRAMMAR = "NAME[@WHEN], for example overflow@3"


def orders_by_ecu(texts: Sequence[str], ecus: Sequence[str]) -> dict[str, list[AnyMisbehaviour]]:
    """Read `[ECU/]WHAT`: with a colon it is UDS that goes wrong, without one ISO-TP; `InputError` says what is wrong.

    ECU may be left out where there is one.
    """
    orders: dict[str, list[AnyMisbehaviour]] = {}
    for text in texts:
        ecu, separator, what = text.rpartition("/")
        if not separator and len(ecus) > 1:
            raise InputError(
                "which ECU misbehaves?", key="--misbehave", found=text,
                allowed=" or ".join(f"{each}/{text}" for each in ecus), hint=HINT,
            )  # fmt: skip
        ecu = ecu if separator else ecus[0]
        if ecu not in ecus:
            raise InputError(
                "no such ECU is served", key="--misbehave", found=text, allowed=", ".join(f"{each}/…" for each in ecus)
            )
        orders.setdefault(ecu, []).append(
            _of_server(what) if ecu_misbehave.names_service(what) else _of_transport(what)
        )
    return orders


def _of_server(text: str) -> AnyMisbehaviour:
    try:
        return ecu_misbehave.parse(text)
    except WrongOrder as wrong:
        raise InputError(wrong.problem, key="--misbehave", found=text, allowed=wrong.allowed, hint=HINT) from None


def _of_transport(text: str) -> AnyMisbehaviour:
    name, separator, when = text.partition("@")
    try:
        return isotp_misbehave.chosen(text)
    except ValueError as error:
        problem, allowed = "no such way to misbehave", f"{error}; or of the server, {ecu_misbehave.GRAMMAR}"
        if separator and name in INJECTORS:
            problem, allowed = f"when it strikes is not readable: @{when}", str(error)
        raise InputError(problem, key="--misbehave", found=text, allowed=allowed, hint=HINT) from None


def warnings(served: ServedVehicle) -> list[str]:
    """Return a line for each order that waits for a service which the ECU does not know."""
    return [
        f"warning: {ecu.entry.id} knows no service 0x{order.starts_with[0]:02X}: {order} strikes only if a tester asks "
        "for it all the same"
        for ecu in served.ecus
        for order in ecu.misbehave
        if isinstance(order, EcuMisbehaviour) and order.starts_with and order.starts_with[0] not in _known(ecu)
    ]


def _known(ecu: ServedEcu) -> set[int]:
    return {service.sid for mode in describe_ecu(ecu.personality_path).modes for service in mode.services}


def show_all(*, as_json: bool) -> int:
    """Print every way to misbehave, with what it takes and what a tester sees."""
    if as_json:
        print_json(
            {
                "misbehave": [
                    {"name": each.name, "does": each.title, "tester_ends_in": each.ends} for each in INJECTORS.values()
                ],
                "ecu_misbehave": [
                    {"name": each.name, "value": each.value, "does": each.does, "tester_sees": each.tester_sees}
                    for each in KINDS.values()
                ],
                "grammar": {"ecu": ecu_misbehave.GRAMMAR, "isotp": ISOTP_GRAMMAR, "when": occasions.GRAMMAR},
            }
        )
        return 0
    console = answers()
    console.print(f"UDS server: {ecu_misbehave.GRAMMAR}", markup=False)
    kinds = [(each.name, each.value, each.does, each.tester_sees) for each in KINDS.values()]
    console.print(_table(("DO", "VALUE", "what the ECU does", "the tester sees"), kinds))
    console.print(f"\nISO-TP: {ISOTP_GRAMMAR}", markup=False)
    injectors = [(each.name, each.title, each.ends) for each in INJECTORS.values()]
    console.print(_table(("NAME", "what the ECU does", "the tester ends in"), injectors))
    console.print(f"\nWHEN: {occasions.GRAMMAR}", markup=False, soft_wrap=True)
    return 0


def _table(names: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Table:
    table = Table(header_style="bold")
    for name in names:
        table.add_column(name, no_wrap=name.isupper() and name != "VALUE")
    for row in rows:
        table.add_row(*row)
    return table
