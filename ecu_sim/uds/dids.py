"""Data identifiers as a table: who answers them, and who may write them (ISO 14229-1, annex C.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.wire.uds import Session
from ecu_sim.personality.personality import Personality

FINGERPRINT, BOOT_SOFTWARE, APPLICATION_SOFTWARE, APPLICATION_FINGERPRINT = 0xF15A, 0xF180, 0xF181, 0xF184
ACTIVE_SESSION, PART_NUMBER, SOFTWARE_ID, SOFTWARE_VERSION = 0xF186, 0xF187, 0xF188, 0xF189
SUPPLIER, MANUFACTURING_DATE, SERIAL_NUMBER, VIN = 0xF18A, 0xF18B, 0xF18C, 0xF190
HARDWARE_ID, HARDWARE_VERSION = 0xF191, 0xF193
SUPPLIER_SOFTWARE_NUMBER, SUPPLIER_SOFTWARE_VERSION = 0xF194, 0xF195
SUPPLY_VOLTAGE, UPTIME, SNAPSHOT_VERSION = 0xD001, 0xD002, 0xD003
"""Identifiers of this maker: supply in millivolts (2 bytes), milliseconds since the boot (4 bytes), and the version
of the running image in a snapshot (16 bytes)."""


@dataclass(frozen=True, slots=True)
class DidRule:
    """One identifier. `written_in`: the session in which it may be written once unlocked, None: it is read only."""

    did: int
    title: str
    application: bool = True
    bootloader: bool = True
    written_in: Session | None = None


_ALWAYS = (
    DidRule(FINGERPRINT, "fingerprint: date (BCD, yymmdd) and tester", written_in=Session.PROGRAMMING),
    DidRule(BOOT_SOFTWARE, "boot software identification"),
    DidRule(APPLICATION_SOFTWARE, "application software identification", bootloader=False),
    DidRule(APPLICATION_FINGERPRINT, "application software fingerprint"),
    DidRule(ACTIVE_SESSION, "active diagnostic session"),
    DidRule(SOFTWARE_ID, "vehicle manufacturer ECU software number", bootloader=False),
    DidRule(SOFTWARE_VERSION, "vehicle manufacturer ECU software version", bootloader=False),
    DidRule(SERIAL_NUMBER, "ECU serial number"),
    DidRule(VIN, "vehicle identification number, written once by the factory"),
    DidRule(HARDWARE_ID, "vehicle manufacturer ECU hardware number"),
    DidRule(SUPPLY_VOLTAGE, "supply voltage, millivolts"),
    DidRule(UPTIME, "time since the boot, milliseconds"),
)


def did_rules(personality: Personality) -> tuple[DidRule, ...]:
    """Return the identifiers of an ECU, by number."""
    own = (*_identification(personality), *_configuration(personality), *_user_data(personality))
    return tuple(sorted((*_ALWAYS, *own), key=lambda rule: rule.did))


def _identification(personality: Personality) -> Iterator[DidRule]:
    rules = personality.identification
    optional = (
        (rules.part_number, DidRule(PART_NUMBER, "vehicle manufacturer spare part number")),
        (rules.supplier, DidRule(SUPPLIER, "system supplier identifier")),
        (rules.manufacturing_date, DidRule(MANUFACTURING_DATE, "ECU manufacturing date (BCD, yyyymmdd)")),
        (rules.hardware_version, DidRule(HARDWARE_VERSION, "system supplier ECU hardware version")),
        (
            rules.supplier_software_number,
            DidRule(SUPPLIER_SOFTWARE_NUMBER, "system supplier ECU software number", bootloader=False),
        ),
        (
            rules.supplier_software_version,
            DidRule(SUPPLIER_SOFTWARE_VERSION, "system supplier ECU software version", bootloader=False),
        ),
        (rules.rxswin, DidRule(rules.rxswin_did, "RX software identification number (UN R156)", bootloader=False)),
    )
    yield from (rule for value, rule in optional if value is not None)


def _user_data(personality: Personality) -> Iterator[DidRule]:
    if personality.user_data is not None:
        yield DidRule(personality.user_data.state_did, "user data state", bootloader=False)


def _configuration(personality: Personality) -> Iterator[DidRule]:
    for entry in personality.diagnostics.configuration:
        yield DidRule(entry.did, entry.meaning, bootloader=False, written_in=Session.EXTENDED)
