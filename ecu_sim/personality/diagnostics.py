"""The sections of an ECU file that say what its diagnostic server offers: identification, habits, routine ids."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from bench.config import FileModel
from ecu_sim.personality.sections import SecurityRules

CONFIGURATION_BYTES = 32
"""Room for all writable configuration of an ECU."""
RXSWIN_DID = 0xF1EF
RxswinText = Annotated[str, Field(min_length=1, max_length=64)]
VersionBeginning = Annotated[str, Field(pattern=r"^[0-9A-Za-z]+(\.[0-9A-Za-z]+)*$")]


class Identification(FileModel):
    """What the ECU says of itself beside serial number, VIN, hardware and software (0x22).

    A text that is left out is an identifier that the ECU does not have.
    """

    part_number: str | None = Field(default=None, min_length=1, max_length=32, description="F187")
    supplier: str | None = Field(default=None, min_length=1, max_length=32, description="F18A")
    manufacturing_date: str | None = Field(
        default=None, pattern=r"^20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$", description="F18B, sent in BCD"
    )
    hardware_version: str | None = Field(default=None, min_length=1, max_length=32, description="F193")
    supplier_software_number: str | None = Field(default=None, min_length=1, max_length=32, description="F194")
    supplier_software_version: str | None = Field(default=None, min_length=1, max_length=32, description="F195")
    rxswin: RxswinText | None = Field(default=None, description="UN R156, of the running software")
    rxswin_by_version: dict[VersionBeginning, RxswinText] = Field(
        default={}, description="where the running software's version begins so, the longest first; else `rxswin`"
    )
    rxswin_did: int = Field(default=RXSWIN_DID, ge=0xF100, le=0xF1FF)

    @model_validator(mode="after")
    def _has_a_default(self) -> Identification:
        if self.rxswin_by_version and self.rxswin is None:
            raise ValueError("rxswin_by_version needs an rxswin for every other version")
        return self

    def rxswin_of(self, version: str) -> str | None:
        """Return the RXSWIN under which a software version is type-approved; None: the ECU tells none.

        Whole parts of the version count: "2" is the beginning of "2.1.0", not of "20.0.0".
        """
        parts = version.split(".")
        beginnings = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
        return next((self.rxswin_by_version[b] for b in beginnings if b in self.rxswin_by_version), self.rxswin)


class ConfigurationDid(FileModel):
    """A data identifier that a tester may write in the extended session, behind the application's lock; kept in NVM."""

    did: int = Field(ge=0x0100, le=0xEFFF)
    meaning: str = Field(min_length=1)
    default: str = Field(pattern=r"^([0-9A-Fa-f]{2})+$", description="the factory's value, hexadecimal")

    @property
    def size_bytes(self) -> int:
        """How long the value is."""
        return len(self.default) // 2


class RoutineIds(FileModel):
    """Routine identifiers of 0x31 that the standard leaves to the maker."""

    check_memory: int = Field(default=0x0202, ge=0, le=0xFFFF)
    activate: int = Field(default=0x0203, ge=0, le=0xFFFF)
    confirm: int = Field(default=0x0204, ge=0, le=0xFFFF)
    report_progress: int = Field(default=0x0205, ge=0, le=0xFFFF)
    check_block: int = Field(default=0x0206, ge=0, le=0xFFFF)
    check_preconditions: int = Field(default=0x0207, ge=0, le=0xFFFF)
    self_test: int = Field(default=0x020A, ge=0, le=0xFFFF, description="hashes the running image in the background")

    @model_validator(mode="after")
    def _differ(self) -> RoutineIds:
        ids = list(self.model_dump().values())
        if len(set(ids)) != len(ids) or {0xFF00, 0xFF01} & set(ids):
            raise ValueError("routine ids must differ, and FF00 and FF01 have a meaning of their own")
        return self


class Diagnostics(FileModel):
    """What the diagnostic server does where the standard leaves a choice. Left out, a service is not there (0x11)."""

    programming_answer: Literal["before_reset", "after_reset"] = Field(
        default="before_reset",
        description='"after_reset": the application answers 10 02 with 0x78, the bootloader with the final answer',
    )
    safety_session: bool = Field(default=False, description="whether the application has session 0x04")
    second_tester: Literal["busy", "ignored"] = Field(
        default="busy", description="what another tester's request gets while one is being served: 0x21 or nothing"
    )
    max_dids: int | None = Field(default=None, ge=1, le=512, description="of one 0x22; more are refused with 0x13")
    node_ids: tuple[int, ...] = Field(
        default=(), description="nodes behind this ECU that 0x28 with types 0x04 and 0x05 can address"
    )
    read_memory: bool = Field(default=False, description="whether 0x23 is there")
    write_memory: bool = Field(default=False, description="whether the bootloader has 0x3D")
    upload: bool = Field(default=False, description="whether the bootloader has 0x35")
    file_area_bytes: int = Field(
        default=0, ge=0, le=8_184, description="size of the directory that 0x38 serves; 0: the ECU has none"
    )
    configuration: tuple[ConfigurationDid, ...] = ()
    application_security: SecurityRules | None = Field(
        default=None, description="the lock of the application (0x27), for what it guards in the extended session"
    )
    routines: RoutineIds = RoutineIds()

    @field_validator("node_ids")
    @classmethod
    def _nodes(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 0 < node <= 0xFFFF for node in value):
            raise ValueError("node ids are 1 to 0xFFFF")
        return value

    @field_validator("file_area_bytes")
    @classmethod
    def _whole_records(cls, value: int) -> int:
        if value and value % 16 != 8:
            raise ValueError("file_area_bytes and 8 bytes of administration must fill records of 16 bytes")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Diagnostics:
        if sum(entry.size_bytes for entry in self.configuration) > CONFIGURATION_BYTES:
            raise ValueError(f"configuration must not be longer than {CONFIGURATION_BYTES} bytes in all")
        if len({entry.did for entry in self.configuration}) != len(self.configuration):
            raise ValueError("configuration.did must differ")
        if self.application_security is None and (self.configuration or self.file_area_bytes):
            raise ValueError("configuration and file_area_bytes need an application_security that guards them")
        return self
