"""Frames that come faster than the reader takes them wait in the kernel; none is lost."""

from __future__ import annotations

import socket
import struct
import threading

from bench.core.clock import Clock
from bench.link.can_adapter import CanAdapter, Event, Heard
from bench.ports.can import ChannelSpec
from tests.interop.real_can import in_real_time

INTERFACE = "vcan1"
FRAMES = 585
"""The consecutive frames of a block of 4,095 bytes, the longest of classic CAN."""
SPEC = ChannelSpec(
    name="can0", interface="socketcan", channel=INTERFACE, bitrate_bit_s=500_000, data_bitrate_bit_s=None, options={}
)


def test_a_burst_of_a_whole_block_is_heard_to_its_last_frame_by_a_reader_that_stood_still() -> None:
    numbers: list[int] = []
    go_on, all_heard = threading.Event(), threading.Event()

    def post(event: Event) -> None:  # in the reader's thread: while it waits here, nobody empties the queue
        assert isinstance(event, Heard)
        go_on.wait(20)
        numbers.append(int.from_bytes(event.frame.data, "big"))
        if numbers[-1] == FRAMES - 1:
            all_heard.set()

    async def main(clock: Clock) -> None:
        adapter = CanAdapter(SPEC, clock, post)
        try:
            with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as peer:
                peer.bind((INTERFACE,))
                for number in range(FRAMES):
                    peer.send(struct.pack("=IB3x8s", 0x651, 8, number.to_bytes(8, "big")))
            go_on.set()
            all_heard.wait(20)
        finally:
            adapter.close()

    in_real_time(main)
    assert numbers == list(range(FRAMES))
