"""DM 2.0 messages as frozen values: one canonical writer, one reader with closed aliases (docs/dm-dialect.md).

`encode()` gives canonical JSON; `decode()` reads what the standard or the seed slides allow, notes every alias it
needed in `lints` (not part of equality), and raises `DmError` for everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from bench.core.canonical import canonical_json
from bench.wire.dm_alert import START_ALERTS, Alert, AlertType, read_alerts
from bench.wire.dm_json import DmError, as_int, as_list, as_object, as_text, as_texts, member, parse_object
from bench.wire.dm_uri import ClientUri, Moid, read_moid

T = TypeVar("T")

INITIATION_TYPE = "application/vnd.oma.dm.initiation+json"
REQUEST_TYPE = "application/vnd.oma.dm.request+json"
RESPONSE_TYPE = "application/vnd.oma.dm.response+json"

SC_OK, SC_ACCEPTED = 200, 202
"""Status codes of executed and of accepted commands; the others are HTTP's (404, 405, 406, ...)."""

NOT_NOW = frozenset({405, 417, 503})
"""Status codes by which a client says that it cannot execute a command now: 405, not allowed in the node's present
state (it is at work on another order), 417 of SyncML, retry later (from memory), 503, unavailable for a while."""


class Verb(StrEnum):
    """Commands of package #2."""

    HGET = "HGET"
    HPUT = "HPUT"
    HPOST = "HPOST"
    DELETE = "DELETE"
    EXEC = "EXEC"
    GET = "GET"
    SHOW = "SHOW"
    CONT = "CONT"
    END = "END"
    DEFAULT = "DEFAULT"
    SUB = "SUB"
    UNSUB = "UNSUB"


@dataclass(frozen=True, slots=True)
class Command:
    """One command of package #2 with its arguments as they stand (`ClientUri.read` them where one is due)."""

    verb: Verb
    args: tuple[str, ...] = ()


END = Command(Verb.END)


@dataclass(frozen=True, slots=True)
class ManagementObject:
    """An entry of package #1's MOS list: an MO that the client has, with its instances."""

    moid: str
    miid: tuple[str, ...] = ("miid1",)


@dataclass(frozen=True, slots=True)
class MoData:
    """A node and the data below it, as GET returns it and HGET fetches it."""

    client_uri: ClientUri
    data: Mapping[str, Any]

    def encode(self) -> bytes:
        """Return the document as HGET fetches it."""
        return canonical_json(self._json())

    @classmethod
    def decode(cls, raw: bytes) -> MoData:
        """Read a document fetched by HGET."""
        return _read_pair(parse_object(raw, "document"), "document", [])

    def _json(self) -> dict[str, Any]:
        return {"ClientURI": str(self.client_uri), "MOData": self.data}


@dataclass(frozen=True, slots=True)
class Status:
    """How one command of package #2 went (`sc`), with the nodes it touched."""

    sc: int
    uris: tuple[ClientUri, ...] = ()

    def _json(self) -> dict[str, Any]:
        return {"sc": self.sc, "URI": [str(uri) for uri in self.uris]} if self.uris else {"sc": self.sc}


@dataclass(frozen=True, slots=True)
class Initiation:
    """Package #1: the client opens a session; `start_alert` is the one that says why."""

    mos: tuple[ManagementObject, ...] = ()
    alerts: tuple[Alert, ...] = ()
    lints: tuple[str, ...] = field(default=(), compare=False)

    @property
    def start_alert(self) -> AlertType:
        """Return the start alert; a message without one counts as initiated by the client."""
        found = [AlertType(alert.alert_type) for alert in self.alerts if alert.alert_type in START_ALERTS]
        return found[0] if found else AlertType.CLIENT_INITIATED

    def encode(self) -> bytes:
        """Return the canonical body (no MOS member when the list is empty, as in BootstrapComplete)."""
        body: dict[str, Any] = {"Alert": [alert.json() for alert in self.alerts]}
        if self.mos:
            body["MOS"] = [{"MOID": mo.moid, "MIID": list(mo.miid)} for mo in self.mos]
        return canonical_json(body)

    @classmethod
    def decode(cls, raw: bytes) -> Initiation:
        """Read a body; `DmError` when it is not a package #1."""
        return cls._read(parse_object(raw), [])

    @classmethod
    def _read(cls, body: dict[str, Any], lint: list[str]) -> Initiation:
        if "MOS" not in body and "Alert" not in body:
            raise DmError("body has neither MOS nor Alert: not an initiation")
        mos = tuple(_each(body.get("MOS", []), "MOS", lambda value, where: _read_mo(value, where, lint)))
        alerts = read_alerts(body, lint)
        starts = sum(alert.alert_type in START_ALERTS for alert in alerts)
        if starts > 1:
            raise DmError(f"Alert holds {starts} start alerts, exactly one is due")
        if not starts:
            lint.append("no start alert: ClientInitiatedMgmt assumed")
        return cls(mos, alerts, tuple(lint))


@dataclass(frozen=True, slots=True)
class Commands:
    """Package #2: what the server wants done, in order."""

    commands: tuple[Command, ...]
    lints: tuple[str, ...] = field(default=(), compare=False)

    @property
    def ends(self) -> bool:
        """Return whether the session is over after these commands: no package #3 may follow."""
        return any(command.verb is Verb.END for command in self.commands)

    def encode(self) -> bytes:
        """Return the canonical body."""
        return canonical_json({"CMD": [[command.verb.value, *command.args] for command in self.commands]})

    @classmethod
    def decode(cls, raw: bytes) -> Commands:
        """Read a body; `DmError` when it is not a package #2, or is an error in an HTTP 200 (docs/dm-dialect.md)."""
        lint: list[str] = []
        body = parse_object(raw)
        if "CMD" not in body:
            _refuse_hidden_error(body)
        listed = as_list(member(body, "CMD", "body"), "CMD")
        if listed and isinstance(listed[0], str):
            lint.append("CMD is one flat command, expected a list of lists")
            listed = [listed]
        return cls(tuple(_each(listed, "CMD", lambda value, where: _read_command(value, where, lint))), tuple(lint))


@dataclass(frozen=True, slots=True)
class Response:
    """Package #3: a status for each command of #2, in order, and the data that GET asked for."""

    statuses: tuple[Status, ...]
    mo_data: tuple[MoData, ...] = ()
    alerts: tuple[Alert, ...] = ()
    lints: tuple[str, ...] = field(default=(), compare=False)

    def encode(self) -> bytes:
        """Return the canonical body: one pair beside Status, several in a list."""
        body: dict[str, Any] = {"Status": [status._json() for status in self.statuses]}
        if len(self.mo_data) == 1:
            body |= self.mo_data[0]._json()
        elif self.mo_data:
            body["MOS"] = [item._json() for item in self.mo_data]
        if self.alerts:
            body["Alert"] = [alert.json() for alert in self.alerts]
        return canonical_json(body)

    @classmethod
    def decode(cls, raw: bytes) -> Response:
        """Read a body; `DmError` when it is not a package #3."""
        return cls._read(parse_object(raw), [])

    @classmethod
    def _read(cls, body: dict[str, Any], lint: list[str]) -> Response:
        listed = member(body, "Status", "body")
        statuses = tuple(_each(listed, "Status", lambda value, where: _read_status(value, where, lint)))
        return cls(statuses, _read_mo_data(body, lint), read_alerts(body, lint), tuple(lint))


@dataclass(frozen=True, slots=True, kw_only=True)
class DevInfo:
    """DevInfo of DM 2.0; every value may be empty but the device id."""

    dev_id: str
    man: str = "otabench"
    mod: str = ""
    dm_v: str = "2.0"
    lang: str = "en"
    dev_type: str = "vehicle"
    oem: str = ""
    fw_v: str = ""
    sw_v: str = ""
    hw_v: str = ""

    def tree(self) -> dict[str, Any]:
        """Return the MOData for GET of the DevInfo root."""
        return {"DevInfo": {name: getattr(self, attribute) for name, attribute in _DEV_INFO_NODES.items()}}

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> DevInfo:
        """Read the MOData of the DevInfo root."""
        found = as_object(member(data, "DevInfo", "MOData"), "DevInfo")
        if not as_text(member(found, "DevID", "DevInfo"), "DevInfo/DevID"):
            raise DmError("DevInfo/DevID is empty")
        values = {
            attribute: as_text(found.get(name, ""), f"DevInfo/{name}") for name, attribute in _DEV_INFO_NODES.items()
        }
        return cls(**values)


_DEV_INFO_NODES = {
    "DevID": "dev_id", "Man": "man", "Mod": "mod", "DmV": "dm_v", "Lang": "lang", "DevType": "dev_type",
    "OEM": "oem", "FwV": "fw_v", "SwV": "sw_v", "HwV": "hw_v",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Registration:
    """The registration request: DevInfo with the VIN in clear and sealed for the server (seed slides)."""

    dev_info: DevInfo
    vin: str
    encrypted_vin: str
    lints: tuple[str, ...] = field(default=(), compare=False)

    def encode(self) -> bytes:
        """Return the canonical body."""
        tree = self.dev_info.tree()
        tree["DevInfo"]["Ext"] = {"VIN": self.vin, "EncryptedVIN": self.encrypted_vin}
        return MoData(ClientUri(Moid.DEVINFO.value), tree).encode()

    @classmethod
    def decode(cls, raw: bytes) -> Registration:
        """Read a body; `DmError` when it is not a registration request."""
        return cls._read(parse_object(raw), [])

    @classmethod
    def _read(cls, body: dict[str, Any], lint: list[str]) -> Registration:
        pair = _read_pair(body, "body", lint)
        if pair.client_uri != ClientUri(Moid.DEVINFO.value, miid=pair.client_uri.miid):
            raise DmError(f"ClientURI is {pair.client_uri}, a registration sends {Moid.DEVINFO}//")
        info = DevInfo.read(pair.data)
        extra = as_object(member(pair.data["DevInfo"], "Ext", "DevInfo"), "DevInfo/Ext")
        vin = as_text(member(extra, "VIN", "DevInfo/Ext"), "Ext/VIN")
        sealed = as_text(member(extra, "EncryptedVIN", "DevInfo/Ext"), "Ext/EncryptedVIN")
        return cls(info, vin, sealed, tuple(lint))


@dataclass(frozen=True, slots=True)
class DmAcc:
    """The answer to a registration: the server's address, its certificate (PEM or empty) and the sealed token."""

    srv_id: str
    srv_uri: str
    certificate_pem: str
    secret: str
    lints: tuple[str, ...] = field(default=(), compare=False)

    def encode(self) -> bytes:
        """Return the canonical body."""
        auth = {"Trsp": {"Data": self.certificate_pem, "Secret": self.secret}}
        tree = {"DmAcc": {"SrvID": self.srv_id, "SrvURI": self.srv_uri, "Auth": auth}}
        return MoData(ClientUri(Moid.DMACC.value), tree).encode()

    @classmethod
    def decode(cls, raw: bytes) -> DmAcc:
        """Read a body; `DmError` when it is not a DmAcc, or is an error in an HTTP 200."""
        lint: list[str] = []
        body = parse_object(raw)
        if "MOData" not in body:
            _refuse_hidden_error(body)
        pair = _read_pair(body, "body", lint)
        if pair.client_uri.moid != Moid.DMACC:
            raise DmError(f"ClientURI is {pair.client_uri}, expected {Moid.DMACC}//")
        account = as_object(member(pair.data, "DmAcc", "MOData"), "DmAcc")
        auth = as_object(member(account, "Auth", "DmAcc"), "DmAcc/Auth")
        transport = as_object(member(auth, "Trsp", "DmAcc/Auth"), "DmAcc/Auth/Trsp")
        return cls(
            srv_id=as_text(member(account, "SrvID", "DmAcc"), "DmAcc/SrvID"),
            srv_uri=as_text(member(account, "SrvURI", "DmAcc"), "DmAcc/SrvURI"),
            certificate_pem=as_text(member(transport, "Data", "Trsp"), "DmAcc/Auth/Trsp/Data"),
            secret=as_text(member(transport, "Secret", "Trsp"), "DmAcc/Auth/Trsp/Secret"),
            lints=tuple(lint),
        )


def bootstrap_complete(result_code: int = SC_OK) -> Initiation:
    """Return the message that makes a registration final."""
    data = {"ResultCode": result_code, "State": ""}
    return Initiation(alerts=(Alert(alert_type=AlertType.BOOTSTRAP_COMPLETE.value, data=data),))


def decode_client_message(raw: bytes) -> Initiation | Response | Registration:
    """Read what a client POSTed, told apart by its members, not by its Content-Type (docs/dm-dialect.md)."""
    body = parse_object(raw)
    if "Status" in body:
        return Response._read(body, [])
    if "MOData" in body:
        return Registration._read(body, [])
    return Initiation._read(body, [])


def _each(value: Any, where: str, read: Callable[[Any, str], T]) -> list[T]:
    return [read(item, f"{where}[{n}]") for n, item in enumerate(as_list(value, where))]


def _read_mo(value: Any, where: str, lint: list[str]) -> ManagementObject:
    found = as_object(value, where)
    moid = read_moid(as_text(member(found, "MOID", where), f"{where}.MOID"), lint)
    return ManagementObject(moid, as_texts(member(found, "MIID", where), f"{where}.MIID"))


def _read_command(value: Any, where: str, lint: list[str]) -> Command:
    words = as_texts(value, where)
    if not words:
        raise DmError(f"{where} is empty, expected a verb")
    try:
        verb = Verb(words[0].upper())
    except ValueError:
        raise DmError(f"{where} begins with {words[0]!r}, which is no command") from None
    if words[0] != verb:
        lint.append(f"command {words[0]}: verbs are upper case")
    return Command(verb, words[1:])


def _read_status(value: Any, where: str, lint: list[str]) -> Status:
    found = as_object(value, where)
    sc = as_int(member(found, "sc", where), f"{where}.sc")
    if not 100 <= sc <= 1599:
        raise DmError(f"{where}.sc is {sc}, expected 100 to 1599")
    if sc >= 1200:
        lint.append(f"{where}.sc is {sc}: an MO's result code belongs in an alert")
    return Status(sc, tuple(ClientUri.read(uri, lint) for uri in as_texts(found.get("URI", []), f"{where}.URI")))


def _read_pair(found: dict[str, Any], where: str, lint: list[str]) -> MoData:
    if "ClientURL" in found and "ClientURI" not in found:
        lint.append("ClientURL: read as ClientURI")
        found = {**found, "ClientURI": found["ClientURL"]}
    uri = ClientUri.read(as_text(member(found, "ClientURI", where), f"{where}.ClientURI"), lint)
    return MoData(uri, as_object(member(found, "MOData", where), f"{where}.MOData"))


def _read_mo_data(body: dict[str, Any], lint: list[str]) -> tuple[MoData, ...]:
    if "MOData" in body:
        return (_read_pair(body, "body", lint),)
    if "Data" in body and "MOS" not in body:
        lint.append("Data: read as MOS")
        body = {**body, "MOS": body["Data"]}
    return tuple(
        _each(body.get("MOS", []), "MOS", lambda value, where: _read_pair(as_object(value, where), where, lint))
    )


def _refuse_hidden_error(body: dict[str, Any]) -> None:
    for name in sorted(body):
        if name.lower() == "responsecode":
            raise DmError(f"the server answered with error {body[name]!r} inside HTTP 200")
