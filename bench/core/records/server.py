"""What goes over the network, and the log of the DM server (D8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpRecord:
    """One exchange as the network carried it, `part` being the client.

    At `t_ns` the head of the response was there; of the body, which is complete here, `delivered_bytes` came until
    `ended_t_ns` (None: all of it, at once). Of a 206 `offset` is where its body belongs (Content-Range, RFC 9110 14.4).
    """

    t_ns: int
    part: str
    method: str
    url: str
    status: int
    request_body: bytes
    response_body: bytes
    delivered_bytes: int | None = None
    ended_t_ns: int | None = None
    offset: int | None = None

    @property
    def delivered(self) -> bytes:
        """What the client got of the body."""
        return self.response_body[: self.delivered_bytes]

    @property
    def last_byte_ns(self) -> int:
        """When the last byte that came was there."""
        return self.t_ns if self.ended_t_ns is None else self.ended_t_ns


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """An entry of the DM server's event log (D8). Kinds and data: `SERVER_EVENTS`.

    `t_ns` counts from the start of the server that wrote it, `wall_ns` from 1970 by that server's date.
    """

    seq: int
    t_ns: int
    vin: str
    kind: str
    data: Mapping[str, object]
    wall_ns: int = 0


@dataclass(frozen=True, slots=True)
class ServerViewRecord:
    """What the server told a reader of its view after the run: its stored log, and what it believes of the vehicle.

    `orders` are (order, status) pairs in the order of their placing.
    """

    t_ns: int
    events: tuple[ServerEvent, ...]
    registered: bool
    ecus: Mapping[str, str]
    orders: tuple[tuple[str, str], ...]


SERVER_EVENTS: Mapping[str, str] = {
    "vehicle_added": "dev_id",
    "registered": "dev_id, repeated (bool): DmAcc was handed out",
    "bootstrap_complete": "registration is final",
    "package_uploaded": "package_id, sha256, images: [{ecu, version, software_id, release_counter}]",
    "order_placed": "order, package_id, targets: [{ecu, version}]",
    "session_started": "session, alert",
    "session_ended": "session",
    "device_info": "dev_info",
    "inventory": "ecus: {ecu: version}: what the vehicle said its ECUs hold",
    "order_offered": "order, package_id: HGET and EXEC were sent",
    "order_accepted": "order: the vehicle answered 202",
    "order_refused_by_vehicle": "order, sc: the vehicle answered the EXEC with an error",
    "component_result": "order, ecu, result_code, version, text, correlated (bool: it named its order): one component",
    "order_closed": "order, status: success | failed | refused (exactly one per order)",
    "message_refused": "status, reason, count: the 1st, 2nd, 4th, ... message of the vehicle refused with that status",
    "stranger_refused": "status, reason, count: the 1st, 2nd, 4th, ... request in its name that proved no identity",
}
"""What the server logs; the oracle folds these."""
