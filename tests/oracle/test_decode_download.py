"""Which data belong to which download (ISO 14229-1, 0x34 to 0x38 and 0x3D), and which of them the ECU took."""

from __future__ import annotations

import lzma
from typing import Any

import pytest

from bench.core.records import DownloadPacking
from bench.oracle.decode_download import Block, Download, Transfers
from bench.oracle.decode_isotp import Message
from bench.oracle.exchange import Exchange
from tests.oracle.oracle_vectors import layout, replace


class Line:
    """Transfers into the body, one exchange every 10 ns: the request ends after 2, the answer after 5."""

    def __init__(self, **changes: Any) -> None:
        self.transfers = Transfers(replace(layout("body"), **changes))
        self.t_ns = 100

    def exchange(self, request: str, answer: str | None, *, complete: bool = True) -> Exchange:
        asked = Message(self.t_ns, self.t_ns + 2, "agent", bytes.fromhex(request), complete)
        said = None if answer is None else Message(self.t_ns + 4, self.t_ns + 5, "body", bytes.fromhex(answer))
        self.t_ns += 10
        return Exchange("body", "can0", asked, said)

    def ask(self, request: str, answer: str | None, *, complete: bool = True) -> list[Block | Download]:
        return self.transfers.take(self.exchange(request, answer, complete=complete))

    def begin(self, size: str = "00000004") -> None:
        assert self.ask("340044" + "00008000" + size, "74200FFF") == []


def downloads(found: list[Block | Download]) -> list[tuple[bytes, int | None]]:
    return [(each.data, each.completed_t_ns) for each in found if isinstance(each, Download)]


def blocks(found: list[Block | Download]) -> list[tuple[bytes, bool]]:
    return [(each.data, each.stored) for each in found if isinstance(each, Block)]


def test_a_download_is_what_was_stored_until_its_exit_was_answered() -> None:
    line = Line()
    line.begin()
    assert blocks(line.ask("3601AABB", "7601")) == [(b"\xaa\xbb", True)]
    assert blocks(line.ask("3602CC", "7602")) == [(b"\xcc", True)]
    (done,) = line.ask("37", "77")
    assert done == Download("body", 100, 0, 0x8000, 4, b"\xaa\xbb\xcc", 135)
    assert line.transfers.finish() == []


def test_a_block_counts_once_in_its_order_and_when_it_was_answered_well() -> None:
    line = Line()
    line.begin()
    assert blocks(line.ask("3602AA", "7602")) == [(b"\xaa", False)]
    assert blocks(line.ask("3601BB", "7F3672")) == [(b"\xbb", False)]
    assert blocks(line.ask("3601BB", None)) == [(b"\xbb", False)]
    assert blocks(line.ask("3601BB", "7601")) == [(b"\xbb", True)]
    assert blocks(line.ask("3601BB", "7601")) == [(b"\xbb", False)], "a repetition"
    assert blocks(line.ask("36", "7600")) == [(b"", False)]
    assert downloads(line.ask("37", "77")) == [(b"\xbb", 175)]


@pytest.mark.parametrize(("first", "after"), [(1, 0), (0, 1), (1, 1)])
def test_the_counter_begins_and_goes_on_as_the_file_says(first: int, after: int) -> None:
    line = Line(first_counter=first, counter_after_ff=after)
    line.begin()
    for counter in (*range(first, 256), after, after + 1):
        assert blocks(line.ask(f"36{counter:02X}AA", f"76{counter:02X}")) == [(b"\xaa", True)], counter
    assert blocks(line.ask(f"36{after:02X}AA", f"76{after:02X}")) == [(b"\xaa", False)]


@pytest.mark.parametrize(("request_", "answer"), [("1001", "5001003201F4"), ("1101", "5101")])
def test_a_session_or_a_reset_breaks_a_download_off(request_: str, answer: str) -> None:
    line = Line()
    line.begin()
    line.ask("3601AA", "7601")
    assert line.ask(request_, f"7F{request_[:2]}22") == []
    assert downloads(line.ask(request_, answer)) == [(b"\xaa", None)]
    assert blocks(line.ask("3602BB", "7602")) == [(b"\xbb", False)], "no download is there any more"


def test_an_exit_that_was_refused_ends_nothing_and_the_end_of_the_run_breaks_off() -> None:
    line = Line()
    line.begin()
    line.ask("3601AA", "7601")
    assert line.ask("37", "7F3724") == []
    assert downloads(line.transfers.finish()) == [(b"\xaa", None)]


def test_a_new_download_breaks_the_one_before_off() -> None:
    line = Line()
    line.begin()
    line.ask("3601AA", "7601")
    assert downloads(line.ask("340044" + "00009000" + "00000004", "74200FFF")) == [(b"\xaa", None)]
    assert blocks(line.ask("3601BB", "7601")) == [(b"\xbb", True)]


@pytest.mark.parametrize(
    ("request_", "answer", "begins"),
    [
        ("340044" + "00008000" + "00000004", "74200FFF", True),
        ("340044" + "00008000" + "00000004", None, True),
        ("340044" + "00008000" + "00000004", "7F3470", False),
        ("340044" + "00008000" + "000004", "74200FFF", False),
        ("340044" + "00008000" + "0000000004", "74200FFF", False),
        ("340012" + "8000" + "04", "74200FFF", True),
        ("340021" + "80" + "0004", "74200FFF", True),
        ("340000", "74200FFF", True),
        ("3400", "74200FFF", False),
    ],
)
def test_a_download_begins_with_a_whole_request_that_was_not_refused(
    request_: str, answer: str | None, begins: bool
) -> None:
    line = Line()
    line.ask(request_, answer)
    assert bool(line.transfers.finish()) is begins


def test_a_request_that_broke_off_begins_nothing() -> None:
    line = Line()
    line.ask("340044" + "00008000" + "00000004", None, complete=False)
    assert line.transfers.finish() == []


@pytest.mark.parametrize(
    ("request_", "address", "size"),
    [("34" + "00" + "23" + "008001" + "0102", 0x8001, 0x0102), ("34" + "00" + "31" + "07" + "010203", 7, 0x010203)],
)
def test_address_and_size_have_the_lengths_of_their_format(request_: str, address: int, size: int) -> None:
    line = Line()
    line.ask(request_, "74200FFF")
    (found,) = line.transfers.finish()
    assert isinstance(found, Download)
    assert (found.address, found.size_bytes) == (address, size)


@pytest.mark.parametrize(
    ("request_", "answer", "elsewhere"),
    [
        ("350044" + "00008000" + "00000004", "75200FFF", True),
        ("350044" + "00008000" + "00000004", "7F3570", False),
        ("3801000461626364", "7801", True),
        ("3802000461626364", "7802", False),
        ("3803000461626364", "7803", True),
        ("3801000461626364", "7F3870", False),
        ("22F189", "62F189312E30", False),
    ],
)
def test_what_is_transferred_for_an_upload_or_a_file_is_no_block(request_: str, answer: str, elsewhere: bool) -> None:
    line = Line()
    line.ask(request_, answer)
    for _ in range(2):
        assert bool(line.ask("3601AA", "7601")) is not elsewhere
    line.ask("37", "77")
    assert blocks(line.ask("3601AA", "7601")) == [(b"\xaa", False)], "it is over"


def test_a_download_after_an_upload_has_blocks_again() -> None:
    line = Line()
    line.ask("350044" + "00008000" + "00000004", "75200FFF")
    line.begin()
    assert blocks(line.ask("3601AA", "7601")) == [(b"\xaa", True)]


def test_written_memory_is_a_block_behind_its_range() -> None:
    line = Line()
    assert blocks(line.ask("3D" + "12" + "8000" + "02" + "AABB", "7D12800002")) == [(b"\xaa\xbb", True)]
    assert blocks(line.ask("3D" + "12" + "8000" + "02" + "AABB", "7F3D31")) == [(b"\xaa\xbb", False)]


def test_an_answer_that_comes_late_stores_or_completes_all_the_same() -> None:
    line = Line()
    line.begin()
    assert blocks(line.transfers.take_late(line.exchange("3601AA", "7601"))) == [(b"\xaa", True)]
    assert line.transfers.take_late(line.exchange("3602BB", "7F3672")) == []
    assert line.transfers.take_late(line.exchange("22F189", "62F18931")) == []
    assert line.transfers.take_late(line.exchange("1001", "5001")) == []
    assert downloads(line.transfers.take_late(line.exchange("37", "77"))) == [(b"\xaa", 155)]
    assert line.transfers.take_late(line.exchange("3601AA", "7601")) == []


def test_data_of_an_unknown_format_are_shown_as_they_are() -> None:
    line = Line()
    line.ask("341144" + "00008000" + "00000004", "74200FFF")
    (block,) = line.ask("3601AA", "7601")
    assert block == Block(112, b"\xaa", stored=True, readable=False, ecu="body")


def test_a_block_without_data_has_a_counter_and_one_without_a_counter_is_never_stored() -> None:
    line = Line()
    line.begin()
    assert blocks(line.ask("36", "76")) == [(b"", False)]
    assert blocks(line.ask("3601", "7601")) == [(b"", True)]
    assert blocks(line.ask("3602AA", "7602")) == [(b"\xaa", True)]
    from_zero = Line(first_counter=0)
    from_zero.begin()
    assert blocks(from_zero.ask("36", "76")) == [(b"", False)]


def test_a_packed_block_that_was_not_stored_is_readable_all_the_same() -> None:
    line = Line(packing=DownloadPacking(0x10, "lzma", "none", b"", 8 << 20))
    line.ask("341044" + "00008000" + "00000004", "74200FFF")
    stream = lzma.compress(b"\x01\x02\x03\x04", format=lzma.FORMAT_XZ).hex()
    (refused,) = line.ask(f"3601{stream}", "7F3672")
    assert refused == Block(112, b"\x01\x02\x03\x04", stored=False, readable=True, ecu="body")
    assert blocks(line.ask(f"3601{stream}", "7601")) == [(b"\x01\x02\x03\x04", True)]
    assert blocks(line.ask(f"3601{stream}", "7601")) == [(b"\x01\x02\x03\x04", False)]
    (rubbish,) = line.ask("3602AABBCC", "7602")
    assert isinstance(rubbish, Block)
    assert (rubbish.data, rubbish.readable) == (b"\xaa\xbb\xcc", True)


def test_data_without_a_download_are_readable_as_they_are() -> None:
    line = Line()
    assert line.ask("3601AA", "7601") == [Block(102, b"\xaa", stored=False, readable=True, ecu="body")]
    assert line.ask("3D" + "1100" + "01AA", "7D110001") == [
        Block(112, b"\xaa", stored=True, readable=True, ecu="body")
    ]  # fmt: skip
