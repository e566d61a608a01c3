from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.wire.transfer_format import TransferFormat
from bench.wire.uds import MemoryRange

WIDTHS = st.integers(1, 4)


@given(WIDTHS, WIDTHS, st.data())
def test_range_is_read_by_the_other_codec_as_it_was_written(
    address_bytes: int, size_bytes: int, data: st.DataObject
) -> None:
    form = TransferFormat(address_bytes=address_bytes, size_bytes=size_bytes)
    address = data.draw(st.integers(0, 256**address_bytes - 1))
    length = data.draw(st.integers(0, 256**size_bytes - 1))
    read = MemoryRange.decode(form.range(address, length))
    assert read == MemoryRange(form.address_and_length_format, address, length)


@pytest.mark.parametrize(("address", "length"), [(0x100_0000, 1), (1, 0x100_0000)])
def test_value_wider_than_its_field_is_refused(address: int, length: int) -> None:
    with pytest.raises(OverflowError):
        TransferFormat(address_bytes=3, size_bytes=3).range(address, length)


@pytest.mark.parametrize(("first", "after_ff"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_counters_begin_count_and_wrap_as_told(first: int, after_ff: int) -> None:
    form = TransferFormat.model_validate({"first_counter": first, "counter_after_ff": after_ff})
    counter, seen = None, []
    for _ in range(600):
        counter = form.counter_after(counter)
        seen.append(counter)
    turn = 256 - first
    assert seen[:turn] == list(range(first, 256))
    assert seen[turn : turn + 256 - after_ff] == list(range(after_ff, 256))
