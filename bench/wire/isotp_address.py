"""Addressing of ISO-TP links: identifiers, address extension byte, and what fits a frame (ISO 15765-2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bench.core.records import EXTENDED
from bench.wire.can import MAX_BASE_ID, MAX_EXTENDED_ID, CanFrame, identifier_of

FIXED_PHYSICAL, FIXED_FUNCTIONAL = 0x18DA_0000, 0x18DB_0000
MIXED_PHYSICAL, MIXED_FUNCTIONAL = 0x18CE_0000, 0x18CD_0000


class AddressingMode(StrEnum):
    """How N_AI is carried: in the identifier alone, or in the first data byte too."""

    NORMAL = "normal"
    NORMAL_FIXED = "normal_fixed"
    EXTENDED = "extended"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class IsoTpAddress:
    """One side's view of an address pair; the extensions are the first data byte sent and expected, if any."""

    mode: AddressingMode
    tx_id: int
    rx_id: int
    tx_extension: int | None = None
    rx_extension: int | None = None
    id_29_bit: bool = False

    def __post_init__(self) -> None:
        limit = MAX_EXTENDED_ID if self.id_29_bit else MAX_BASE_ID
        for can_id in (self.tx_id, self.rx_id):
            if not 0 <= can_id <= limit:
                raise ValueError(f"identifier 0x{can_id:X} does not fit, largest is 0x{limit:X}")
        wanted = self.mode in (AddressingMode.EXTENDED, AddressingMode.MIXED)
        for extension in (self.tx_extension, self.rx_extension):
            if (extension is not None) is not wanted:
                raise ValueError(f"{self.mode} addressing {'needs' if wanted else 'has no'} address extension byte")
            if extension is not None:
                _check_byte(extension)

    @classmethod
    def normal(cls, tx_id: int, rx_id: int, *, id_29_bit: bool = False) -> IsoTpAddress:
        """Return normal addressing: a pair of identifiers, 11 or 29 bits."""
        return cls(mode=AddressingMode.NORMAL, tx_id=tx_id, rx_id=rx_id, id_29_bit=id_29_bit)

    @classmethod
    def normal_fixed(cls, source: int, target: int, *, functional: bool = False) -> IsoTpAddress:
        """Return normal fixed addressing: 0x18DA (functional 0x18DB), target and source address in the identifier."""
        base = FIXED_FUNCTIONAL if functional else FIXED_PHYSICAL
        tx_id, rx_id = base | _pair(target, source), FIXED_PHYSICAL | _pair(source, target)
        return cls(mode=AddressingMode.NORMAL_FIXED, tx_id=tx_id, rx_id=rx_id, id_29_bit=True)

    @classmethod
    def extended(cls, tx_id: int, rx_id: int, source: int, target: int, *, id_29_bit: bool = False) -> IsoTpAddress:
        """Return extended addressing: the first data byte is the receiver's address, 11 or 29 bit identifiers."""
        return cls(
            mode=AddressingMode.EXTENDED,
            tx_id=tx_id,
            rx_id=rx_id,
            tx_extension=target,
            rx_extension=source,
            id_29_bit=id_29_bit,
        )

    @classmethod
    def mixed(cls, tx_id: int, rx_id: int, extension: int) -> IsoTpAddress:
        """Return mixed addressing with 11 bit identifiers: the first data byte is the same address extension."""
        return cls(mode=AddressingMode.MIXED, tx_id=tx_id, rx_id=rx_id, tx_extension=extension, rx_extension=extension)

    @classmethod
    def mixed_fixed(cls, source: int, target: int, extension: int, *, functional: bool = False) -> IsoTpAddress:
        """Return mixed addressing with 29 bits: 0x18CE (functional 0x18CD), target and source in the identifier."""
        base = MIXED_FUNCTIONAL if functional else MIXED_PHYSICAL
        return cls(
            mode=AddressingMode.MIXED,
            tx_id=base | _pair(target, source),
            rx_id=MIXED_PHYSICAL | _pair(source, target),
            tx_extension=extension,
            rx_extension=extension,
            id_29_bit=True,
        )

    @property
    def prefix(self) -> bytes:
        """The address extension in front of every frame sent; empty without one."""
        return b"" if self.tx_extension is None else bytes((self.tx_extension,))

    @property
    def flags(self) -> int:
        """The format of the identifiers, as `CanFrame.flags` has it."""
        return EXTENDED if self.id_29_bit else 0

    @property
    def tx_identifier(self) -> int:
        """The identifier of what is sent, with its format (`bench.wire.can.identifier`)."""
        return identifier_of(self.tx_id, self.flags)

    @property
    def rx_identifier(self) -> int:
        """The identifier of what is received, with its format (`bench.wire.can.identifier`)."""
        return identifier_of(self.rx_id, self.flags)

    def accepts(self, frame: CanFrame) -> bool:
        """Return whether a received frame is for this side."""
        can_id, data, flags = frame
        if can_id != self.rx_id or bool(flags & EXTENDED) is not self.id_29_bit:
            return False
        return self.rx_extension is None or data[:1] == bytes((self.rx_extension,))

    def single_bytes(self, tx_dl: int = 8) -> int:
        """Return the largest message that fits a single frame of `tx_dl` data bytes."""
        return single_bytes(tx_dl, len(self.prefix))


def single_bytes(can_dl: int, prefix_bytes: int) -> int:
    """Return what a single frame carries: over 8 data bytes its length takes a byte of its own (escape)."""
    return can_dl - prefix_bytes - (1 if can_dl <= 8 else 2)


def _pair(target: int, source: int) -> int:
    return _check_byte(target) << 8 | _check_byte(source)


def _check_byte(address: int) -> int:
    if not 0 <= address <= 0xFF:
        raise ValueError(f"address 0x{address:X} does not fit a byte")
    return address
