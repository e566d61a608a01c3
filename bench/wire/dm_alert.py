"""Alerts of DM 2.0: the generic alert, the SCOMO OperationComplete in it, and their reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bench.wire.dm_json import DmError, as_int, as_list, as_object, as_text, member
from bench.wire.dm_scomo import (
    CORRELATOR,
    deployed_node,
    download_install_node,
    is_success,
    package_of,
    read_result_code,
    read_state,
)
from bench.wire.dm_uri import ClientUri


class AlertType(StrEnum):
    """Alerts that this project sends or understands."""

    SERVER_INITIATED = "urn:oma:at:dm:2.0:ServerInitiatedMgmt"
    CLIENT_INITIATED = "urn:oma:at:dm:2.0:ClientInitiatedMgmt"
    BOOTSTRAP_COMPLETE = "urn:oma:at:dm:2.0:BootstrapComplete"
    SCOMO_COMPLETE = "urn:oma:at:scomo:1.0:OperationComplete"


START_ALERTS = (AlertType.SERVER_INITIATED, AlertType.CLIENT_INITIATED, AlertType.BOOTSTRAP_COMPLETE)


class Mark(StrEnum):
    """How much an alert matters."""

    FATAL = "fatal"
    CRITICAL = "critical"
    MINOR = "minor"
    WARNING = "warning"
    INFORMATIONAL = "informational"
    HARMLESS = "harmless"
    INDETERMINATE = "indeterminate"


MARK_ALIASES = {"information": Mark.INFORMATIONAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert of package #1 or #3; `ResultCode` (int) and `State` (decimal text) in `data` are normalised."""

    alert_type: str
    source_uri: ClientUri | None = None
    target_uri: ClientUri | None = None
    mark: Mark = Mark.INFORMATIONAL
    data: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Return the alert as it stands in a body."""
        found: dict[str, Any] = {"AlertType": self.alert_type, "Mark": self.mark.value}
        if self.source_uri is not None:
            found["SourceURI"] = str(self.source_uri)
        if self.target_uri is not None:
            found["TargetURI"] = str(self.target_uri)
        if self.data:
            found |= {"DataType": "application/json", "Data": self.data}
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationComplete:
    """The result of DownloadInstall for one component, or for all of them (`ecu` is empty).

    `correlator` is the one that came with the package's URL, echoed if and only if one came (as FUMO 1.0 has it, from
    memory); `version` and `text` are optional extensions.
    """

    package_id: str
    ecu: str
    result_code: int
    state: str = ""
    version: str = ""
    text: str = ""
    correlator: str = ""

    def alert(self) -> Alert:
        """Return the alert that reports this result."""
        data: dict[str, Any] = {"ResultCode": self.result_code, "Identifier": self.ecu, "State": self.state}
        optional = {"Version": self.version, "Text": self.text, CORRELATOR: self.correlator}
        data |= {name: value for name, value in optional.items() if value}
        return Alert(
            alert_type=AlertType.SCOMO_COMPLETE.value,
            source_uri=download_install_node(self.package_id),
            target_uri=deployed_node(self.ecu) if self.ecu else None,
            mark=Mark.INFORMATIONAL if is_success(self.result_code) else Mark.CRITICAL,
            data=data,
        )

    @classmethod
    def of(cls, alert: Alert) -> OperationComplete:
        """Read an alert; `DmError` when it names no package, no result, or two different components."""
        if alert.source_uri is None:
            raise DmError("OperationComplete has no SourceURI")
        target = alert.target_uri.path[-1] if alert.target_uri and alert.target_uri.path else ""
        named = as_text(alert.data.get("Identifier", target), "Data/Identifier")
        if target and named != target:
            raise DmError(f"Identifier is {named!r}, TargetURI says {target!r}")
        return cls(
            package_id=package_of(alert.source_uri),
            ecu=named,
            result_code=as_int(member(alert.data, "ResultCode", "Data"), "Data/ResultCode"),
            state=as_text(alert.data.get("State", ""), "Data/State"),
            version=as_text(alert.data.get("Version", ""), "Data/Version"),
            text=as_text(alert.data.get("Text", ""), "Data/Text"),
            correlator=as_text(alert.data.get(CORRELATOR, ""), "Data/Correlator"),
        )


def read_alerts(body: Mapping[str, Any], lint: list[str]) -> tuple[Alert, ...]:
    """Read the member Alert of a body; none when it is absent."""
    listed = as_list(body.get("Alert", []), "Alert")
    return tuple(_read_alert(value, f"Alert[{n}]", lint) for n, value in enumerate(listed))


def readable_alerts(body: Mapping[str, Any]) -> tuple[Alert, ...]:
    """Return those alerts of a body that can be read: what a broken message reports all the same."""
    listed = body.get("Alert", [])
    found = []
    for n, value in enumerate(listed if isinstance(listed, list) else []):
        try:
            found.append(_read_alert(value, f"Alert[{n}]", []))
        except DmError:  # the message is refused with the first mistake; this one may be another
            continue
    return tuple(found)


def _read_alert(value: Any, where: str, lint: list[str]) -> Alert:
    found = as_object(value, where)
    uris = [
        ClientUri.read(as_text(found[name], f"{where}.{name}"), lint) if name in found else None
        for name in ("SourceURI", "TargetURI")
    ]
    return Alert(
        alert_type=as_text(member(found, "AlertType", where), f"{where}.AlertType"),
        source_uri=uris[0],
        target_uri=uris[1],
        mark=_read_mark(as_text(found.get("Mark", Mark.INFORMATIONAL.value), f"{where}.Mark"), where, lint),
        data=_read_alert_data(as_object(found.get("Data", {}), f"{where}.Data"), f"{where}.Data", lint),
    )


def _read_mark(text: str, where: str, lint: list[str]) -> Mark:
    alias = MARK_ALIASES.get(text.lower())
    if alias is not None:
        lint.append(f"Mark {text}: read as {alias}")
        return alias
    try:
        return Mark(text)
    except ValueError:
        raise DmError(f"{where}.Mark is {text!r}, expected one of {', '.join(Mark)}") from None


def _read_alert_data(found: dict[str, Any], where: str, lint: list[str]) -> dict[str, Any]:
    """Bring ResultCode and State to one spelling and type (docs/dm-dialect.md)."""
    data: dict[str, Any] = {}
    for name, value in found.items():
        standard = {"resultcode": "ResultCode", "state": "State"}.get(name.lower(), name)
        if standard != name:
            lint.append(f"{where}.{name}: read as {standard}")
        if standard in data:
            raise DmError(f"{where} holds {standard} in two spellings")
        data[standard] = value
    if "ResultCode" in data:
        data["ResultCode"] = read_result_code(data["ResultCode"], f"{where}.ResultCode", lint)
    if "State" in data:
        data["State"] = read_state(data["State"], f"{where}.State", lint)
    return data
