"""What testers and ECUs said to each other, from the oracle's decoders; long transfers folded into one line."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.clock import NS_PER_MS
from bench.core.records import EcuLayout, RunRecord
from bench.evidence.uds_names import DIDS, SERVICES, answer_name, request_name
from bench.evidence.view import Outcome, Step
from bench.oracle import decode_uds
from bench.oracle.decode_isotp import Bus, Message, messages, split
from bench.oracle.exchange import NEGATIVE

PENDING = 0x78
TESTER_PRESENT, TRANSFER_DATA, READ_DID, VERSION_DID = 0x3E, 0x36, 0x22, 0xF189
FOLDED = (TRANSFER_DATA, TESTER_PRESENT, READ_DID)
FOLD_PAUSE_NS = 2_500 * NS_PER_MS
"""Longer than the pause between two TesterPresent (2 s): what such a silence parts stands on two lines."""
WITH_SUB_FUNCTION = (0x10, 0x11, 0x27, 0x28, 0x29, 0x31, 0x3E, 0x85)


@dataclass(frozen=True, slots=True)
class Talk:
    """A request, its final answer, and how often the ECU asked for patience; `ecu` None: functional addressing."""

    ecu: str | None
    request: Message
    answer: Message | None
    pending: int

    @property
    def sid(self) -> int:
        """The service identifier of the request."""
        return self.request.payload[0]

    @property
    def end_t_ns(self) -> int:
        """When the last byte of it crossed the bus."""
        return self.answer.t_end_ns if self.answer else self.request.t_end_ns

    @property
    def outcome(self) -> Outcome:
        """Good, refused, or without an answer (expected for suppressed and functional ones)."""
        if self.answer is not None:
            return "bad" if answer_name(self.answer.payload).startswith(("NRC", "refused")) else "ok"
        return "info" if self.ecu is None or self.suppressed else "bad"

    @property
    def suppressed(self) -> bool:
        """Whether the request asks for no positive answer (suppressPosRspMsgIndicationBit)."""
        payload = self.request.payload
        return self.sid in WITH_SUB_FUNCTION and len(payload) > 1 and bool(payload[1] & 0x80)

    def routine(self) -> int | None:
        """Return the routine that a 0x31 starts, or None."""
        payload = self.request.payload
        return int.from_bytes(payload[2:4], "big") if self.sid == 0x31 and len(payload) >= 4 else None


def talks(record: RunRecord) -> list[Talk]:
    """Return every diagnostic request on the observed buses, in order, each with its final answer."""
    bus = split(record.frames.items)
    found = [Talk(None, exchange.request, None, 0) for exchange in decode_uds.functional(bus, record)]
    for layout in record.layouts:
        waits = _pending(bus, layout)
        for exchange in decode_uds.listen(bus, layout).exchanges:
            begin = exchange.request.t_end_ns
            end = exchange.answer.t_end_ns if exchange.answer else begin
            count = sum(begin <= t_ns <= end and sid == exchange.service for t_ns, sid in waits)
            found.append(Talk(layout.ecu, exchange.request, exchange.answer, count))
    known = [talk for talk in found if talk.ecu is not None or talk.sid in SERVICES]
    return sorted(known, key=lambda talk: talk.request.t_start_ns)


def _pending(bus: Bus, layout: EcuLayout) -> list[tuple[int, int]]:
    """Return (instant, service) of each 0x78."""
    answers = messages(bus, layout.channel, layout.response)
    return [
        (answer.t_end_ns, answer.payload[1])
        for answer in answers
        if len(answer.payload) == 3 and answer.payload[0] == NEGATIVE and answer.payload[2] == PENDING
    ]


def steps(all_talks: Sequence[Talk], breaks_ns: Sequence[int] = ()) -> list[Step]:
    """Return the talks as lines of the sequence; runs of equal ones are one line, but never across `breaks_ns`.

    A line that reached over a power cut or a boot would show an answer before its cause.
    """
    breaks = sorted(breaks_ns)
    lines: list[Step] = []
    run: list[Talk] = []
    for talk in all_talks:
        if run and (_parted(run[-1], talk, breaks) or not _folds(run[-1], talk)):
            lines.append(_line(run))
            run = []
        run.append(talk)
    if run:
        lines.append(_line(run))
    return lines


def _parted(before: Talk, after: Talk, breaks_ns: Sequence[int]) -> bool:
    first = bisect_right(breaks_ns, before.request.t_start_ns)
    return first < len(breaks_ns) and breaks_ns[first] <= after.end_t_ns


def _folds(before: Talk, after: Talk) -> bool:
    return (
        after.sid in FOLDED
        and (before.sid, before.ecu, before.outcome) == (after.sid, after.ecu, after.outcome)
        and before.request.sender == after.request.sender
        and after.request.t_start_ns - before.end_t_ns < FOLD_PAUSE_NS
    )


def _line(run: Sequence[Talk]) -> Step:
    first, last = run[0], run[-1]
    return Step(
        t_ns=first.request.t_start_ns,
        end_t_ns=last.end_t_ns,
        kind="uds" if first.ecu else "functional",
        source=first.request.sender,
        target=first.ecu,
        text=_run_name(run),
        detail=_run_detail(run),
        outcome=last.outcome,
        count=len(run),
    )


def _run_name(run: Sequence[Talk]) -> str:
    if run[0].sid == READ_DID and len(run) > 1:
        dids = [int.from_bytes(talk.request.payload[1:3], "big") for talk in run]
        return f"0x22 ReadDataByIdentifier {' '.join(f'{did:04X}' for did in dict.fromkeys(dids))}"
    return request_name(run[0].request.payload, complete=run[0].request.complete)


def _run_detail(run: Sequence[Talk]) -> str:
    last = run[-1]
    words = []
    if last.sid == TRANSFER_DATA:
        words.append(f"{sum(max(0, len(talk.request.payload) - 2) for talk in run):,} bytes")
    if not last.request.complete:
        words.append("broken off")
    pending = sum(talk.pending for talk in run)
    if pending:
        words.append(f"pending {pending} ×")
    if last.answer is not None:
        words.append(_answer(run, last.answer))
    elif last.ecu is None:
        words.append("to all ECUs")
    elif last.outcome == "bad":
        words.append("no answer")
    return ", ".join(words)


def _answer(run: Sequence[Talk], last: Message) -> str:
    """Return what the last answer says; of several identifiers the software version says most."""
    if run[0].sid == READ_DID and len(run) > 1:
        versions = [x.answer for x in run if x.request.payload[1:3] == VERSION_DID.to_bytes(2, "big") and x.answer]
        return f"{DIDS[VERSION_DID]} {answer_name(versions[-1].payload)}" if versions else answer_name(last.payload)
    return answer_name(last.payload)
