"""UDS of a whole bus trace at once (ISO 14229-1): what reports show; rules read the same as events (`bus.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.records import EcuLayout, RunRecord
from bench.oracle.decode_download import Block, Download, Transfers
from bench.oracle.decode_isotp import Bus, Message, messages
from bench.oracle.exchange import DOWNLOAD, WRITE_MEMORY, Exchange
from bench.oracle.pairing import AnsweredLate, Exchanged, Heard, Pairing


@dataclass(frozen=True, slots=True)
class EcuTraffic:
    """Everything diagnostic that was heard of one ECU, in order of time."""

    layout: EcuLayout
    exchanges: tuple[Exchange, ...]
    downloads: tuple[Download, ...]
    blocks: tuple[Block, ...]

    def erasures(self) -> tuple[Exchange, ...]:
        """Return the requests to erase, whether obeyed or not, complete or not."""
        return tuple(e for e in self.exchanges if e.is_routine(self.layout.erase_routine))

    def download_requests(self) -> tuple[Exchange, ...]:
        """Return the 0x34 requests, whether obeyed or not, complete or not."""
        return tuple(e for e in self.exchanges if e.service == DOWNLOAD)

    def memory_writes(self) -> tuple[Exchange, ...]:
        """Return the 0x3D requests, whether obeyed or not, complete or not."""
        return tuple(e for e in self.exchanges if e.service == WRITE_MEMORY)

    def checks_passed(self) -> tuple[Exchange, ...]:
        """Return the checks of a downloaded image that the ECU answered with status 00."""
        return tuple(e for e in self.exchanges if is_passed_check(self.layout, e))


def is_passed_check(layout: EcuLayout, exchange: Exchange) -> bool:
    """Return whether the ECU answered the check of a downloaded image with status 00."""
    answer = exchange.answer
    return exchange.is_routine(layout.check_routine) and exchange.positive and answer is not None and (
        answer.payload[4:5] == b"\x00"
    )  # fmt: skip


def listen(bus: Bus, layout: EcuLayout) -> EcuTraffic:
    """Return what was said physically to and by one ECU."""
    requests = messages(bus, layout.channel, layout.request)
    answers = messages(bus, layout.channel, layout.response)
    pairing, transfers = Pairing(layout), Transfers(layout)
    heard: list[Heard] = []
    for message, is_request in _in_order(requests, answers):
        heard += pairing.take_request(message) if is_request else pairing.take_answer(message)
    heard += pairing.finish()
    followed = [
        found
        for each in heard
        for found in (
            transfers.take(each.exchange)
            if isinstance(each, Exchanged)
            else transfers.take_late(each.exchange) if isinstance(each, AnsweredLate) else []
        )
    ]  # fmt: skip
    followed += transfers.finish()
    downloads = tuple(each for each in followed if isinstance(each, Download))
    blocks = tuple(each for each in followed if isinstance(each, Block))
    return EcuTraffic(layout, _exchanges(heard), downloads, blocks)


def _in_order(requests: Sequence[Message], answers: Sequence[Message]) -> list[tuple[Message, bool]]:
    said = [(message, True) for message in requests] + [(message, False) for message in answers]
    return sorted(said, key=lambda entry: (entry[0].t_end_ns, not entry[1]))


def _exchanges(heard: Sequence[Heard]) -> tuple[Exchange, ...]:
    """Return the exchanges in order of their requests, late answers put in."""
    late = {e.exchange.request: e.exchange for e in heard if isinstance(e, AnsweredLate)}
    found = [late.get(e.exchange.request, e.exchange) for e in heard if isinstance(e, Exchanged)]
    return tuple(sorted(found, key=lambda exchange: exchange.request.t_end_ns))


def functional(bus: Bus, record: RunRecord) -> tuple[Exchange, ...]:
    """Return the requests to all ECUs, per channel in order of time."""
    channels = tuple(dict.fromkeys(layout.channel for layout in record.layouts))
    return tuple(
        Exchange(None, channel, message)
        for channel in channels
        for message in messages(bus, channel, record.functional_address(channel))
    )
