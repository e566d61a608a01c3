"""Addressing of ECUs and of functional requests as keys of the vehicle file (ISO 15765-2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from bench.config import FileModel
from bench.core.errors import InputError
from bench.core.records import CanAddress
from bench.wire.can import MAX_BASE_ID, MAX_EXTENDED_ID
from bench.wire.isotp import AddressingMode, IsoTpAddress
from bench.wire.isotp_habits import Frames, IsoTpHabits

CanId = Annotated[int, Field(ge=0, le=MAX_EXTENDED_ID)]
NodeAddress = Annotated[int, Field(ge=0, le=0xFF)]
TESTER_ADDRESS, ALL_ECUS_ADDRESS = 0xF1, 0x33
"""Source address of an external tester and functional target address, where the file names none (ISO 15765-4)."""

_IDS, _TARGET, _SOURCE, _EXTENSION = (
    ("request_id", "response_id"),
    "target_address",
    "source_address",
    "address_extension",
)
_NEEDS: dict[tuple[AddressingMode, bool], tuple[str, ...]] = {
    (AddressingMode.NORMAL, False): _IDS,
    (AddressingMode.NORMAL, True): _IDS,
    (AddressingMode.NORMAL_FIXED, True): (_TARGET,),
    (AddressingMode.EXTENDED, False): (*_IDS, _TARGET),
    (AddressingMode.EXTENDED, True): (*_IDS, _TARGET),
    (AddressingMode.MIXED, False): (*_IDS, _EXTENSION),
    (AddressingMode.MIXED, True): (_TARGET, _EXTENSION),
}
"""Keys that a mode needs, by mode and whether identifiers have 29 bits."""
_HAS_SOURCE = (AddressingMode.NORMAL_FIXED, AddressingMode.EXTENDED)


class Addressed(FileModel):
    """Where messages go. Which keys there must be depends on `addressing` and `id_29_bit`."""

    addressing: AddressingMode = AddressingMode.NORMAL
    id_29_bit: bool | None = Field(
        default=None, validate_default=True, description="default: true with normal_fixed, else false"
    )
    request_id: CanId | None = Field(default=None, validate_default=True)
    response_id: CanId | None = Field(default=None, validate_default=True)
    target_address: NodeAddress | None = Field(
        default=None, validate_default=True, description="N_TA of requests: the ECU's address"
    )
    source_address: NodeAddress | None = Field(
        default=None, validate_default=True, description="N_SA of requests: the tester's address, default 0xF1"
    )
    address_extension: NodeAddress | None = Field(default=None, validate_default=True, description="N_AE")

    @field_validator("id_29_bit")
    @classmethod
    def _normal_fixed_has_29_bits(cls, value: bool | None, info: ValidationInfo) -> bool:
        fixed = info.data.get("addressing") is AddressingMode.NORMAL_FIXED
        if fixed and value is False:
            raise ValueError("true: normal_fixed addressing has 29 bit identifiers")
        return fixed if value is None else value

    @field_validator("request_id", "response_id", "target_address", "source_address", "address_extension")
    @classmethod
    def _fits_the_mode(cls, value: int | None, info: ValidationInfo) -> int | None:
        mode, bits_29, name = info.data.get("addressing"), info.data.get("id_29_bit"), info.field_name or ""
        if mode is None or bits_29 is None:
            return value  # the mistake in that key is reported already
        needed = cls._needed(mode, bits_29)
        has_source = mode in _HAS_SOURCE or (mode is AddressingMode.MIXED and bits_29)
        which = f"{mode.value} addressing with {29 if bits_29 else 11} bits"
        if value is None and name in needed and name not in cls._defaults():
            raise ValueError(f"{which} needs {', '.join(needed)}")
        if value is not None and name not in needed and not (name == _SOURCE and has_source):
            raise ValueError(f"nothing: {which} has {', '.join(needed)}{', source_address' if has_source else ''}")
        if value is not None and name in _IDS and not bits_29 and value > MAX_BASE_ID:
            raise ValueError(f"up to {MAX_BASE_ID} (0x{MAX_BASE_ID:X}), or id_29_bit = true")
        return value

    @classmethod
    def _needed(cls, mode: AddressingMode, bits_29: bool) -> tuple[str, ...]:
        return _NEEDS[mode, bits_29]

    @classmethod
    def _defaults(cls) -> tuple[str, ...]:
        return ()

    @property
    def tester_address(self) -> int:
        """Return N_SA of requests."""
        return TESTER_ADDRESS if self.source_address is None else self.source_address


class TesterHabits(IsoTpHabits):
    """The tester's habits towards one ECU, all keys known."""

    classic_fallback: bool = False


class FunctionalHabitKeys(IsoTpHabits):
    """Some of the keys of habits; whether they fit each other shows when the vehicle's keys are there too."""

    @field_validator("frames")
    @classmethod
    def _long_frames_are_fd(cls, value: Frames | None, info: ValidationInfo) -> Frames | None:
        return value

    @field_validator("tx_dl_min")
    @classmethod
    def _has_padding_and_is_not_the_longest(cls, value: int, info: ValidationInfo) -> int:
        return value


class HabitKeys(FunctionalHabitKeys):
    """The tester's habits as they stand in a file; a key left out is the vehicle's, or else the default."""

    classic_fallback: bool = Field(
        default=False, description="an ECU that leaves CAN FD frames unanswered is tried with classic ones"
    )


class SecondTester(FileModel):
    """Identifiers of another tester's connection to the same ECU: normal addressing, as wide as the ECU's own."""

    request_id: CanId
    response_id: CanId


class AddressedEcu(Addressed):
    """Where one ECU is reached, and the tester's habits towards it."""

    isotp: HabitKeys = HabitKeys()
    second_tester: SecondTester | None = Field(
        default=None, description="where the simulated ECU answers another tester too"
    )

    @field_validator("second_tester")
    @classmethod
    def _as_wide_as_the_ecus_own(cls, value: SecondTester | None, info: ValidationInfo) -> SecondTester | None:
        bits_29 = bool(info.data.get("id_29_bit"))
        if value is not None and not bits_29 and max(value.request_id, value.response_id) > MAX_BASE_ID:
            raise ValueError(f"identifiers up to {MAX_BASE_ID} (0x{MAX_BASE_ID:X}), or id_29_bit = true")
        return value

    def places(self) -> tuple[CanAddress, ...]:
        """Return where requests and responses of all testers go."""
        own = destinations(self.address())
        if self.second_tester is None:
            return own
        ids, bits_29 = self.second_tester, bool(self.id_29_bit)
        return *own, *destinations(IsoTpAddress.normal(ids.request_id, ids.response_id, id_29_bit=bits_29))

    def address(self) -> IsoTpAddress:
        """Return the tester's view of the connection."""
        ids = (self.request_id or 0, self.response_id or 0)
        source, target, extension = self.tester_address, self.target_address or 0, self.address_extension or 0
        if self.addressing is AddressingMode.NORMAL_FIXED:
            return IsoTpAddress.normal_fixed(source, target)
        if self.addressing is AddressingMode.EXTENDED:
            return IsoTpAddress.extended(*ids, source, target, id_29_bit=bool(self.id_29_bit))
        if self.addressing is AddressingMode.MIXED:
            fixed = IsoTpAddress.mixed_fixed(source, target, extension)
            return fixed if self.id_29_bit else IsoTpAddress.mixed(*ids, extension)
        return IsoTpAddress.normal(*ids, id_29_bit=bool(self.id_29_bit))

    def spec_keys(self) -> dict[str, Any]:
        """Return the address as the keys of `EcuSpec`."""
        address, second = self.address(), self.second_tester
        return {
            "addressing": self.addressing.value,
            "id_29_bit": address.id_29_bit,
            "request_id": address.tx_id,
            "response_id": address.rx_id,
            "request_extension": address.tx_extension,
            "response_extension": address.rx_extension,
            "second_tester": None if second is None else (second.request_id, second.response_id),
        }


class FunctionalEntry(Addressed):
    """Where functional requests go on one channel, and how they are framed; `target_address` is 0x33 by default."""

    isotp: FunctionalHabitKeys = FunctionalHabitKeys()

    @classmethod
    def _needed(cls, mode: AddressingMode, bits_29: bool) -> tuple[str, ...]:
        return tuple(name for name in _NEEDS[mode, bits_29] if name != "response_id")

    @classmethod
    def _defaults(cls) -> tuple[str, ...]:
        return (_TARGET,)

    def address(self) -> IsoTpAddress:
        """Return where the tester sends; nothing is received (`rx_id` is the same)."""
        target = ALL_ECUS_ADDRESS if self.target_address is None else self.target_address
        source, extension, bits_29 = self.tester_address, self.address_extension, bool(self.id_29_bit)
        if self.addressing is AddressingMode.NORMAL_FIXED:
            can_id = IsoTpAddress.normal_fixed(source, target, functional=True).tx_id
        elif self.addressing is AddressingMode.MIXED and bits_29:
            can_id = IsoTpAddress.mixed_fixed(source, target, extension or 0, functional=True).tx_id
        else:
            can_id = self.request_id or 0
        first = target if self.addressing is AddressingMode.EXTENDED else extension
        return IsoTpAddress(
            mode=self.addressing, tx_id=can_id, rx_id=can_id, tx_extension=first, rx_extension=first, id_29_bit=bits_29
        )


def merged(vehicle: HabitKeys, own: FunctionalHabitKeys) -> TesterHabits:
    """Return `own` habits, and the vehicle's where a key was left out; ValidationError when they do not fit."""
    keys = vehicle.model_dump(exclude_unset=True) | own.model_dump(exclude_unset=True)
    if "tx_dl" in own.model_fields_set and "frames" not in own.model_fields_set:
        keys.pop("frames", None)  # the frames of the vehicle belong to its own tx_dl
    return TesterHabits.model_validate(keys)


def refuse_contradictions(vehicle: HabitKeys, own: FunctionalHabitKeys, place: tuple[str | int, ...]) -> None:
    """Raise a ValidationError that names the keys below `place` of the file when the two contradict each other."""
    try:
        merged(vehicle, own)
    except ValidationError as error:
        mistakes: list[InitErrorDetails] = [
            {
                "type": PydanticCustomError("value_error", "{message}", {"message": mistake["msg"]}),
                "loc": (*place, *mistake["loc"]),
                "input": mistake["input"],
            }
            for mistake in error.errors(include_url=False)
        ]
        raise ValidationError.from_exception_data("vehicle", mistakes) from None


def destinations(address: IsoTpAddress) -> tuple[CanAddress, CanAddress]:
    """Return where requests and responses go."""
    return (
        CanAddress(address.tx_id, address.id_29_bit, address.tx_extension),
        CanAddress(address.rx_id, address.id_29_bit, address.rx_extension),
    )


def refuse_collisions(channel: str, places: Iterable[CanAddress]) -> None:
    """Raise ValueError where two directions of one channel cannot be distinguished.

    An identifier may serve several connections when all of them have an address byte and these differ.
    """
    seen: dict[tuple[int, bool], list[CanAddress]] = {}
    for place in places:
        others = seen.setdefault((place.can_id, place.id_29_bit), [])
        for other in others:
            if place == other:
                raise ValueError(f"CAN identifier {channel} {place.text()} stands twice")
            if None in (place.extension, other.extension):
                raise ValueError(f"CAN identifier {channel} {place.text()} is also used with an address byte")
        others.append(place)


def refuse_fd_on_classic(channel: str, fd: bool, habits: IsoTpHabits, file: str, key: str) -> None:
    """Raise `InputError` when a tester would send FD frames on a classic bus."""
    if habits.fd and not fd:
        raise InputError(
            f"the tester would send CAN FD frames on {channel}, which is a classic bus",
            file=file,
            key=key,
            found=f"tx_dl = {habits.tx_dl}, frames = {habits.frames!r}",
            allowed='tx_dl = 8 and frames = "classic", or data_bitrate_bit_s for that channel in the bench file',
        )
