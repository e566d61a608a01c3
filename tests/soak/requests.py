"""Requests for the soak: what a tester may sensibly ask of any ECU, the same a little wrong, and plain noise."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

from tests.recipes import header_slot
from tests.soak.lab import Kind
from tests.soak.nrcs import SPECIFIC

Draw = random.Random
Maker = Callable[[Draw, Kind], bytes]
MOST_RANDOM_BYTES = 64


def _sub(*fixed: int) -> Maker:
    return lambda draw, kind: bytes((fixed[0], draw.choice(fixed[1:])))


def _session(draw: Draw, kind: Kind) -> bytes:
    return bytes((0x10, draw.choices((1, 2, 3, 4, draw.randrange(128)), (3, 4, 6, 1, 1))[0]))


def _group(draw: Draw, kind: Kind) -> bytes:
    return b"\x14" + draw.choice((b"\xff\xff\xff", b"\xff\xff\xff", b"\xff\xff\x33", draw.randbytes(3)))


def _dtcs(draw: Draw, kind: Kind) -> bytes:
    sub = draw.choice((1, 2, 3, 4, 6, 0x0A, 0x0B, 0x0E, 0x14, draw.randrange(128)))
    code = draw.choice((b"\x06\x02\x51", b"\x06\x02\x54", b"\xf0\x03\x16", b"\xc1\x00\x87", draw.randbytes(3)))
    record = bytes((draw.choice((0, 1, 2, 0x10, 0xFF)),))
    tails = {1: record, 2: record, 4: code + record, 6: code + record}
    return bytes((0x19, sub)) + tails.get(sub, b"")


@cache
def dids(kind: Kind) -> tuple[int, ...]:
    """Return the identifiers that the recipe knows, and those of the standard's annex C."""
    known = [value for value in kind.recipe.dids.model_dump().values() if isinstance(value, int)]
    return tuple(dict.fromkeys((*known, *kind.recipe.dids.read_back.values(), *range(0xF180, 0xF1A0))))


def _read(draw: Draw, kind: Kind) -> bytes:
    count = draw.choice((1, 1, 1, 2, 3, 8))
    asked = (draw.choice((*dids(kind), draw.randrange(0x10000))) for _ in range(count))
    return b"\x22" + b"".join(did.to_bytes(2, "big") for did in asked)


def _write(draw: Draw, kind: Kind) -> bytes:
    did = draw.choice((kind.recipe.dids.fingerprint, kind.recipe.dids.fingerprint, *dids(kind)))
    data = draw.choice((b"\x26\x01\x31SOAKING", b"\x26\x0a\x3fSOAKING", draw.randbytes(draw.randrange(1, 20))))
    return b"\x2e" + did.to_bytes(2, "big") + data


def _place(draw: Draw, kind: Kind) -> tuple[int, int]:
    """Return an address and a size: mostly inside the image's region, at a unit's begin."""
    memory = kind.recipe.memory
    unit = memory.program_unit_bytes
    inside = memory.region_base + unit * draw.choice((0, 0, 0, 1, 3, memory.region_size // unit - 1))
    address = draw.choice(
        (inside, inside, inside, header_slot(kind.recipe), kind.personality.mark_address, inside + 1, 0x00F8_0000,
         memory.region_base + memory.region_size, draw.randrange(1 << 32))
    )  # fmt: skip
    size = draw.choice((unit, unit, 3 * unit, 256, 256, 1, 0, 5, 4 * unit + 7, memory.region_size, 0xFFFF_FFFF))
    return address, size


def _range(draw: Draw, kind: Kind) -> bytes:
    address, size = _place(draw, kind)
    form = draw.choice((kind.recipe.transfer.address_and_length_format,) * 6 + (0x44, 0x24, 0x11, draw.randrange(256)))
    sizes = form >> 4, form & 0xF
    return bytes((form,)) + b"".join(
        (value & ((1 << 8 * length) - 1)).to_bytes(length, "big")
        for value, length in ((address, sizes[1]), (size, sizes[0]))
    )


def _routine(draw: Draw, kind: Kind) -> bytes:
    known = [value for value in kind.recipe.routines.model_dump().values() if value is not None]
    routine: int = draw.choice((*known, *known, *range(0x0201, 0x0212), 0xFF02, draw.randrange(0x10000)))
    option = draw.choice((b"", b"", _range(draw, kind), _range(draw, kind) + draw.randbytes(4), draw.randbytes(3)))
    return bytes((0x31, draw.choice((1, 1, 1, 1, 2, 3)))) + routine.to_bytes(2, "big") + option


def _request_transfer(draw: Draw, kind: Kind) -> bytes:
    form = draw.choice((0, 0, kind.personality.download.data_format, draw.randrange(256)))
    return bytes((draw.choice((0x34, 0x34, 0x34, 0x35)), form)) + _range(draw, kind)


def _block(draw: Draw, kind: Kind) -> bytes:
    counter = draw.choices((1, 2, 0, 3, draw.randrange(256)), (6, 3, 1, 1, 1))[0]
    unit = kind.recipe.memory.program_unit_bytes
    length = draw.choice((1, 5, unit, unit, 256, 3 * unit, 600, 4 * unit + 7, 4_093))
    return bytes((0x36, counter)) + draw.randbytes(length)


def _file(draw: Draw, kind: Kind) -> bytes:
    name = draw.choice((b"/log/soak.txt", b"update.bin", b"../x", b"", draw.randbytes(9)))
    head = bytes((0x38, draw.choice((1, 2, 3, 4, 5, 6, draw.randrange(256))))) + len(name).to_bytes(2, "big") + name
    return head + draw.choice((b"", b"\x00\x02\x01\x00\x01\x00", draw.randbytes(6)))


def _key(draw: Draw, kind: Kind) -> bytes:
    level = kind.recipe.security.level if kind.recipe.security else 1
    sub = draw.choice((level, level, level, level + 1, level + 1, draw.randrange(128)))
    return bytes((0x27, sub)) + (draw.randbytes(draw.choice((8, 8, 16, 2, 4))) if sub % 2 == 0 else b"")


def _authentication(draw: Draw, kind: Kind) -> bytes:
    task = draw.choice((0, 1, 2, 3, 8, draw.randrange(128)))
    fields = b"".join(length.to_bytes(2, "big") + draw.randbytes(length) for length in (draw.randrange(40), 16))
    return bytes((0x29, task)) + {0: b"", 1: b"\x00" + fields, 2: b"\x00" + fields, 3: fields}.get(task, b"")


def _memory(draw: Draw, kind: Kind) -> bytes:
    sid = draw.choice((0x23, 0x23, 0x3D))
    return bytes((sid,)) + _range(draw, kind) + (draw.randbytes(draw.choice((1, 16, 256))) if sid == 0x3D else b"")


def _rare(draw: Draw, kind: Kind) -> bytes:
    return draw.choice(
        [b"\x24\xf1\x90", b"\x2a\x01\xf1", b"\x2c\x01\xf2\x00\xf1\x90\x01\x02", b"\x2f\xf1\x90\x00", b"\x83\x01",
         b"\x84\x00\x00", b"\x86\x00\x02", b"\x87\x01\x12", b"\x01\x0c", b"\x09\x02", b"\x7f\x22\x11", b"\x50\x03"]
    )  # fmt: skip


def _communication(draw: Draw, kind: Kind) -> bytes:
    control = draw.choice((0, 1, 2, 3, 3, 4, 5, draw.randrange(128)))
    return bytes((0x28, control, draw.choice((1, 2, 3, 0x11, 0, draw.randrange(256)))))


def _dtc_setting(draw: Draw, kind: Kind) -> bytes:
    return bytes((0x85, draw.choice((1, 2, 2, draw.randrange(128))))) + draw.choice((b"", b"", b"\xff\xff\xff"))


MAKERS: tuple[tuple[Maker, int], ...] = (
    (_session, 5), (_sub(0x11, 1, 2, 3, 4, 5, 0x60), 1), (_group, 2), (_dtcs, 4), (_read, 6), (_key, 5),
    (_communication, 3), (_authentication, 3), (_write, 4), (_routine, 8), (_request_transfer, 7), (_block, 8),
    (lambda draw, kind: b"\x37", 3), (_file, 2), (_memory, 3), (_sub(0x3E, 0, 0, 1), 3), (_dtc_setting, 3), (_rare, 2),
)  # fmt: skip
_WHAT, _HOW_OFTEN = [maker for maker, _ in MAKERS], [weight for _, weight in MAKERS]


def sensible(draw: Draw, kind: Kind) -> bytes:
    """Return a request that has the form which the standard gives it, as far as that goes."""
    return draw.choices(_WHAT, _HOW_OFTEN)[0](draw, kind)


def noise(draw: Draw, kind: Kind) -> bytes:
    """Return random bytes, often behind a known service id."""
    sid = draw.choice((draw.randrange(256), draw.choice(sorted(SPECIFIC))))
    return bytes((sid,)) + draw.randbytes(draw.choice((0, 1, 2, 3, draw.randrange(MOST_RANDOM_BYTES))))


def _shortened(draw: Draw, pdu: bytes) -> bytes:
    return pdu[: draw.randrange(1, len(pdu) + 1)]


def _lengthened(draw: Draw, pdu: bytes) -> bytes:
    return pdu + draw.randbytes(draw.choice((1, 1, 2, 3, 17)))


def _changed(draw: Draw, pdu: bytes) -> bytes:
    at = draw.randrange(min(len(pdu), 12))
    return pdu[:at] + draw.randbytes(1) + pdu[at + 1 :]


def _suppressing(draw: Draw, pdu: bytes) -> bytes:
    return pdu[:1] + bytes((pdu[1] | 0x80,)) + pdu[2:] if len(pdu) > 1 else pdu


def _other_service(draw: Draw, pdu: bytes) -> bytes:
    return bytes((draw.choice(sorted(SPECIFIC)),)) + pdu[1:]


MUTATIONS = (_shortened, _lengthened, _changed, _changed, _suppressing, _suppressing, _other_service)


def mutated(draw: Draw, kind: Kind) -> bytes:
    """Return a sensible request with something wrong in it."""
    pdu = sensible(draw, kind)
    for _ in range(draw.choice((1, 1, 2))):
        pdu = draw.choice(MUTATIONS)(draw, pdu)
    return pdu


def any_request(draw: Draw, kind: Kind) -> bytes:
    """Return a request of any of these sorts."""
    made = draw.choices((sensible, mutated, noise), (5, 4, 1))[0](draw, kind)
    return made[: kind.vehicle.habits(kind.entry).max_length]


# Messages that never become whole -------------------------------------------------------------------


def _first_frame(length: int, data: bytes) -> bytes:
    return bytes((0x10 | length >> 8, length & 0xFF)) + data


def broken_frames(draw: Draw) -> list[bytes]:
    """Return ISO-TP frames that are no whole message: the ECU must not answer them."""
    first = _first_frame(draw.choice((9, 20, 300, 4_095)), draw.randbytes(6))
    consecutive = [bytes((0x20 | number & 0xF,)) + draw.randbytes(7) for number in range(2, 5)]
    return draw.choice(
        (
            [first], [first, b"\x22" + draw.randbytes(7)], [first, first], consecutive,
            [_first_frame(20, draw.randbytes(6)), b"\x21" + draw.randbytes(7)],  # one frame is missing
            [_first_frame(draw.choice((0, 5, 7)), draw.randbytes(6))],  # would have fitted a single frame
            [bytes(8)], [b"\x0f" + draw.randbytes(7)],
            [b"\x30\x00\x00"], [b"\x31\x00\x00", b"\x32\x00\x00"], [b"\x10\x00\xff\xff\xff\xff\x36\x01"], [b""],
            [bytes((draw.choice((0x40, 0x7F, 0xF0)),)) + draw.randbytes(7)],
        )
    )  # fmt: skip
