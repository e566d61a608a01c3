"""A simulated ECU: persistent memory, and a volatile part that each boot builds anew (D3)."""

from __future__ import annotations

from bench.core.clock import NS_PER_MS
from bench.core.node import Incarnation, Node
from bench.core.records import BootRecord, ExecutionRecord
from bench.core.specs import EcuSpec
from bench.core.world import World
from bench.ports import CanBus, CanPort, SentCallback
from bench.wire.can import CanFrame
from bench.wire.frame_run import FrameRun
from bench.wire.image_header import ImageHeader
from bench.wire.isotp import IsoTpEndpoint, IsoTpParams
from bench.wire.uds import Session
from ecu_sim import boot
from ecu_sim.boot import Trust
from ecu_sim.identification import Identity
from ecu_sim.memory import EcuMemory
from ecu_sim.modes import EcuParts, Mode, application_mode, bootloader_mode
from ecu_sim.personality import Personality
from ecu_sim.server import Send, UdsServer

BOOT_STAGES = 2
"""Units of a boot point: the boot manager, then what it starts."""
SINGLE_FRAME_BYTES = 7
PADDING = 0xCC


class _Connection:
    """One life's diagnostic connection: frames to requests, responses to frames."""

    def __init__(
        self, life: Incarnation, port: CanPort, spec: EcuSpec, functional_id: int, params: IsoTpParams
    ) -> None:
        self._port, self._spec, self._functional_id = port, spec, functional_id
        self._endpoint = IsoTpEndpoint(life, params, self._transmit, self, transmit_run=self._transmit_run)
        self.send: Send = self._endpoint.send
        self.server: UdsServer | None = None

    def open(self, server: UdsServer) -> None:
        """Begin to listen."""
        self.server = server
        self._port.subscribe(self._heard, (self._spec.request_id,), self._endpoint)
        self._port.subscribe(self._heard, (self._functional_id,))
        self._port.on_bus_off(self._endpoint.fail)

    def _transmit(self, data: bytes, sent: SentCallback) -> None:
        self._port.send(CanFrame(self._spec.response_id, data), sent)

    def _transmit_run(self, data: bytes, sent: SentCallback, run: FrameRun) -> None:
        self._port.send(CanFrame(self._spec.response_id, data), sent, run)

    def _heard(self, frame: CanFrame, t_ns: int) -> None:
        if frame.can_id == self._spec.request_id:
            self._endpoint.on_frame(frame.data, t_ns)
        elif frame.can_id == self._functional_id and self.server is not None:
            pdu = single_frame(frame.data)
            if pdu is not None:
                self.server.received(pdu, functional=True)

    def on_start(self, length: int) -> None:
        """See `IsoTpListener`."""
        del length
        if self.server is not None:
            self.server.reception_began()

    def on_message(self, payload: bytes) -> None:
        """See `IsoTpListener`."""
        if self.server is not None:
            self.server.received(payload, functional=False)

    def on_error(self, name: str) -> None:
        """See `IsoTpListener`."""
        del name
        if self.server is not None:
            self.server.reception_broke_off()


def single_frame(data: bytes) -> bytes | None:
    """Return the payload of an ISO-TP single frame, or None: functional requests are nothing else."""
    if not data or not 0 < data[0] <= min(SINGLE_FRAME_BYTES, len(data) - 1):
        return None
    return data[1 : 1 + data[0]]


class SimEcu:
    """One ECU of a simulated vehicle."""

    def __init__(
        self,
        world: World,
        spec: EcuSpec,
        personality: Personality,
        bus: CanBus,
        identity: Identity,
        functional_id: int,
        image_public_key: bytes,
    ) -> None:
        self.spec, self.personality = spec, personality
        self.memory = EcuMemory(world, spec.id, personality)
        self.node = Node(world, spec.id, self._boot)
        self._world, self._bus, self._identity, self._functional_id = world, bus, identity, functional_id
        self._trust = Trust(image_public_key, spec.hardware_id)
        self._points = world.points.counter(spec.id, "boot")
        self._programming_asked = False  # RAM that survives a reset, but not a power cut

    # Boot -------------------------------------------------------------------------------------------

    def _boot(self, life: Incarnation) -> None:
        programming, self._programming_asked = self._programming_asked, False
        life.spawn(self._stages(life, programming), "boot")

    async def _stages(self, life: Incarnation, programming: bool) -> None:
        n = self._points.begin(BOOT_STAGES)
        life.check()
        self.memory.flash.settle()
        timing = self.personality.boot
        self._record_stage("boot_manager", None, "programming asked" if programming else "start")
        await life.sleep_ns(timing.manager_ms * NS_PER_MS // 2)
        self._points.inside(n, 0)
        life.check()
        await life.sleep_ns(timing.manager_ms * NS_PER_MS - timing.manager_ms * NS_PER_MS // 2)
        if programming:
            choice = boot.Choice(None, "programming asked")
        else:
            choice = await boot.choose(life, self.memory, self._trust)
        header = None if choice.bank is None else self.memory.decoded_header(choice.bank)
        if choice.bank is None or header is None:
            self._record_stage("bootloader", None, choice.reason)
        else:
            self._record_stage("application", choice.bank, choice.reason)
            self._record_execution(choice.bank, header)
        self._points.inside(n, 1)
        life.check()
        await self._serve(life, choice.bank, header, Session.PROGRAMMING if programming else Session.DEFAULT)
        self._points.end(n)

    def _record_stage(self, stage: str, bank: str | None, reason: str) -> None:
        self._world.boot(BootRecord(self._world.clock.now_ns(), self.spec.id, stage, bank, reason))

    def _record_execution(self, bank: str, header: ImageHeader) -> None:
        memory = self.memory
        self._world.execution(
            ExecutionRecord(
                self._world.clock.now_ns(), self.spec.id, bank, header.load_address, memory.header(bank),
                memory.image_sha256(bank, header), memory.nvm.record.release_floor,
            )
        )  # fmt: skip

    async def _serve(self, life: Incarnation, bank: str | None, header: ImageHeader | None, session: Session) -> None:
        """Start the application or the bootloader, and its diagnostic server."""
        parts = EcuParts(
            life=life, world=self._world, identity=self._identity, memory=self.memory, trust=self._trust,
            restart=lambda programming: self._restart(life, programming),
        )  # fmt: skip
        timing = self.personality.boot
        if bank is None or header is None:
            await life.sleep_ns(timing.bootloader_ms * NS_PER_MS)
            self._listen(life, bootloader_mode(parts, session))
        else:
            await life.sleep_ns(timing.application_ms * NS_PER_MS)
            self._listen(life, application_mode(parts, bank, header))

    def _listen(self, life: Incarnation, mode: Mode) -> None:
        habits = self.personality.isotp
        params = IsoTpParams(block_size=habits.block_size, st_min=habits.st_min, padding=PADDING)
        connection = _Connection(life, self._bus.attach(life), self.spec, self._functional_id, params)
        connection.open(
            UdsServer(
                life, self._world, self.personality.uds, mode.state, mode.table, connection.send,
                mode.on_session_timeout,
            )
        )  # fmt: skip

    # Reset ------------------------------------------------------------------------------------------

    def _restart(self, life: Incarnation, programming: bool) -> None:
        """Reset a little later: the answer is on the wire, what is in the controller goes out."""
        due_ns = life.now_ns() + self.personality.boot.reset_delay_ms * NS_PER_MS
        life.call_at_ns(due_ns, self._reset, programming)

    def _reset(self, programming: bool) -> None:
        self._programming_asked = programming
        self.node.reset()
