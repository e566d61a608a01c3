"""What vehicle and server said to each other: OMA DM 2.0 exchanges in a few words each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import urlsplit

from bench.core.records import HttpRecord, ServerEvent
from bench.evidence.contract import values_text
from bench.evidence.view import Outcome, Step

SERVER = "server"
MAX_BODY_BYTES = 200_000
SUCCESS, REFUSALS = 1200, (1407, 1455)
"""SCOMO result codes: done; refused for its signature, content or release, or for another device."""
EVENT_WORDS = {
    "vehicle_added": "vehicle added",
    "registered": "vehicle registered",
    "package_uploaded": "package uploaded",
    "order_placed": "order placed",
    "order_refused_by_vehicle": "order refused by the vehicle",
    "component_result": "component result",
    "order_closed": "order closed",
    "message_refused": "message refused",
}
"""Server events that deserve a note of their own in the sequence; the others repeat a message beside them."""


def http_steps(records: Sequence[HttpRecord]) -> list[Step]:
    """Return one line per exchange; requests for pieces of one file are one line."""
    lines: list[Step] = []
    run: list[HttpRecord] = []
    for record in sorted(records, key=lambda r: r.t_ns):
        if run and not (record.method == "GET" and _same_request(run[-1], record)):
            lines.append(_line(run))
            run = []
        run.append(record)
    if run:
        lines.append(_line(run))
    return lines


def event_steps(events: Sequence[ServerEvent], *, expects_update: bool) -> list[Step]:
    """Return the server's decisions as notes at its line; an expected refusal is a good end."""
    return [
        Step(
            t_ns=event.t_ns,
            end_t_ns=event.t_ns,
            kind="event",
            source=SERVER,
            target=None,
            text=EVENT_WORDS[event.kind],
            detail=_event_detail(event),
            outcome=_event_outcome(event, expects_update),
            count=1,
        )
        for event in events
        if event.kind in EVENT_WORDS
    ]


def _same_request(before: HttpRecord, after: HttpRecord) -> bool:
    return (before.part, before.method, before.url) == (after.part, after.method, after.url)


def _line(run: Sequence[HttpRecord]) -> Step:
    first, last = run[0], run[-1]
    words = request_words(first.request_body)
    return Step(
        t_ns=first.t_ns,
        end_t_ns=last.t_ns,
        kind="http",
        source=first.part,
        target=SERVER,
        text=f"{first.method} {path_of(first.url)}" + (f" · {words}" if words else ""),
        detail=_answer_words(run),
        outcome="ok" if 200 <= last.status < 400 else "bad",
        count=len(run),
    )


def path_of(url: str) -> str:
    """Return the path of a URL, its last 40 characters when it is long."""
    path = urlsplit(url).path or "/"
    return path if len(path) <= 40 else "…" + path[-39:]


def _answer_words(run: Sequence[HttpRecord]) -> str:
    last = run[-1]
    status = str(last.status) if last.status else "no answer"
    said = answer_words(last.response_body)
    if said:
        return f"{status} · {said}"
    size_bytes = sum(len(record.response_body) for record in run)
    return f"{status}, {size_bytes} bytes" if size_bytes else status


def request_words(body: bytes) -> str:
    """Return what a DM message from the vehicle holds: alerts, status codes, management objects."""
    message = _object(body)
    words = [_alert_words(alert) for alert in _list(message.get("Alert"))]
    codes = [str(item["sc"]) for item in _list(message.get("Status")) if isinstance(item, dict) and "sc" in item]
    if codes:
        words.append(f"Status {' '.join(codes)}")
    if isinstance(message.get("MOData"), dict):
        words.append(f"{_short(str(message.get('ClientURI', '')))} tree")
    objects = [mo for mo in _list(message.get("MOS")) if isinstance(mo, dict) and "MOData" in mo]
    words += [f"{_short(str(mo.get('ClientURI', '')))} tree" for mo in objects]
    return ", ".join(_repeated(words))


def answer_words(body: bytes) -> str:
    """Return what a DM message from the server holds: its commands, or the object it hands out."""
    message = _object(body)
    words = []
    for command in _list(message.get("CMD")):
        if isinstance(command, list) and command:
            words.append(" ".join([str(command[0]), *(_short(str(uri)) for uri in command[-1:] if len(command) > 1)]))
    if isinstance(message.get("MOData"), dict):
        words.append(f"{_short(str(message.get('ClientURI', '')))} document")
    return ", ".join(_repeated(words))


def _alert_words(alert: object) -> str:
    if not isinstance(alert, dict):
        return "Alert"
    data = alert.get("Data")
    more = ""
    if isinstance(data, dict) and "Identifier" in data:
        more = f" {data['Identifier']} {data.get('ResultCode', '')}"
    return f"{_short(str(alert.get('AlertType', 'Alert')))}{more}"


def _short(uri: str) -> str:
    """Return the last telling part of an OMA URI: `urn:oma:mo:oma-scomo:1.1//` -> `scomo`."""
    head, _, tail = uri.partition("//")
    if tail.strip("/"):
        return tail.strip("/").rsplit("/", 1)[-1]
    words = [word for word in head.split(":") if word and not word[0].isdigit()]
    return words[-1].removeprefix("oma-") if words else uri


def _repeated(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _object(body: bytes) -> dict[str, object]:
    if not body.startswith(b"{") or len(body) > MAX_BODY_BYTES:
        return {}
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _event_detail(event: ServerEvent) -> str:
    shown = ("order", "status", "ecu", "result_code", "version", "package_id", "reason", "sc")
    return values_text({key: event.data[key] for key in shown if event.data.get(key) not in (None, "")})


def _event_outcome(event: ServerEvent, expects_update: bool) -> Outcome:
    if event.kind in ("message_refused", "order_refused_by_vehicle"):
        return "bad"
    if event.kind == "order_closed":
        return "ok" if event.data.get("status") == ("success" if expects_update else "refused") else "bad"
    if event.kind == "component_result":
        return "ok" if event.data.get("result_code") in ((SUCCESS,) if expects_update else REFUSALS) else "bad"
    return "info"
