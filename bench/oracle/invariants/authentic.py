"""Authentic: no ECU executes an image with wrong signature, hardware id or release counter, and none is sent to it."""

from __future__ import annotations

from bench.core.records import EcuLayout, ExecutionRecord
from bench.oracle.decode_image import Header, NotAHeader, decode_header, is_signed
from bench.oracle.executing import entry_problem
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, passed, undecided, unseen
from bench.oracle.fold import Rule
from bench.oracle.running import SOFTWARE_VERSION, executed_version
from bench.oracle.situation import Situation
from bench.oracle.stream import BootloaderRun, Event


class GenuineExecutions(Rule):
    """Every execution is of an image that the ECU may run; a built-in bootloader has nothing that could be wrong."""

    takes = (ExecutionRecord, BootloaderRun)
    relies_on = (Source.EXECUTIONS,)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._applications: list[Finding] = []
        self._bootloaders: list[Finding] = []
        self._executed: list[str] = []

    def take(self, event: Event) -> None:
        """Judge one execution as it begins."""
        run = event.run if isinstance(event, BootloaderRun) else event
        layout = self.facts.layout(run.ecu)
        if isinstance(event, BootloaderRun):
            self._bootloaders += [_judge(self.facts, layout, run)] if layout is not None and run.header else []
            return
        if layout is None:
            what = at("execution", run.ecu, run.t_ns, f"bank {run.bank}")
            stranger = f"{run.ecu} executed an image but is no ECU of this vehicle"
            self._applications.append(undecided(stranger, what, blame="bench"))
            return
        if run.ecu not in self._executed:
            self._executed.append(run.ecu)
        self._applications.append(_judge(self.facts, layout, run))

    def findings(self) -> list[Finding]:
        """Return what was found of each execution, and of ECUs that executed nothing."""
        if not self.facts.watches(Source.EXECUTIONS):
            return [unseen("this bench cannot see what an ECU executes", bench("no execution records"))]
        idle = [layout for layout in self.facts.layouts if layout.ecu not in self._executed]
        return [*self._applications, *(self._none_executed(layout) for layout in idle), *self._bootloaders]

    def _none_executed(self, layout: EcuLayout) -> Finding:
        if not self.facts.watches(Source.EXECUTIONS, layout.ecu):
            return unseen(
                f"what {layout.ecu} executes was not observed", bench(f"no execution records of {layout.ecu}")
            )
        version = self.situation.reading(layout.ecu, SOFTWARE_VERSION)
        booted = self.situation.ecus[layout.ecu].had_application
        if booted or (version is not None and version.value is not None):
            text = f"{layout.ecu} shows an application but no execution was recorded"
            return undecided(text, bench(text), blame="bench")
        return passed(f"{layout.ecu} executed nothing", bench(f"{layout.ecu} executed no image during the run"))


def _judge(facts: Facts, layout: EcuLayout, execution: ExecutionRecord) -> Finding:
    wrong = _what_is_wrong(facts, layout, execution)
    version = executed_version(execution) or "an unreadable header"
    what = f"executes {version} from bank {execution.bank}"
    if not wrong:
        shown = f"{what}: signature, hardware id, hash and counter (floor {execution.release_floor}) are right"
        return passed(f"{layout.ecu} {what}", at("execution", layout.ecu, execution.t_ns, shown))
    seen = [at("execution", layout.ecu, execution.t_ns, f"{what}: {reason}") for reason in wrong]
    return failed(f"{layout.ecu} executed an image that it must refuse: {_short(wrong[0])}", *seen, blame="bootloader")


def _short(reason: str) -> str:
    """Return a reason without its figures, which stand in the evidence."""
    return reason.partition(": they hash to")[0].partition(" (")[0]


def _what_is_wrong(facts: Facts, layout: EcuLayout, execution: ExecutionRecord) -> list[str]:
    try:
        header = decode_header(execution.header)
    except NotAHeader as error:
        return [f"the header slot holds no header ({error})"]
    if execution.header == layout.factory_bootloader:
        return _other_than_signed(execution, header)
    wrong = []
    if not is_signed(execution.header, facts.image_public_key):
        wrong.append("the signature is not by the image key")
    if header.hardware_id != layout.hardware_id:
        wrong.append(f"it is for hardware {header.hardware_id!r}, the ECU is {layout.hardware_id!r}")
    if header.release_counter < execution.release_floor:
        wrong.append(f"release counter {header.release_counter} is below the floor {execution.release_floor}")
    return [*wrong, *_other_than_signed(execution, header)]


def _other_than_signed(execution: ExecutionRecord, header: Header) -> list[str]:
    """Return what was executed otherwise than the header says."""
    wrong = []
    entry = entry_problem(execution, header)
    if entry is not None:
        wrong.append(entry)
    if execution.image_sha256.lower() != header.sha256:
        found = execution.image_sha256 or "nothing"
        wrong.append(f"the bytes in flash are not the signed ones: they hash to {found}, signed is {header.sha256}")
    return wrong
