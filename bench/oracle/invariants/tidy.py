"""Tidy: communication, DTC setting, sessions and disk as before; no downgrade, no needless second flash.

Here: what is read after the run, and what was executed. On the bus: `tidy_bus`, `tidy_once`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.records import EcuLayout, ExecutionRecord, StoredFile
from bench.oracle.decode_image import header_or_none
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, of_reading, passed, undecided, unseen
from bench.oracle.fold import Rule
from bench.oracle.result import Evidence
from bench.oracle.running import ACTIVE_SESSION, executed_version
from bench.oracle.situation import Situation
from bench.oracle.stream import AgentDisk, Event

DEFAULT_SESSION = b"\x01"
DISK_LIMIT_BYTES = 4096
"""What the agent may keep on its disk after the order in all; more is taken for an update's data."""


class SessionsFellBack(Rule):
    """Every ECU is in its default session (ISO 14229-1, 0x10 01) once S3 is over."""

    relies_on = (Source.READINGS,)

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU."""
        return [self._session(layout) for layout in self.facts.layouts]

    def _session(self, layout: EcuLayout) -> Finding:
        read = self.situation.reading(layout.ecu, ACTIVE_SESSION)
        if read is None:
            return undecided(f"the session of {layout.ecu} was not read", bench(f"no reading F186 of {layout.ecu}"))
        if read.value == DEFAULT_SESSION:
            return passed(f"{layout.ecu} is in the default session", of_reading(read))
        if read.value is None and self.situation.answering(layout.ecu) is None:
            return undecided(f"{layout.ecu} answers nothing, so its session is unknown", of_reading(read))
        if read.value is None:
            return undecided(f"{layout.ecu} does not tell its session", of_reading(read))
        left = f"{layout.ecu} was left in session {read.value.hex().upper()}"
        return failed(left, of_reading(read), blame="flasher")


class NoDowngrade(Rule):
    """The release counters of what an ECU executes rise; back to the installed image reverts what was not confirmed."""

    takes = (ExecutionRecord,)
    relies_on = (Source.EXECUTIONS,)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._highest: dict[str, int] = {}
        self._ran: dict[str, list[Evidence]] = {layout.ecu: [] for layout in facts.layouts}
        self._sentence: dict[str, str] = {}

    def take(self, event: Event) -> None:
        """Compare an execution with the highest counter before it."""
        run: ExecutionRecord = event
        header = header_or_none(run.header)
        if header is None or run.ecu not in self._ran:
            return
        counter, highest = header.release_counter, self._highest.get(run.ecu, 0)
        text = f"{executed_version(run)}, release counter {counter}, floor {run.release_floor}"
        self._ran[run.ecu].append(at("execution", run.ecu, run.t_ns, text))
        if counter < highest and run.header not in [r.header for r in self.facts.images(run.ecu, "installed")]:
            sentence = f"{run.ecu} went back from release counter {highest} to {counter}, not to what was installed"
            self._sentence.setdefault(run.ecu, sentence)
        self._highest[run.ecu] = max(highest, counter)

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU."""
        if not self.facts.watches(Source.EXECUTIONS):
            return [unseen("this bench cannot see what an ECU executes", bench("no execution records"))]
        return [self._of(layout.ecu) for layout in self.facts.layouts]

    def _of(self, ecu: str) -> Finding:
        if ecu in self._sentence:
            return failed(self._sentence[ecu], *self._ran[ecu], blame="ecu")
        if not self.facts.watches(Source.EXECUTIONS, ecu):
            return unseen(f"what {ecu} executes was not observed", bench(f"no execution records of {ecu}"))
        nothing = bench(f"{ecu} executed no image during the run")
        return passed(f"{ecu} was not downgraded", *(self._ran[ecu] or [nothing]))


class DiskIsFreed(Rule):
    """The agent's disk holds nothing of the update, once every order is closed."""

    takes = (AgentDisk,)
    relies_on = (Source.AGENT_FILES, Source.SERVER_EVENTS)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._files: tuple[StoredFile, ...] | None = None

    def take(self, event: Event) -> None:
        """Keep the list of files."""
        self._files = event.files

    def findings(self) -> list[Finding]:
        """Return the finding on the disk."""
        if self._files is None:
            return [unseen("the agent's disk was not read", bench("no list of the agent's files"))]
        return [self._judge(self._files)]

    def _judge(self, files: tuple[StoredFile, ...]) -> Finding:
        log = self.situation.server
        if not all(log.closings_of(order.order) for order in log.orders):
            return undecided("an order is open, so the agent may still need its files", bench("an order is open"))
        if self.situation.crash is not None:
            crash = bench(f"{self.situation.crash.part} crashed")
            return undecided("a part crashed, so nobody may have had the time to free the disk", crash, blame="bench")
        left = [file for file in files if _belongs_to_an_update(file, self.facts.package_url_suffix)]
        if left:
            sentence = f"{len(left)} files of the update are left on the agent's disk"
            return failed(sentence, *(_file(file) for file in left), blame="agent")
        size_bytes = sum(file.size_bytes for file in files)
        if size_bytes > DISK_LIMIT_BYTES:
            total = Evidence("disk", "agent", f"{size_bytes} bytes in all, allowed are {DISK_LIMIT_BYTES}")
            sentence = f"more than {DISK_LIMIT_BYTES} bytes are left on the agent's disk"
            return failed(sentence, total, *_listing(files), blame="agent")
        return passed("the agent's disk is free of the update", *_listing(files))


def _belongs_to_an_update(file: StoredFile, suffix: str) -> bool:
    name = suffix.rsplit("/", 1)[-1]
    return file.path.endswith(suffix) or (name != "" and file.path.endswith(name))


def _file(file: StoredFile) -> Evidence:
    return Evidence("disk", file.path, f"{file.size_bytes} bytes")


def _listing(files: Sequence[StoredFile]) -> list[Evidence]:
    return [_file(file) for file in files] or [Evidence("disk", "agent", "no files")]
