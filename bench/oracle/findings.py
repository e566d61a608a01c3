"""How the invariants say what they saw: evidence with its place, partial findings, and one verdict of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.records import DidReading
from bench.oracle.result import Evidence, Invariant, InvariantVerdict, Verdict

EVIDENCE_LIMIT = 24
"""A verdict shows that many observations; a last line tells how many more there were."""
SENTENCE_LIMIT = 160
"""A longer sentence is cut: names and versions come from outside and may be of any length."""
_WORST_FIRST = (Verdict.FAIL, Verdict.EQUIPMENT_ERROR, Verdict.INCONCLUSIVE, Verdict.NOT_OBSERVED, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look at the record gave; the verdict on an invariant is made of several."""

    verdict: Verdict
    sentence: str
    evidence: tuple[Evidence, ...]
    blame: str | None = None
    beside: bool = False
    """Whether this is a part that stands beside the invariant's core: not observed, it is named with the verdict."""


def passed(sentence: str, *evidence: Evidence) -> Finding:
    """Return a finding that all is well."""
    return Finding(Verdict.PASS, sentence, evidence)


def failed(sentence: str, *evidence: Evidence, blame: str | None = None) -> Finding:
    """Return a finding that the invariant is broken."""
    return Finding(Verdict.FAIL, sentence, evidence, blame)


def undecided(sentence: str, *evidence: Evidence, blame: str | None = None) -> Finding:
    """Return a finding that the record cannot decide although it has the observation."""
    return Finding(Verdict.INCONCLUSIVE, sentence, evidence, blame)


def equipment(sentence: str, *evidence: Evidence) -> Finding:
    """Return a finding that the bench itself did not do what the look needs."""
    return Finding(Verdict.EQUIPMENT_ERROR, sentence, evidence, "bench")


def unseen(sentence: str, *evidence: Evidence) -> Finding:
    """Return a finding that this bench cannot observe what is asked."""
    return Finding(Verdict.NOT_OBSERVED, sentence, evidence)


def hidden(sentence: str, *evidence: Evidence) -> Finding:
    """Return a finding that this bench cannot observe a part without which the rest still says something.

    A real ECU shows nobody when its flash is programmed: the invariant is judged by what is seen, and its sentence says
    what was not.
    """
    return Finding(Verdict.NOT_OBSERVED, sentence, evidence, beside=True)


def conclude(invariant: Invariant, findings: Sequence[Finding], when_passed: str) -> InvariantVerdict:
    """Return the worst verdict with its findings' evidence; `when_passed` is the sentence of a pass.

    A failure outweighs an error of the bench itself, that an undecided part, that one an unseen part, and only all
    parts together pass. Parts that stand beside are named in the sentence of a pass; alone they are no pass.
    """
    beside = [finding for finding in findings if finding.beside]
    findings = [finding for finding in findings if not finding.beside] or beside
    if not findings:
        return _verdict(
            invariant, [unseen("the record holds nothing that could be judged", bench("the record is empty"))]
        )
    worst = next(v for v in _WORST_FIRST if any(finding.verdict is v for finding in findings))
    telling = [finding for finding in findings if finding.verdict is worst]
    if worst is Verdict.PASS:
        if beside:
            when_passed = f"{when_passed}; not observed: {'; '.join(part.sentence for part in beside)}"
        telling.insert(0, passed(when_passed, *(item for part in beside for item in part.evidence)))
    return _verdict(invariant, telling)


def _verdict(invariant: Invariant, telling: Sequence[Finding]) -> InvariantVerdict:
    verdict = telling[0].verdict
    sentence = telling[0].sentence
    if len(sentence) > SENTENCE_LIMIT:
        sentence = f"{sentence[: SENTENCE_LIMIT - 1]}…"
    if verdict is not Verdict.PASS and len(telling) > 1:
        sentence += f" (and {len(telling) - 1} more)"
    seen = dict.fromkeys(item for finding in telling for item in finding.evidence)
    evidence = list(seen) or [bench(telling[0].sentence)]
    if len(evidence) > EVIDENCE_LIMIT:
        rest = len(evidence) - EVIDENCE_LIMIT + 1
        evidence = [*evidence[: EVIDENCE_LIMIT - 1], bench(f"{rest} further observations of the same kinds")]
    blame = next((finding.blame for finding in telling if finding.blame is not None), None)
    return InvariantVerdict(invariant, verdict, sentence, tuple(evidence), blame)


def seconds(t_ns: int) -> str:
    """Return an instant or a duration as seconds with all nine digits."""
    sign, t_ns = ("-", -t_ns) if t_ns < 0 else ("", t_ns)
    return f"{sign}{t_ns // 1_000_000_000}.{t_ns % 1_000_000_000:09d} s"


def at(kind: str, part: str, t_ns: int, text: str) -> Evidence:
    """Return evidence about `part` at an instant."""
    return Evidence(kind, f"{part} @ {seconds(t_ns)}", text)


def in_flash(ecu: str, address: int, text: str) -> Evidence:
    """Return evidence at a linked address of an ECU's flash."""
    return Evidence("flash", f"{ecu} flash 0x{address:08X}", text)


def on_bus(channel: str, text: str) -> Evidence:
    """Return evidence about the whole trace of a channel."""
    return Evidence("frame", channel, text)


def bench(text: str) -> Evidence:
    """Return evidence about the record itself."""
    return Evidence("bench", "record", text)


def of_reading(reading: DidReading) -> Evidence:
    """Return what a data identifier read after the run."""
    silence = "no value" if reading.nrc is None else f"refused, NRC 0x{reading.nrc:02X}"
    text = silence if reading.value is None else f"{reading.value.hex(' ').upper()} {_ascii(reading.value)}".strip()
    return at("did", f"{reading.ecu} {reading.did:04X}", reading.t_ns, text)


def _ascii(value: bytes) -> str:
    text = value.decode("ascii", "replace")
    return repr(text) if text.isprintable() else ""
