"""Bootable: once powered every ECU answers within its boot time, running old, new or (one bank) its bootloader."""

from __future__ import annotations

from bench.core.records import DidReading, EcuLayout
from bench.oracle.facts import Source
from bench.oracle.findings import Finding, bench, failed, of_reading, passed, undecided, unseen
from bench.oracle.fold import Rule
from bench.oracle.result import Evidence
from bench.oracle.running import SOFTWARE_VERSION, executed_version, running, version_text


class AnswersAfterwards(Rule):
    """The readings after the run are the proof of life."""

    relies_on = (Source.READINGS,)

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU."""
        return [self._answers(layout) for layout in self.facts.layouts]

    def _answers(self, layout: EcuLayout) -> Finding:
        taken: list[DidReading] = [r for r in self.situation.readings if r.ecu == layout.ecu]
        if not taken:
            return unseen(f"{layout.ecu} was not asked after the run", bench(f"no reading of {layout.ecu}"))
        alive = self.situation.answering(layout.ecu)
        if alive is None:
            dead = f"{layout.ecu} answers nothing after the run"
            last = running(self.situation, layout)
            return failed(dead, *(of_reading(r) for r in taken), *last.evidence, blame="ecu")
        return passed(f"{layout.ecu} answers", of_reading(alive))


class RunsWhatItMay(Rule):
    """At the end each ECU runs old or new software; one with a single bank may wait in its bootloader."""

    relies_on = (Source.READINGS, Source.BOOTS, Source.EXECUTIONS)

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU. A version that is read beats the boot records, which are older."""
        return [self._runs(layout) for layout in self.facts.layouts]

    def _runs(self, layout: EcuLayout) -> Finding:
        ends = running(self.situation, layout)
        reading = self.situation.reading(layout.ecu, SOFTWARE_VERSION)
        if self.situation.answering(layout.ecu) is None:
            return passed(f"what {layout.ecu} runs does not matter, it was not heard", *ends.evidence)
        if reading is not None and reading.value is not None:
            return self._judge_version(layout, version_text(reading), (of_reading(reading), *ends.evidence))
        if ends.stage == "application" and ends.execution is not None:
            return self._judge_version(layout, executed_version(ends.execution) or "", ends.evidence)
        if ends.stage != "bootloader":
            return undecided(f"the record does not say what {layout.ecu} runs ({ends.stage})", *ends.evidence)
        if len(layout.banks) > 1:
            sentence = f"{layout.ecu} has {len(layout.banks)} banks and was left in its bootloader"
            return failed(sentence, *ends.evidence, blame="bootloader")
        return passed(f"{layout.ecu} runs its bootloader", *ends.evidence)

    def _judge_version(self, layout: EcuLayout, version: str, seen: tuple[Evidence, ...]) -> Finding:
        known = [r.version for r in self.facts.images(layout.ecu)]
        if not known:
            return undecided(f"no genuine image of {layout.ecu} is known to compare with", *seen, blame="bench")
        if version not in known:
            sentence = f"{layout.ecu} runs {version!r}, neither old nor new ({', '.join(known)})"
            return failed(sentence, *seen, blame="ecu")
        return passed(f"{layout.ecu} runs {version}", *seen)
