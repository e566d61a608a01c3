"""What the judge must know of an ECU before a run: from the vehicle file, the recipe and the ECU's own file.

The oracle measures an ECU by its limits, places and demands. They are read here from the files, by a reader that shares
no code with the simulated ECU: a vehicle that misreads its own boot time must not be measured by what it read (D5).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ConfigDict, Field

from bench.config import FileModel, load_toml
from bench.core.errors import InputError
from bench.core.records import BankLayout, DownloadPacking, EcuLayout
from bench.core.specs import EcuSpec
from bench.description.ecu_entry import EcuEntry
from bench.description.load import BenchFiles
from bench.flasher.recipe_parts import Routines
from bench.flasher.recipe_steps import Step
from bench.wire.bootloader_update import BootloaderUpdate
from bench.wire.download_format import PLAIN, DownloadFormat
from bench.wire.preconditions import Preconditions
from bench.wire.supply_rules import DEFAULT_SUPPLY, SupplyRules
from bench.wire.transfer_format import STANDARD, TransferFormat


class _Part(FileModel):
    """A part of an ECU file of which the judge needs a few keys; the ECU's own reader checks the others."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class BankFacts(_Part):
    """A place where an image may stand; addresses are the linked ones."""

    name: str
    linked_base: int
    size_bytes: int


class BootFacts(_Part):
    """By when an ECU must answer after it got power."""

    time_limit_ms: int


class SecurityFacts(_Part):
    """Whether a seed stays the same until the right key came."""

    static_seed: bool = False


class DiagnosticsFacts(_Part):
    """The lock of the application, beside that of the bootloader."""

    application_security: SecurityFacts | None = None


class EcuFacts(_Part):
    """The keys of an ECU file that decide what the judge may expect."""

    header_address: int
    banks: tuple[BankFacts, ...] = Field(min_length=1)
    boot: BootFacts
    security: SecurityFacts | None = None
    diagnostics: DiagnosticsFacts = DiagnosticsFacts()
    download: DownloadFormat = PLAIN
    transfer: TransferFormat = STANDARD
    preconditions: Preconditions = Preconditions()
    bootloader_update: BootloaderUpdate | None = None
    supply: SupplyRules = DEFAULT_SUPPLY

    @classmethod
    def load(cls, path: Path) -> EcuFacts:
        """Read an ECU file; `InputError` names file, key, found and allowed."""
        return load_toml(path, cls, f"ECU personality {path.stem!r}")

    @property
    def static_seed(self) -> bool:
        """Whether a seed of one of its locks stays the same until the right key came."""
        locks = (self.security, self.diagnostics.application_security)
        return any(lock is not None and lock.static_seed for lock in locks)

    def packing(self) -> DownloadPacking | None:
        """Return how its images are packed on the bus; None where they are sent as they are."""
        form = self.download
        if form == PLAIN:
            return None
        dictionary_bytes = form.lzma_dictionary_bytes
        return DownloadPacking(form.data_format, form.compression, form.encryption, form.key, dictionary_bytes)


def ecu_layout(spec: EcuSpec, routines: Routines, facts: EcuFacts) -> EcuLayout:
    """Return what the judge knows of one ECU; the routines are those that its recipe makes the tester ask for."""
    update = facts.bootloader_update
    assert routines.erase is not None, "the recipe fits (recipe_fit): a simulated ECU is erased by a routine"
    assert routines.check_memory is not None, "the recipe fits (recipe_fit): a simulated ECU checks by a routine"
    return EcuLayout(
        ecu=spec.id,
        channel=spec.tester_channel,
        request_id=spec.request_id,
        response_id=spec.response_id,
        id_29_bit=spec.id_29_bit,
        request_extension=spec.request_extension,
        response_extension=spec.response_extension,
        hardware_id=spec.hardware_id,
        header_address=facts.header_address,
        banks=tuple(BankLayout(bank.name, bank.linked_base, bank.size_bytes) for bank in facts.banks),
        boot_time_limit_ms=facts.boot.time_limit_ms,
        erase_routine=routines.erase,
        check_routine=routines.check_memory,
        confirm_routine=routines.confirm,
        packing=facts.packing(),
        first_counter=facts.transfer.first_counter,
        counter_after_ff=facts.transfer.counter_after_ff,
        factory_bootloader=b"" if update is None else update.factory_header,
        demands=facts.preconditions.demands(),
        inhibit=spec.inhibit_signal,
        static_seed=facts.static_seed,
        program_mv=(facts.supply.program_min_mv, facts.supply.program_max_mv),
    )


def ecu_layouts(files: BenchFiles, ecus: Sequence[EcuEntry] | None = None) -> tuple[EcuLayout, ...]:
    """Return the layouts of a bench's ECUs, all unless `ecus` are given, in the order of the vehicle file.

    `InputError` names one of which too little is known to be judged.
    """
    wanted = files.vehicle.ecus if ecus is None else ecus
    for entry in wanted:
        if entry.missing is not None:
            raise entry.without(entry.missing, str(files.vehicle_path))
        if Step.PROGRAM_PARTS in files.recipes[entry.id].steps:
            raise InputError(
                f"ECU {entry.id} takes software in parts: no campaign can be run on it",
                file=str(files.vehicle_path), key=f"ecus.{entry.id}.recipe", found=entry.recipe,
                allowed="a recipe for signed images", hint="flash it by otabench flash",
            )  # fmt: skip
    facts = {name: EcuFacts.load(path) for name, path in files.personality_files.items()}
    ids = {entry.id for entry in wanted}
    specs = (spec for spec in files.vehicle.spec().ecus if spec.id in ids)
    return tuple(ecu_layout(spec, files.recipes[spec.id].routines, facts[spec.personality]) for spec in specs)
