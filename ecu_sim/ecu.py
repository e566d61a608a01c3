"""A simulated ECU: persistent memory, and a volatile part that each boot builds anew (D3)."""

from __future__ import annotations

from bench.core.clock import NS_PER_MS
from bench.core.node import Incarnation, Node
from bench.core.records import BootRecord, CanAddress, ExecutionRecord
from bench.core.specs import EcuSpec
from bench.core.world import World
from bench.ports import CanBus
from bench.wire.image_header import ImageHeader
from bench.wire.isotp import AddressingMode, IsoTpAddress
from bench.wire.uds import Session, session_response
from ecu_sim.boot import manager
from ecu_sim.boot.manager import Trust
from ecu_sim.boot.remains import programming_interrupted
from ecu_sim.connection import DiagConnection
from ecu_sim.memory.banks import EcuMemory
from ecu_sim.memory.dtcs import Dtc, DtcMemory
from ecu_sim.personality.personality import Personality
from ecu_sim.surroundings import Surroundings
from ecu_sim.uds.identification import Identity
from ecu_sim.uds.modes import EcuParts, Mode, application_mode, bootloader_mode
from ecu_sim.uds.restart import Restart
from ecu_sim.uds.server import FIRST_TESTER, UdsServer
from ecu_sim.uds.sessions import SessionState

BOOT_STAGES = 2
"""Units of a boot point: the boot manager, then what it starts."""


POWER_ON = Restart()
"""What a boot finds after the power was off: nothing is asked of it."""


def _address(spec: EcuSpec) -> IsoTpAddress:
    """Return the ECU's own view of its connection."""
    return IsoTpAddress(
        mode=AddressingMode(spec.addressing), tx_id=spec.response_id, rx_id=spec.request_id,
        tx_extension=spec.response_extension, rx_extension=spec.request_extension, id_29_bit=spec.id_29_bit,
    )  # fmt: skip


def _addresses(spec: EcuSpec) -> tuple[IsoTpAddress, ...]:
    """Return the connection of the first tester, and that of the second where there is one (normal addressing)."""
    first = _address(spec)
    if spec.second_tester is None:
        return (first,)
    request_id, response_id = spec.second_tester
    return first, IsoTpAddress(
        mode=AddressingMode.NORMAL, tx_id=response_id, rx_id=request_id, id_29_bit=spec.id_29_bit
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
        self._addresses = _addresses(spec)
        self.server: UdsServer | None = None
        self.state: SessionState | None = None
        self.dtcs: DtcMemory | None = None
        """Server, session and DTCs of the life that began to listen last."""
        self._trust = Trust(image_public_key, spec.hardware_id)
        self._points = world.points.counter(spec.id, "boot")
        self._asked: Restart | None = None  # RAM that survives a reset, but not a power cut

    # Boot -------------------------------------------------------------------------------------------

    def _boot(self, life: Incarnation) -> None:
        asked, self._asked = self._asked, None
        life.spawn(self._stages(life, asked), "boot")

    async def _stages(self, life: Incarnation, asked: Restart | None) -> None:
        programming = asked is not None and asked.programming
        n = self._points.begin(BOOT_STAGES)
        life.check()
        self.memory.flash.settle()
        dtcs = DtcMemory(life, self.memory.dtc_block, new_cycle=asked is None or asked.new_cycle)
        timing = self.personality.boot
        self._record_stage("boot_manager", None, "programming asked" if programming else "start")
        await life.sleep_ns(timing.manager_ms * NS_PER_MS // 2)
        self._points.inside(n, 0)
        life.check()
        await life.sleep_ns(timing.manager_ms * NS_PER_MS - timing.manager_ms * NS_PER_MS // 2)
        if programming:
            choice = manager.Choice(None, "programming asked")
        else:
            choice = await manager.choose(life, self.memory, self._trust)
            dtcs.report(Dtc.NOT_PROGRAMMED, failed=choice.bank is None)
            dtcs.report(Dtc.PROGRAMMING_INTERRUPTED, failed=programming_interrupted(self.memory))
        header = None if choice.bank is None else self.memory.decoded_header(choice.bank)
        if choice.bank is None or header is None:
            self._record_stage("bootloader", None, choice.reason)
        else:
            self._record_stage("application", choice.bank, choice.reason)
            self._record_execution(choice.bank, header)
        self._points.inside(n, 1)
        life.check()
        await self._serve(life, dtcs, choice.bank, header, asked or POWER_ON)
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

    async def _serve(
        self, life: Incarnation, dtcs: DtcMemory, bank: str | None, header: ImageHeader | None, asked: Restart
    ) -> None:
        """Start the application or the bootloader, and its diagnostic server."""
        parts = EcuParts(
            life=life, world=self._world, identity=self._identity, memory=self.memory, trust=self._trust,
            restart=lambda restart: self._restart(life, restart), requester=lambda: self._requester(),
            surroundings=self.surroundings, dtcs=dtcs,
        )  # fmt: skip
        timing = self.personality.boot
        if bank is None or header is None:
            await life.sleep_ns(timing.bootloader_ms * NS_PER_MS)
            session = Session.PROGRAMMING if asked.programming else Session.DEFAULT
            server = self._listen(life, dtcs, bootloader_mode(parts, session), bootloader=True)
        else:
            await life.sleep_ns(timing.application_ms * NS_PER_MS)
            server = self._listen(life, dtcs, application_mode(parts, bank, header), bootloader=False)
        if asked.answer_due_to is not None:
            uds = self.personality.uds
            server.owe(session_response(Session.PROGRAMMING, uds.p2_ms, uds.p2_star_ms), asked.answer_due_to)

    def _listen(self, life: Incarnation, dtcs: DtcMemory, mode: Mode, *, bootloader: bool) -> UdsServer:
        isotp, port = self.personality.isotp, self._bus.attach(life)
        connections = [
            DiagConnection(
                life, port, address, self._functional if n == 0 else None, isotp.of_mode(bootloader=bootloader),
                tester=n, hears_fd=isotp.hears_fd(bootloader=bootloader),
            )
            for n, address in enumerate(self._addresses)
        ]  # fmt: skip
        server = UdsServer(
            life, self._world, self.personality.uds, mode.state, mode.table,
            [connection.send for connection in connections], mode.on_session_timeout,
            ignores_others=self.personality.diagnostics.second_tester == "ignored",
        )  # fmt: skip
        for connection in connections:
            connection.open(server)
        self.server, self.state, self.dtcs = server, mode.state, dtcs
        return server

    def _requester(self) -> int:
        return FIRST_TESTER if self.server is None else self.server.requester

    # Reset ------------------------------------------------------------------------------------------

    def _restart(self, life: Incarnation, restart: Restart) -> None:
        """Reset a little later: the answer is on the wire, what is in the controller goes out."""
        due_ns = life.now_ns() + self.personality.boot.reset_delay_ms * NS_PER_MS
        life.call_at_ns(due_ns, self._reset, restart)

    def _reset(self, restart: Restart) -> None:
        self._asked = restart
        self.node.reset()
