"""A simulated ECU: persistent memory, and a volatile part that each boot builds anew (D3)."""

from __future__ import annotations

from bench.core.clock import NS_PER_MS
from bench.core.node import Incarnation, Node
from bench.core.records import EXTENDED, FD, REMOTE, BootRecord, CanAddress, ExecutionRecord
from bench.core.specs import EcuSpec
from bench.core.world import World
from bench.ports import CanBus, CanPort, PacedCanPort, SentCallback
from bench.wire.can import CanFrame, identifier
from bench.wire.frame_run import FrameRun
from bench.wire.image_header import ImageHeader
from bench.wire.isotp import AddressingMode, IsoTpAddress, IsoTpEndpoint
from bench.wire.isotp_habits import IsoTpHabits
from bench.wire.isotp_params import FRAME_BYTES
from bench.wire.pacer import Pacer
from bench.wire.uds import Session
from ecu_sim import boot
from ecu_sim.boot import Trust
from ecu_sim.identification import Identity
from ecu_sim.memory import EcuMemory
from ecu_sim.modes import EcuParts, Mode, application_mode, bootloader_mode
from ecu_sim.personality import Personality
from ecu_sim.server import Send, UdsServer
from ecu_sim.surroundings import Surroundings

BOOT_STAGES = 2
"""Units of a boot point: the boot manager, then what it starts."""


class _Connection:
    """One life's diagnostic connection: frames to requests, responses to frames."""

    def __init__(
        self,
        life: Incarnation,
        port: CanPort,
        address: IsoTpAddress,
        functional: CanAddress,
        habits: IsoTpHabits,
        *,
        hears_fd: bool,
    ) -> None:
        self._port, self._address, self._functional = port, address, functional
        self._deaf_to = REMOTE if hears_fd else REMOTE | FD
        self._flags = address.flags | habits.frame_flags
        pacer = Pacer(port.send_at) if isinstance(port, PacedCanPort) else None
        self._send_frame = (pacer or port).send
        self._endpoint = IsoTpEndpoint(
            life, habits.params(), self._transmit, self, address=address, transmit_run=self._transmit, pace=pacer
        )
        self.send: Send = self._endpoint.send
        self.server: UdsServer | None = None

    def open(self, server: UdsServer) -> None:
        """Begin to listen."""
        self.server = server
        address, functional = self._address, self._functional
        taker = None if self._deaf_to & FD else self._endpoint
        self._port.subscribe(self._heard, (address.rx_identifier,), taker)
        to_all = identifier(CanFrame(functional.can_id, b"", EXTENDED if functional.id_29_bit else 0))
        if to_all != address.rx_identifier:  # else the address byte tells them apart
            self._port.subscribe(self._heard, (to_all,))
        self._port.on_bus_off(self._endpoint.fail)

    def _transmit(self, data: bytes, sent: SentCallback, run: FrameRun | None = None) -> None:
        self._send_frame(CanFrame(self._address.tx_id, data, self._flags), sent, run)

    def _heard(self, frame: CanFrame, t_ns: int) -> None:
        can_id = frame.can_id
        if frame.flags & self._deaf_to:
            return
        if can_id == self._address.rx_id and self._address.accepts(frame):
            self._endpoint.on_frame(frame.data, t_ns)
        elif can_id == self._functional.can_id and self.server is not None:
            pdu = functional_request(frame, self._functional)
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


def functional_request(frame: CanFrame, address: CanAddress) -> bytes | None:
    """Return the payload of an ISO-TP single frame to `address`, or None: functional requests are nothing else."""
    prefix = b"" if address.extension is None else bytes((address.extension,))
    other_format = bool(frame.flags & EXTENDED) is not address.id_29_bit
    if other_format or not frame.data.startswith(prefix):
        return None
    start = len(prefix)
    if len(frame.data) > FRAME_BYTES and frame.data[start] == 0:
        start += 1  # over 8 data bytes the length has a byte of its own
    elif len(frame.data) > FRAME_BYTES:
        return None
    length, data = frame.data[start : start + 1], frame.data[start + 1 :]
    return data[: length[0]] if length and 0 < length[0] <= len(data) else None


def _address(spec: EcuSpec) -> IsoTpAddress:
    """Return the ECU's own view of its connection."""
    return IsoTpAddress(
        mode=AddressingMode(spec.addressing), tx_id=spec.response_id, rx_id=spec.request_id,
        tx_extension=spec.response_extension, rx_extension=spec.request_extension, id_29_bit=spec.id_29_bit,
    )  # fmt: skip


class SimEcu:
    """One ECU of a simulated vehicle."""

    def __init__(
        self,
        world: World,
        spec: EcuSpec,
        personality: Personality,
        bus: CanBus,
        identity: Identity,
        functional: CanAddress,
        image_public_key: bytes,
    ) -> None:
        self.spec, self.personality = spec, personality
        self.memory = EcuMemory(world, spec.id, personality)
        self.surroundings = Surroundings()
        self.node = Node(world, spec.id, self._boot)
        self._world, self._bus, self._identity, self._functional = world, bus, identity, functional
        self._address = _address(spec)
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
            restart=lambda programming: self._restart(life, programming), surroundings=self.surroundings,
        )  # fmt: skip
        timing = self.personality.boot
        if bank is None or header is None:
            await life.sleep_ns(timing.bootloader_ms * NS_PER_MS)
            self._listen(life, bootloader_mode(parts, session), bootloader=True)
        else:
            await life.sleep_ns(timing.application_ms * NS_PER_MS)
            self._listen(life, application_mode(parts, bank, header), bootloader=False)

    def _listen(self, life: Incarnation, mode: Mode, *, bootloader: bool) -> None:
        isotp = self.personality.isotp
        connection = _Connection(
            life, self._bus.attach(life), self._address, self._functional, isotp.of_mode(bootloader=bootloader),
            hears_fd=isotp.hears_fd(bootloader=bootloader),
        )  # fmt: skip
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
