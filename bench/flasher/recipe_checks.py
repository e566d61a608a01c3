"""How a recipe says that what was sent is what the ECU stores: rules, each after a segment, a part, or everything."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from bench.config import FileModel

Byte = Annotated[int, Field(ge=0, le=0xFF)]
Word = Annotated[int, Field(ge=0, le=0xFFFF)]
Hex = Annotated[str, Field(pattern=r"^([0-9A-Fa-f]{2} ?)*$")]


class After(StrEnum):
    """When a rule has its turn."""

    SEGMENT = "segment"
    """After each 0x37: what was just sent."""
    PART = "part"
    """After the last segment of a part."""
    ALL = "all"
    """After the last part, in the step `check_software`."""


class Item(StrEnum):
    """What an option record is put together from. Widths are those of `transfer`; numbers are big-endian."""

    FORMAT = "format"
    """addressAndLengthFormatIdentifier."""
    ADDRESS = "address"
    SIZE = "size"
    INDEX = "index"
    """The number of the logical block, one byte."""
    START_ADDRESS = "start_address"
    CRC32 = "crc32"
    CRC16 = "crc16_ccitt_false"
    SHA256 = "sha256"
    SIGNATURE = "signature"
    SIGNATURE_DEV = "signature_dev"


class Answer(FileModel):
    """What a routine's status record must be: a status byte that is `ok`, or all of `record`."""

    at: Annotated[int, Field(ge=0, le=64, description="which byte of the record is the status, from 0")] = 0
    ok: Byte = 0x00
    record: Hex | None = None
    meanings: dict[str, str] = Field(default_factory=dict)


class CheckRule(FileModel):
    """One check. `by` names a strategy: built in are `routine`, `transfer_exit`, `read_back`.

    `routine`: 31 01 with `option`, judged by `answer`. `transfer_exit`: the answer to 0x37 holds `algorithm` over what
    was sent; `accepted`: that it is positive is the ECU's word, it has looked itself. `read_back`: memory is read by
    `service` (0x23 or 0x35) and compared byte for byte.
    """

    after: After
    by: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    kind: Literal["software", "bootloader", "any"] = "any"
    routine: Word | None = None
    option: tuple[Item, ...] = ()
    answer: Answer = Answer()
    algorithm: Literal["accepted", "crc16_ccitt_false", "crc32", "sha256"] | None = None
    service: Literal[0x23, 0x35] | None = None
    chunk_bytes: Annotated[int, Field(ge=1, le=1 << 20)] = 256
    options: dict[str, Any] = Field(default_factory=dict, description="keys of a strategy of your own")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        wanted = {"routine": ("routine", self.routine), "transfer_exit": ("algorithm", self.algorithm),
                  "read_back": ("service", self.service)}  # fmt: skip
        name, value = wanted.get(self.by, ("", 0))
        if value is None:
            raise ValueError(f'by = "{self.by}" needs {name}')
        if self.by == "transfer_exit" and self.after is not After.SEGMENT:
            raise ValueError('by = "transfer_exit" stands after = "segment": each 0x37 answers for itself')
        if self.after is After.ALL and any(item in OF_A_PART for item in self.option):
            item = next(item for item in self.option if item in OF_A_PART)
            raise ValueError(f'{item} in an option after = "all": it belongs to one part')
        return self


OF_A_PART = frozenset(Item) - {Item.FORMAT}


class Bootloader(FileModel):
    """How a secondary bootloader is started once it is in RAM (31 01, in VBF flashing 0x0301)."""

    routine: Word
    option: tuple[Item, ...] = (Item.START_ADDRESS,)
    answer: Answer = Answer()
    ram_base: Annotated[int, Field(ge=0, le=0xFFFF_FFFF)]
    ram_size: Annotated[int, Field(gt=0, le=1 << 32)]


class KnownValue(FileModel):
    """An identifier and how its bytes are read."""

    did: Word
    text: bool = Field(default=True, description="read as text without padding; else as hexadecimal digits")


class Identify(FileModel):
    """By which identifiers an ECU says who it is (`hardware`) and what it runs (`version`).

    `expect` is what the hardware identifiers must say, when the software does not tell it. `version = "none"`: no
    identifier tells what runs; then a job ends with software that is stored and checked, and says so.
    """

    hardware: tuple[KnownValue, ...] = ()
    expect: tuple[str, ...] = ()
    version: tuple[KnownValue, ...] | Literal["none"]

    @model_validator(mode="after")
    def _expected(self) -> Self:
        if self.expect and len(self.expect) != len(self.hardware):
            raise ValueError(f"expect has {len(self.expect)} values for {len(self.hardware)} hardware identifiers")
        if self.version == ():
            raise ValueError('no version identifier: write version = "none" if the ECU has none')
        return self

    @property
    def tells_version(self) -> bool:
        """Return whether an identifier tells what runs."""
        return self.version != "none"
