"""The part of *tidy* that the server's log shows: sessions end, nothing is refused, and nobody polls without pause."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.records import ServerEvent
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, passed, seconds
from bench.oracle.fold import Rule
from bench.oracle.result import Evidence
from bench.oracle.situation import Situation
from bench.oracle.stream import Event

ON_THE_WAY = ("power.agent", "power.vehicle", "power.server", "network", "server", "identity", "storage")
"""Classes of faults that can break a conversation between vehicle and server, or what the two know of each other."""
CLIENT_INITIATED = "ClientInitiatedMgmt"
POLL_SHARE = 0.9
"""A session that follows sooner than this share of the poll interval is no poll: the rest is what clocks may differ."""
_ABOUT_AN_ORDER = (
    "order_placed", "order_offered", "order_accepted", "order_refused_by_vehicle", "component_result", "order_closed",
    "registered", "bootstrap_complete", "message_refused",
)  # fmt: skip


class MessagesAreAccepted(Rule):
    """The server refuses no message of the vehicle, unless a fault on the way between the two came before."""

    takes = (ServerEvent,)
    relies_on = (Source.SERVER_EVENTS,)
    only_shown = ("_messages",)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._refused: list[Evidence] = []
        self._first = ""
        """What the sentence says of the first refusal."""
        self._messages = 0

    def take(self, event: Event) -> None:
        """Note a refusal that nothing explains."""
        entry: ServerEvent = event
        if entry.vin != self.facts.vin:
            return
        self._messages += 1
        if entry.kind == "message_refused" and not _disturbed(self.situation, 0, entry.t_ns):
            text = f"{entry.data.get('status')}: {entry.data.get('reason')}"
            self._first = self._first or text
            self._refused.append(at("server", "log", entry.t_ns, text))

    def findings(self) -> list[Finding]:
        """Return the refusals."""
        if not self.facts.watches(Source.SERVER_EVENTS):
            return []
        if self._refused:
            return [
                failed(
                    f"the server refused a message of the vehicle: {self._first}",
                    *self._refused,
                    blame="agent",
                )
            ]
        return [passed("the server refused no message", bench(f"{self._messages} entries of the log"))]


@dataclass(frozen=True, slots=True)
class _Session:
    """A session of the log and the alert that opened it."""

    session: str
    t_ns: int
    alert: str


class SessionsEnd(Rule):
    """Every session ends before the next one begins, and the last one too, unless a fault on the way tore it."""

    takes = (ServerEvent,)
    relies_on = (Source.SERVER_EVENTS,)
    only_shown = ("_sessions",)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._open: _Session | None = None
        self._left: list[Evidence] = []
        self._first = ""
        """What the sentence says of the first session without an end."""
        self._sessions = 0

    def take(self, event: Event) -> None:
        """Follow the sessions one after the other."""
        entry: ServerEvent = event
        if entry.vin != self.facts.vin:
            return
        if entry.kind == "session_ended":
            self._open = None
        elif entry.kind == "session_started":
            self._close(entry.t_ns)
            self._sessions += 1
            self._open = _Session(str(entry.data.get("session")), entry.t_ns, _alert(entry))

    def _close(self, t_ns: int) -> None:
        """Judge a session that is open although the next one begins."""
        if self._open is not None and not _disturbed(self.situation, self._open.t_ns, t_ns):
            text = f"session {self._open.session} began and never ended"
            self._first = self._first or text
            self._left.append(at("server", "log", self._open.t_ns, text))
        self._open = None

    def findings(self) -> list[Finding]:
        """Return the sessions without an end; one that began in the run's last poll interval may still go on."""
        if not self.facts.watches(Source.SERVER_EVENTS):
            return []
        left = list(self._left)
        last, ended_ns = self._open, self.situation.ended_t_ns
        late = last is not None and ended_ns - last.t_ns > self.facts.limits.poll_interval_ns
        if last is not None and late and not _disturbed(self.situation, last.t_ns, ended_ns):
            left.append(at("server", "log", last.t_ns, f"session {last.session} was open when the run ended"))
        if left:
            return [failed(self._first or left[0].text, *left, blame="agent")]
        return [passed("every session ended", bench(f"{self._sessions} sessions"))]


class PollsAsAgreed(Rule):
    """A vehicle without an order waits its poll interval between two sessions.

    A million vehicles that poll ten times as often as agreed are an attack on their own server. Only sessions count
    in which nothing but polling happened, one right after the other; faults on the way explain earlier ones (back-off).
    """

    takes = (ServerEvent,)
    relies_on = (Source.SERVER_EVENTS,)
    only_shown = ("_polls",)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._last: _Session | None = None
        self._idle = True
        self._too_soon: list[Evidence] = []
        self._polls = 0

    def take(self, event: Event) -> None:
        """Compare the beginnings of two sessions between which there was no order."""
        entry: ServerEvent = event
        if entry.vin != self.facts.vin:
            return
        if entry.kind in _ABOUT_AN_ORDER:
            self._idle = False
        elif entry.kind == "session_started":
            self._compare(entry)
            self._last = _Session(str(entry.data.get("session")), entry.t_ns, _alert(entry))
            self._idle = True

    def _compare(self, entry: ServerEvent) -> None:
        last = self._last
        if last is None or not self._idle or not all(a.endswith(CLIENT_INITIATED) for a in (last.alert, _alert(entry))):
            return
        if _disturbed(self.situation, last.t_ns, entry.t_ns):
            return
        self._polls += 1
        waited_ns = entry.t_ns - last.t_ns
        if waited_ns < POLL_SHARE * self.facts.limits.poll_interval_ns:
            self._too_soon.append(at("server", "log", entry.t_ns, f"{seconds(waited_ns)} after the session before"))

    def findings(self) -> list[Finding]:
        """Return the sessions that came too soon."""
        if not self.facts.watches(Source.SERVER_EVENTS) or not self.facts.limits.poll_interval_ns:
            return []
        agreed = f"the poll interval is {seconds(self.facts.limits.poll_interval_ns)}"
        if self._too_soon:
            sentence = f"the vehicle polled {len(self._too_soon)} times too soon, {agreed}"
            return [failed(sentence, *self._too_soon, blame="agent")]
        return [passed("the vehicle polled as agreed", bench(f"{self._polls} pairs of idle sessions, {agreed}"))]


def _alert(entry: ServerEvent) -> str:
    return str(entry.data.get("alert"))


def _disturbed(situation: Situation, since_ns: int, until_ns: int) -> bool:
    """Return whether a fault on the way between vehicle and server was there at some time in between."""
    return any(
        fault.fault_class in ON_THE_WAY
        and fault.t_ns <= until_ns
        and (fault.over_ns is None or fault.over_ns >= since_ns)
        for fault in situation.faults
    )
