"""SCOMO 1.1: result codes, states, addresses, the inventory and the OperationComplete alert's data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from bench.wire.dm_json import DmError, as_object, as_text, member
from bench.wire.dm_uri import ClientUri, Moid


class ScomoResult(IntEnum):
    """Result codes of SCOMO operations; from 1450 on the vendor codes that installed clients use."""

    OK = 1200
    CLIENT_ERROR = 1400
    USER_CANCELLED = 1401
    DOWNLOAD_FAILED = 1402
    DOWNLOAD_UNAUTHORISED = 1403
    DOWNLOAD_OUT_OF_MEMORY = 1404
    INSTALL_FAILED = 1405
    INSTALL_OUT_OF_MEMORY = 1406
    VALIDATION_FAILED = 1407
    REMOVE_FAILED = 1408
    ACTIVATE_FAILED = 1409
    DEACTIVATE_FAILED = 1410
    NOT_IMPLEMENTED = 1411
    UNDEFINED = 1412
    UNSUPPORTED_ENVIRONMENT = 1413
    NOT_ATTEMPTED = 1451
    DEVICE_OR_VERSION_MISMATCH = 1455
    DOWNLOAD_SERVER_ERROR = 1500
    DOWNLOAD_SERVER_UNAVAILABLE = 1501


CORRELATOR = "Correlator"
"""Beside PkgURL in the document that HGET fetches, and in the data of the alert that echoes it: which order it is."""

REFUSALS = frozenset({ScomoResult.VALIDATION_FAILED, ScomoResult.DEVICE_OR_VERSION_MISMATCH})
"""The vehicle did not want the package: nothing was installed."""


def is_success(result_code: int) -> bool:
    """Return whether a code says that the operation succeeded (1200 to 1299; 200 to 299 as the slides have it)."""
    return 1200 <= result_code <= 1299 or 200 <= result_code <= 299


def result_name(result_code: int) -> str:
    """Return a code's name in words."""
    try:
        return ScomoResult(result_code).name.lower().replace("_", " ")
    except ValueError:
        return f"code {result_code}"


class DeployedState(IntEnum):
    """`Inventory/Deployed/<x>/State`."""

    INACTIVE = 10
    ACTIVE = 20


def pkg_url_node(package_id: str) -> ClientUri:
    """Return the node that holds a package's URL."""
    return ClientUri(Moid.SCOMO.value, ("Download", package_id, "PkgURL"))


def download_install_node(package_id: str) -> ClientUri:
    """Return the operation that downloads and installs a package."""
    return ClientUri(Moid.SCOMO.value, ("Download", package_id, "Operations", "DownloadInstall"))


def deployed_node(ecu: str) -> ClientUri:
    """Return the node of an installed component (here: an ECU's software)."""
    return ClientUri(Moid.SCOMO.value, ("Inventory", "Deployed", ecu))


def package_of(uri: ClientUri) -> str:
    """Return the package id in a URI under `Download/`; `DmError` when it names none."""
    if uri.moid != Moid.SCOMO or len(uri.path) < 2 or uri.path[0] != "Download":
        raise DmError(f"{uri} names no package under Download/")
    return uri.path[1]


@dataclass(frozen=True, slots=True)
class Component:
    """The software of one ECU; `version` is empty when only its bootloader answers."""

    ecu: str
    name: str
    version: str
    state: DeployedState = DeployedState.ACTIVE


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is deployed in a vehicle: the answer to GET on the SCOMO root."""

    components: tuple[Component, ...]

    def tree(self) -> dict[str, Any]:
        """Return the MOData for GET of the SCOMO root."""
        deployed = {
            item.ecu: {"ID": item.ecu, "Name": item.name, "Version": item.version, "State": str(item.state.value)}
            for item in self.components
        }
        return {"scomo": {"Download": {}, "Inventory": {"Deployed": deployed}}}

    @classmethod
    def read(cls, data: Mapping[str, Any], lint: list[str]) -> Inventory:
        """Read the MOData of the SCOMO root; components in the order of their names."""
        scomo = as_object(member(data, "scomo", "MOData"), "scomo")
        inventory = as_object(member(scomo, "Inventory", "scomo"), "Inventory")
        deployed = as_object(member(inventory, "Deployed", "Inventory"), "Inventory/Deployed")
        return cls(tuple(_component(ecu, deployed[ecu], lint) for ecu in sorted(deployed)))


def _component(ecu: str, value: Any, lint: list[str]) -> Component:
    where = f"Inventory/Deployed/{ecu}"
    found = as_object(value, where)
    if as_text(member(found, "ID", where), f"{where}/ID") != ecu:
        raise DmError(f"{where}/ID is {found['ID']!r}, not the name of its node")
    state = read_state(found.get("State", "20"), f"{where}/State", lint)
    name = as_text(found.get("Name", ""), f"{where}/Name")
    version = as_text(member(found, "Version", where), f"{where}/Version")
    try:
        return Component(ecu, name, version, DeployedState(int(state or "20")))
    except ValueError:
        raise DmError(f"{where}/State is {state}, expected 10 or 20") from None


def read_state(value: Any, where: str, lint: list[str]) -> str:
    """Return a State as the decimal text that the slides use; an integer is an alias, "" means absent."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 999:
        lint.append(f"{where} is an integer, expected a decimal string")
        return str(value)
    text = as_text(value, where)
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 3):
        raise DmError(f"{where} is {text!r}, expected a decimal string or an empty one")
    return text


def read_result_code(value: Any, where: str, lint: list[str]) -> int:
    """Return a ResultCode; a decimal string is an alias."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 4:
        lint.append(f"{where} is a string, expected an integer")
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 100 <= value <= 9999:
        raise DmError(f"{where} is {value!r}, expected an integer from 100 to 9999")
    return value
