"""Frames that a slow reader lost are counted, named in the journal, and told by whoever serves or records."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from bench.core.clock import NS_PER_MS, Clock
from bench.link import receive_queue
from bench.link.can_adapter import CanAdapter, Event, Heard, Trouble, open_bus, to_message
from bench.link.receive_queue import RECEIVE_QUEUE_BYTES, ReceiveQueue
from bench.ports.can import FRAMES_LOST, ChannelSpec
from bench.serving.ecu_server import FlowingJournal
from bench.wire.can import CanFrame
from tests.link.test_lost_frames import Bench, run

FRAMES = 600
"""More than the consecutive frames of a block of 4,095 bytes."""
SPEC = ChannelSpec(
    name="can0", interface="udp_multicast", channel="239.74.163.5", bitrate_bit_s=500_000, data_bitrate_bit_s=None,
    options={"hop_limit": 0, "port": 20_000 + os.getpid() % 20_000},
)  # fmt: skip
FIRST = CanFrame(0x7FF, b"")


class SlowReader:
    """Takes what an adapter hears, and stands still at the first frame until it is let go on."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.troubles: list[Trouble] = []
        self.stands, self.go_on = threading.Event(), threading.Event()

    def post(self, event: Event) -> None:
        if isinstance(event, Trouble):
            self.troubles.append(event)
        if isinstance(event, Heard):
            self.heard.append(event)
            self.stands.set()
            assert self.go_on.wait(20)


def flooded(spec: ChannelSpec, clock: Clock) -> tuple[SlowReader, int]:
    """Send `FRAMES` to an adapter whose reader stands still; returns what it heard, and how many it says are lost."""
    reader, sender = SlowReader(), open_bus(spec)
    adapter = CanAdapter(spec, clock, reader.post)
    try:
        for frame in (FIRST, *(CanFrame(0x651, n.to_bytes(2, "big")) for n in range(FRAMES))):
            sender.send(to_message(frame))
            assert reader.stands.wait(20)
        reader.go_on.set()
        end_ns = clock.now_ns() + 20_000 * NS_PER_MS
        while len(reader.heard) + adapter.dropped < 1 + FRAMES and clock.now_ns() < end_ns:
            reader.go_on.wait()
    finally:
        reader.go_on.set()
        adapter.close()
        sender.shutdown()
    return reader, adapter.dropped


def test_whole_block_waits_in_the_queue_of_a_udp_multicast_socket() -> None:
    async def main(clock: Clock) -> None:
        reader, lost = flooded(SPEC, clock)
        assert (len(reader.heard), lost, reader.troubles) == (1 + FRAMES, 0, [])

    run(main)


def test_frames_that_found_no_room_are_counted_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive_queue, "RECEIVE_QUEUE_BYTES", 16 * 1024)

    async def main(clock: Clock) -> None:
        reader, lost = flooded(SPEC, clock)
        assert 0 < lost < FRAMES
        assert len(reader.heard) + lost == 1 + FRAMES
        assert {trouble.kind for trouble in reader.troubles} == {FRAMES_LOST}
        assert sum(int(trouble.text.split()[0]) for trouble in reader.troubles) == lost

    run(main)


def test_bus_names_its_losses_in_the_journal_and_counts_them_for_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `bench.rig.rig` takes for the lost messages of the frames' watch."""
    monkeypatch.setattr(receive_queue, "RECEIVE_QUEUE_BYTES", 4 * 1024)
    spec = replace(SPEC, channel="239.74.163.6")
    go_on, stands = threading.Event(), threading.Event()

    async def main(clock: Clock) -> None:
        bench, sender = Bench(clock, spec), open_bus(spec)
        stamps_dated = bench.bus._adapter._stamps.dated

        def stand_still(stamp_s: float, arrived_ns: int) -> int:
            stands.set()
            assert go_on.wait(20)
            return stamps_dated(stamp_s, arrived_ns)

        monkeypatch.setattr(bench.bus._adapter._stamps, "dated", stand_still)
        try:
            for n in range(200):
                sender.send(to_message(CanFrame(0x651, n.to_bytes(2, "big"))))
                assert stands.wait(20)
            go_on.set()
            while len(list(bench.world.journal.frames())) + bench.bus.lost < 200:
                await clock.sleep_ns(NS_PER_MS)
        finally:
            go_on.set()
            bench.bus.close()
            sender.shutdown()
        lines = [entry.payload for entry in bench.world.journal.entries() if entry.kind == FRAMES_LOST]
        assert bench.bus.lost > 0
        assert sum(int(str(line).split()[0]) for line in lines) == bench.bus.lost

    run(main)


def test_interface_that_is_no_socket_counts_nothing() -> None:
    bus = open_bus(replace(SPEC, interface="virtual", options={}))
    queue = ReceiveQueue(bus)
    try:
        assert (queue.counts, queue.dropped()) == (False, 0)
    finally:
        queue.close()
        bus.shutdown()


def test_socket_of_an_interface_gets_the_room_that_the_kernel_allows() -> None:
    bus = open_bus(SPEC)
    queue = ReceiveQueue(bus)
    try:
        with socket.socket(fileno=os.dup(bus.fileno())) as opened:
            allowed = int(Path("/proc/sys/net/core/rmem_max").read_text())
            assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 2 * min(allowed, RECEIVE_QUEUE_BYTES)
        assert queue.counts
    finally:
        queue.close()
        bus.shutdown()


def test_server_tells_a_loss_with_its_channel() -> None:
    told: list[tuple[str, str]] = []

    async def main(clock: Clock) -> None:
        file = BytesIO()
        journal = FlowingJournal(clock, file, lambda channel, text: told.append((channel, text)))
        journal.add("can0", FRAMES_LOST, "7 dropped")
        journal.add("can0", "pacing", "writer thread")
        assert b"7 dropped" in file.getvalue()

    run(main)
    assert told == [("can0", "7 dropped")]
