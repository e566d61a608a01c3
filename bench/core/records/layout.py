"""What the bench knows of an ECU before the run."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.core.records.bus import CanAddress


@dataclass(frozen=True, slots=True)
class BankLayout:
    """One place an image may stand. Addresses are the linked ones, as they stand in a download."""

    name: str
    linked_base: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DownloadPacking:
    """How an ECU's images are packed on their way: what the judge needs to look into such a download.

    `compression` is none or lzma (`.xz`), `encryption` none, aes_ctr or aes_cbc (vector first); compressed first,
    then encrypted. `data_format` is the dataFormatIdentifier of 0x34.
    """

    data_format: int
    compression: str
    encryption: str
    key: bytes = field(repr=False)
    dictionary_bytes: int


@dataclass(frozen=True, slots=True)
class Demand:
    """What an application demands of the car before it lets itself be programmed.

    `relation` is `is`, `at_most` or `at_least`; `condition` is the byte by which routine 0x0207 names it.
    """

    condition: int
    key: str
    relation: str
    value: bool | float | str


@dataclass(frozen=True, slots=True)
class InhibitSignal:
    """The bit by which an ECU says that the car must not be started; `bit` counts from bit 0 of data byte 0."""

    channel: str
    can_id: int
    id_29_bit: bool
    bit: int


@dataclass(frozen=True, slots=True)
class EcuLayout:
    """What the bench knows of an ECU before the run, from the vehicle file.

    `channel` is the bus on which the tester reaches it, behind a gateway another one than that on which it sits.
    """

    ecu: str
    channel: str
    request_id: int
    response_id: int
    hardware_id: str
    header_address: int
    banks: tuple[BankLayout, ...]
    boot_time_limit_ms: int
    erase_routine: int
    check_routine: int = 0x0202
    """Routine that checks a downloaded image; its answer ends with status 00 when the image is good."""
    confirm_routine: int | None = None
    """Routine that confirms the running image: its yes raises the release floor; None where nothing is confirmed."""
    id_29_bit: bool = False
    """Whether both identifiers have 29 bits."""
    request_extension: int | None = None
    response_extension: int | None = None
    """The address byte in front of the data of requests and responses (extended and mixed addressing)."""
    packing: DownloadPacking | None = None
    """None where images are sent as they are."""
    first_counter: int = 1
    """blockSequenceCounter of a download's first 0x36, and below what follows 0xFF."""
    counter_after_ff: int = 0
    demands: tuple[Demand, ...] = ()
    """What its application wants of the car before programming."""
    inhibit: InhibitSignal | None = None
    """How it says that the car must not be started; None where it says nothing."""
    factory_bootloader: bytes = b""
    """The 256-byte header of the bootloader that the factory put in, which is not signed; empty when it is built in."""
    static_seed: bool = False
    """Whether its file lets a seed of 0x27 stay the same until the right key came, or a reset."""
    program_mv: tuple[int, int] = (0, 1_000_000)
    """From which to which voltage it may be programmed; by default at any."""

    @property
    def request(self) -> CanAddress:
        """Where physical requests to the ECU go."""
        return CanAddress(self.request_id, self.id_29_bit, self.request_extension)

    @property
    def response(self) -> CanAddress:
        """Where the ECU's responses go."""
        return CanAddress(self.response_id, self.id_29_bit, self.response_extension)
