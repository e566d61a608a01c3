"""The part of *tidy* that is heard on the bus: what was switched off is restored, and the car may be started."""

from __future__ import annotations

from dataclasses import replace

from bench.core.records import EcuLayout
from bench.oracle.bus import FunctionalRequest, Inhibited
from bench.oracle.exchange import COMMUNICATION, DTC_SETTING, Exchange
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, on_bus, passed, undecided, unseen
from bench.oracle.fold import Rule
from bench.oracle.pairing import UNANSWERED_KEPT, AnsweredLate, Exchanged
from bench.oracle.result import Evidence
from bench.oracle.situation import Situation
from bench.oracle.stream import Event

_ON = {COMMUNICATION: (0x00, 0x05), DTC_SETTING: (0x01,)}
"""Sub-functions that restore; every other one takes something away (ISO 14229-1, 0x28 and 0x85)."""
_NAMES = {COMMUNICATION: "normal communication (28)", DTC_SETTING: "DTC setting (85)"}


class Restored(Rule):
    """The last command that reached an ECU, functional or physical, restores; a refused one changed nothing.

    A reset of the ECU is no substitute: other ECUs that heard the same functional command were not reset.
    Where the tester reaches no ECU, functional commands are all that is said: 28 and 85 go out on every bus that misses
    frames meanwhile, and the last of each must restore there too.
    """

    takes = (FunctionalRequest, Exchanged, AnsweredLate)
    relies_on = (Source.FRAMES,)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        own = [layout.channel for layout in facts.layouts]
        self._others = {channel: f"the ECUs on {channel}" for channel in facts.functional if channel not in own}
        """Buses on which the tester reaches no ECU by itself, with the name of all that hear it there."""
        names = [*(layout.ecu for layout in facts.layouts), *self._others.values()]
        self._commands: dict[tuple[str, int], list[Exchange]] = {(name, s): [] for name in names for s in _ON}

    def take(self, event: Event) -> None:
        """Note a command; only the last ones are kept, for one that is refused late."""
        exchange: Exchange = event.exchange
        if exchange.service not in _ON or exchange.sub_function is None or not exchange.request.complete:
            return
        late = isinstance(event, AnsweredLate)
        for layout in self.facts.layouts:
            reached = exchange.ecu == layout.ecu or (exchange.ecu is None and exchange.channel == layout.channel)
            if reached:
                self._note((layout.ecu, exchange.service), exchange, late=late)
        if exchange.ecu is None and exchange.channel in self._others:
            self._note((self._others[exchange.channel], exchange.service), exchange, late=late)

    def _note(self, place: tuple[str, int], exchange: Exchange, *, late: bool) -> None:
        commands = self._commands[place]
        if late and exchange.negative:
            unanswered = replace(exchange, answer=None)
            self._commands[place] = [command for command in commands if command != unanswered]
        elif not late and not exchange.negative:
            kept = sorted([*commands, exchange], key=lambda command: command.request.t_end_ns)
            self._commands[place] = kept[-UNANSWERED_KEPT:]

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU and service, and for each other bus on which something was changed."""
        if not self.facts.watches(Source.FRAMES):
            return [unseen("the bus was not observed", bench("no frames"))]
        ecus = [self._of_ecu(layout, service) for layout in self.facts.layouts for service in _ON]
        return ecus + [found for channel in self._others for found in self._of_bus(channel)]

    def _of_ecu(self, layout: EcuLayout, service: int) -> Finding:
        if self._commands[layout.ecu, service]:
            return self._restored(layout.ecu, service)
        if not self.facts.watches(Source.FRAMES, layout.channel):
            return unseen(f"the bus to {layout.ecu} was not observed", bench(f"no frames of {layout.channel}"))
        nothing = on_bus(layout.channel, f"nobody changed {_NAMES[service]} of {layout.ecu}")
        return passed(f"{_NAMES[service]} of {layout.ecu} was not touched", nothing)

    def _of_bus(self, channel: str) -> list[Finding]:
        changed = [service for service in _ON if self._commands[self._others[channel], service]]
        if changed:
            return [self._restored(self._others[channel], service) for service in changed]
        if self.facts.watches(Source.FRAMES, channel):
            return []
        return [unseen(f"what was switched off on {channel} was not observed", bench(f"no frames of {channel}"))]

    def _restored(self, name: str, service: int) -> Finding:
        last = self._commands[name, service][-1]
        if last.sub_function in _ON[service]:
            return passed(f"{_NAMES[service]} of {name} is restored", command_evidence(last))
        if self.situation.crash is not None:
            sentence = f"{_NAMES[service]} of {name} was switched off when a part crashed"
            return undecided(sentence, command_evidence(last), blame="bench")
        sentence = f"{_NAMES[service]} of {name} was switched off and never on again"
        return failed(sentence, command_evidence(last), blame="flasher")


def command_evidence(exchange: Exchange) -> Evidence:
    """Return a request as evidence: who sent it to whom."""
    whom = "all ECUs" if exchange.ecu is None else exchange.ecu
    text = f"{exchange.request.sender} to {whom}: {exchange.request.payload.hex(' ').upper()}"
    return at("frame", exchange.channel, exchange.request.t_end_ns, text)


class StartIsAllowed(Rule):
    """An ECU that may inhibit the start of the car has allowed it again at the end."""

    takes = (Inhibited,)
    relies_on = (Source.FRAMES,)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._last: dict[str, Inhibited] = {}

    def take(self, event: Event) -> None:
        """Keep the last word of an ECU."""
        self._last[event.ecu] = event

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU that has such a signal."""
        if not self.facts.watches(Source.FRAMES):
            return []
        return [self._judge(layout) for layout in self.facts.layouts if layout.inhibit is not None]

    def _judge(self, layout: EcuLayout) -> Finding:
        last = self._last.get(layout.ecu)
        if last is None:
            return undecided(
                f"{layout.ecu} said nothing of the start of the car", bench("no frame with its inhibit bit")
            )
        said = "inhibits" if last.on else "allows"
        seen = at("frame", layout.channel, last.t_ns, f"{layout.ecu} {said} the start, from then on")
        if last.on and self.situation.crash is not None:
            return undecided(f"{layout.ecu} inhibited the start when a part crashed", seen, blame="bench")
        if last.on:
            return failed(f"{layout.ecu} still inhibits the start of the car", seen, blame="bootloader")
        return passed(f"{layout.ecu} allows the start of the car", seen)
