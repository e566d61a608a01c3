"""A classic frame as the bits that stand on the bus, and how long the flags are that an error raises there."""

from __future__ import annotations

from bench.core.records import EXTENDED, FD, REMOTE
from bench.wire.can import CRC15_POLYNOMIAL, CanFrame
from bench.wire.can_errors import FLAG_BITS

DOMINANT, RECESSIVE = 0, 1
END_OF_FRAME = (RECESSIVE,) * 7
ACK_SLOT_FROM_STUFFED = 1
"""Behind the stuffed bits come CRC delimiter, ACK slot, ACK delimiter, end of frame."""


def stuffed_bits(frame: CanFrame) -> tuple[int, ...]:
    """Return a classic frame from its start to the end of its CRC sequence, stuff bits included (ISO 11898-1)."""
    bits = _content(frame)
    crc = 0
    for bit in bits:
        crc = (crc << 1 & 0x7FFF) ^ (CRC15_POLYNOMIAL if bit ^ crc >> 14 else 0)
    out: list[int] = []
    run = 0
    for bit in (*bits, *_word(crc, 15)):
        run = run + 1 if out and out[-1] == bit else 1
        out.append(bit)
        if run == 5:
            out.append(1 - bit)
            run = 1
    return tuple(out)


def _content(frame: CanFrame) -> tuple[int, ...]:
    remote = 1 if frame.flags & REMOTE else 0
    if frame.flags & EXTENDED:  # SOF, base id, SRR, IDE, id extension, RTR, r1, r0
        head = (0, *_word(frame.can_id >> 18, 11), 1, 1, *_word(frame.can_id & 0x3FFFF, 18), remote, 0, 0)
    else:  # SOF, id, RTR, IDE, r0
        head = (0, *_word(frame.can_id, 11), remote, 0, 0)
    data = () if remote else tuple(bit for byte in frame.data for bit in _word(byte, 8))
    return (*head, *_word(len(frame.data), 4), *data)


def _word(value: int, width: int) -> tuple[int, ...]:
    return tuple(value >> i & 1 for i in reversed(range(width)))


def wire_bits(frame: CanFrame) -> tuple[int, ...]:
    """Return a classic frame that was acknowledged, from its start to its end of frame."""
    return (*stuffed_bits(frame), RECESSIVE, DOMINANT, RECESSIVE, *END_OF_FRAME)


def first_difference(one: CanFrame, other: CanFrame) -> tuple[int, bool]:
    """Return the first bit in which two frames with one identifier differ, and whether the first one's is dominant.

    ValueError when they are equal. Where one of them is a CAN FD frame its stuff bits are left out of the count.
    """
    if not (one.flags | other.flags) & FD:
        pair = wire_bits(one), wire_bits(other)
    else:
        pair = _content(one), _content(other)
        if (one.flags ^ other.flags) & FD:  # FDF is recessive, and dominant as the classic frame's reserved bit
            return len(_content(one._replace(data=b""))) - 5, not one.flags & FD
    for at_bit, (mine, yours) in enumerate(zip(*pair, strict=False)):
        if mine != yours:
            return at_bit, mine == DOMINANT
    raise ValueError("the frames are equal")


def flag_bits(frame: CanFrame, at_bit: int, *, on_the_bus: bool, passive: bool = False) -> int:
    """Return how many bits the superposed error flags last, from the end of the destroyed bit on.

    `on_the_bus`: the bit is inverted for all, the transmitter included, which sees that at once. Else only some
    receivers saw it wrong and send the first flag. `passive`: that flag is recessive, an error-passive transmitter's.
    Every other node begins its own flag behind the bit at which the first one breaks a rule for it: six equal bits
    where bits are stuffed, a dominant one where the frame's form has a recessive one (ISO 11898-1, error detection,
    from memory). So 6 to 12 bits.
    """
    bits = wire_bits(frame)
    seen = list(bits[: at_bit + 1])
    if on_the_bus and seen:
        seen[-1] = 1 - seen[-1]
    if at_bit >= len(bits):  # intermission: a dominant bit there is an overload condition, whose flags are one
        return FLAG_BITS
    stuffed = len(stuffed_bits(frame))
    for begun in range(FLAG_BITS + 1):
        if _breaks_a_rule(seen, stuffed, at_once=begun > 0 or on_the_bus):
            return FLAG_BITS + begun
        seen.append(RECESSIVE if passive else DOMINANT)
    return FLAG_BITS  # a passive flag where the form is recessive anyway: nobody else sees one


def _breaks_a_rule(seen: list[int], stuffed: int, *, at_once: bool) -> bool:
    """Return whether the last bit is an error to whoever receives: nothing that crossed undisturbed is one."""
    last = len(seen) - 1
    if not at_once:
        return False
    if last < stuffed:
        return len(seen) > FLAG_BITS - 1 and len(set(seen[-FLAG_BITS:])) == 1
    return seen[-1] is DOMINANT and last != stuffed + ACK_SLOT_FROM_STUFFED
