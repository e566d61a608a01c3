from __future__ import annotations

from types import ModuleType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bench.core.records import EcuLayout, FrameRecord
from bench.oracle.decode_isotp import split
from bench.oracle.decode_uds import EcuTraffic, functional, listen


def traffic(v: ModuleType, talk: Any) -> EcuTraffic:
    return listen(split(talk.frames), v.layout("body"))


def test_download_is_put_together_from_its_blocks(v: ModuleType) -> None:
    talk = v.Talk(0)
    data = v.payload("x", 600)
    talk.download("body", 0x8000, data)
    (download,) = traffic(v, talk).downloads
    assert (download.ecu, download.address, download.size_bytes, download.data) == ("body", 0x8000, 600, data)
    assert download.completed_t_ns == 4 * 20 * v.MS + 15 * v.MS


def test_download_without_transfer_exit_is_not_completed(v: ModuleType) -> None:
    talk = v.Talk(0)
    talk.download("body", 0, v.payload("x", 300), complete=False)
    talk.download("body", 0, v.payload("x", 300))
    first, second = traffic(v, talk).downloads
    assert first.completed_t_ns is None
    assert second.completed_t_ns is not None


def test_repeated_block_after_a_lost_answer_is_stored_once(v: ModuleType) -> None:
    talk = v.Talk(0)
    talk.ask("body", bytes.fromhex("3400440000000000000003"), "74200FFF")
    talk.ask("body", bytes.fromhex("3601010203"), None)
    talk.ask("body", bytes.fromhex("3601010203"), "7601")
    talk.ask("body", bytes.fromhex("3601010203"), "7601")
    talk.ask("body", b"\x37", "77")
    heard = traffic(v, talk)
    assert heard.downloads[0].data == b"\x01\x02\x03"
    assert [block.stored for block in heard.blocks] == [False, True, False]


def test_block_counter_wraps_from_ff_to_00(v: ModuleType) -> None:
    talk = v.Talk(0)
    talk.ask("body", bytes.fromhex("3400440000000000000101"), "74200FFF")
    for n in range(1, 258):
        talk.ask("body", bytes((0x36, n & 0xFF, n & 0x7F)), f"76{n & 0xFF:02X}")
    talk.ask("body", b"\x37", "77")
    assert len(traffic(v, talk).downloads[0].data) == 257


def test_refused_download_is_a_request_but_no_download(v: ModuleType) -> None:
    talk = v.Talk(0)
    talk.ask("body", bytes.fromhex("3400440000000000000010"), "7F3431")
    heard = traffic(v, talk)
    assert heard.downloads == ()
    assert [e.negative for e in heard.download_requests()] == [True]


def test_refused_block_is_seen_but_not_stored(v: ModuleType) -> None:
    talk = v.Talk(0)
    talk.ask("body", bytes.fromhex("3400440000000000000003"), "74200FFF")
    talk.ask("body", bytes.fromhex("3601010203"), "7F3672")
    heard = traffic(v, talk)
    assert heard.downloads[0].data == b""
    assert [(block.data, block.stored) for block in heard.blocks] == [(b"\x01\x02\x03", False)]


def test_reset_ends_a_running_download(v: ModuleType) -> None:
    talk = v.Talk(0)
    talk.download("body", 0, v.payload("x", 100), complete=False)
    talk.ask("body", b"\x11\x01", "5101")
    talk.ask("body", b"\x37", "77")
    assert [d.completed_t_ns for d in traffic(v, talk).downloads] == [None]


def test_pending_answer_is_not_the_final_one(v: ModuleType) -> None:
    talk = v.Talk(0)
    talk.ask("body", b"\x31\x01\x02\x02", "7F3178")
    talk.frames += v.spoken(20 * v.MS, 0x7A8, bytes.fromhex("7101020200"), "body")
    (check,) = traffic(v, talk).checks_passed()
    assert check.answered_t_ns == 20 * v.MS


def test_check_with_another_status_is_not_passed(v: ModuleType) -> None:
    talk = v.Talk(0)
    talk.check("body", "7101020204")
    assert traffic(v, talk).checks_passed() == ()


def test_answer_of_another_routine_is_not_taken(v: ModuleType) -> None:
    talk = v.Talk(0)
    talk.erase("body", "7101020200")
    (erasure,) = traffic(v, talk).erasures()
    assert erasure.answer is None


def test_first_frame_alone_shows_an_erasure(v: ModuleType) -> None:
    talk = v.Talk(0)
    talk.frames = v.spoken(0, 0x7A0, bytes.fromhex("3101FF00440000000000004000"))[:1]
    (erasure,) = traffic(v, talk).erasures()
    assert not erasure.request.complete


def test_functional_requests_are_heard_once_per_channel(v: ModuleType) -> None:
    talk = v.Talk(0)
    talk.to_all("288301")
    (request,) = functional(split(talk.frames), v.healthy())
    assert (request.ecu, request.service, request.sub_function) == (None, 0x28, 0x03)


@given(st.lists(st.tuples(st.sampled_from((0x7A0, 0x7A8, 0x7DF)), st.binary(max_size=8)), max_size=40))
def test_random_traffic_never_raises(items: list[tuple[int, bytes]]) -> None:
    trace = [FrameRecord(n, "can0", "x", can_id, 0, data) for n, (can_id, data) in enumerate(items)]
    layout = EcuLayout("body", "can0", 0x7A0, 0x7A8, "HW", 0xF00000, (), 500, 0xFF00)
    found = listen(split(trace), layout)
    assert len(found.exchanges) <= len(items)


@given(st.lists(st.sampled_from((
    "0210025555555555", "0434004400555555", "100B340044000000", "2100000000105555", "0736010102030405", "0137", "0177",
    "0276015555", "0474200FFF", "037F3678", "037F3431", "0211015555", "025101", "100D3101FF004400",
)), max_size=40), st.lists(st.booleans(), min_size=40, max_size=40))  # fmt: skip
def test_random_order_of_real_frames_never_raises(texts: list[str], directions: list[bool]) -> None:
    trace = [
        FrameRecord(n, "can0", "x", 0x7A0 if ask else 0x7A8, 0, bytes.fromhex(text))
        for n, (text, ask) in enumerate(zip(texts, directions, strict=False))
    ]
    layout = EcuLayout("body", "can0", 0x7A0, 0x7A8, "HW", 0xF00000, (), 500, 0xFF00)
    found = listen(split(trace), layout)
    assert all(len(d.data) <= sum(len(b.data) for b in found.blocks if b.stored) for d in found.downloads)


def test_blocks_of_an_upload_or_a_file_are_no_blocks_of_an_image(v: ModuleType) -> None:
    talk = v.Talk(0)
    talk.ask("body", bytes.fromhex("3500440000000000000003"), "75200FFF")
    talk.ask("body", bytes.fromhex("3601"), "7601AABBCC")
    talk.ask("body", b"\x37", "77")
    talk.ask("body", bytes.fromhex("380100016100010303"), "78010400000FFF00")
    talk.ask("body", bytes.fromhex("3601AABBCC"), "7601")
    talk.ask("body", b"\x37", "77")
    talk.ask("body", bytes.fromhex("3802000161"), "7802")
    talk.ask("body", bytes.fromhex("3601DD"), "7F3624")
    heard = traffic(v, talk)
    assert heard.downloads == ()
    assert [(block.data, block.stored) for block in heard.blocks] == [(b"\xdd", False)]


def test_data_written_by_address_is_a_block_and_counts_as_touching(v: ModuleType) -> None:
    talk = v.Talk(0)
    talk.ask("body", bytes.fromhex("3D2210000002AABB"), "7D2210000002")
    talk.ask("body", bytes.fromhex("3D2210000002CCDD"), "7F3D33")
    heard = traffic(v, talk)
    assert [(block.data, block.stored) for block in heard.blocks] == [(b"\xaa\xbb", True), (b"\xcc\xdd", False)]
    assert len(heard.memory_writes()) == 2


def test_reports_of_dtcs_are_paired_by_their_sub_function(v: ModuleType) -> None:
    talk = v.Talk(0)
    talk.ask("body", bytes.fromhex("190201"), "59027F")
    talk.ask("body", bytes.fromhex("190A"), "59027F")
    first, second = traffic(v, talk).exchanges
    assert first.answered_t_ns is not None
    assert second.answer is None


def test_an_answer_that_came_late_stores_its_block(v: ModuleType) -> None:
    talk = v.Talk(0)
    talk.ask("body", bytes.fromhex("3400440000000000000002"), "74200FFF")
    talk.ask("body", bytes.fromhex("3601AABB"), None)
    talk.ask("body", bytes.fromhex("22F189"), None)
    talk.frames += v.spoken(talk.t_ns, 0x7A8, bytes.fromhex("7601"), "body")
    heard = traffic(v, talk)
    assert [d.data for d in heard.downloads] == [b"\xaa\xbb"]
    assert [e.answered_t_ns for e in heard.exchanges if e.service == 0x36] == [talk.t_ns]


def test_of_one_instant_the_request_comes_before_the_answer(v: ModuleType) -> None:
    talk = v.Talk(0)
    talk.frames = [*v.spoken(5, 0x7A8, bytes.fromhex("5101"), "body"), *v.spoken(5, 0x7A0, bytes.fromhex("1101"))]
    (exchange,) = traffic(v, talk).exchanges
    assert exchange.positive


def test_what_stands_behind_the_status_of_a_check_is_no_matter(v: ModuleType) -> None:
    for answer, passed in (("7101020200", True), ("710102020011", True), ("7101020201", False), ("71010202", False)):
        talk = v.Talk(0)
        talk.check("body", answer)
        assert bool(traffic(v, talk).checks_passed()) is passed
