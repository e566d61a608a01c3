"""The diagnostic session and what hangs on it (ISO 14229-1, 0x10): security, transfer, communication, DTC setting."""

from __future__ import annotations

from collections.abc import Callable

from bench.core.continuing import State
from bench.wire.uds import OF_NODE, CommunicationType, Nrc, Session

NORMAL_MESSAGES, NETWORK_MANAGEMENT = 0x01, 0x02
"""Bits of communicationType."""
SILENT = frozenset((CommunicationType.ENABLE_RX_DISABLE_TX, CommunicationType.DISABLE_RX_TX))
"""Control types under which an ECU does not send."""
NOT_RECEIVING = frozenset((CommunicationType.DISABLE_RX_ENABLE_TX, CommunicationType.DISABLE_RX_TX))
"""Control types under which an ECU does not receive."""


class SessionState:
    """Volatile state of a server. Every 0x10 locks security and drops what `on_change` says; default restores all."""

    def __init__(
        self, session: Session = Session.DEFAULT, *, needs_security: bool = True, needs_authentication: bool = False
    ) -> None:
        self.session = session
        self._needs_security, self._needs_authentication = needs_security, needs_authentication
        self.security_open = False
        """Whether a right key came (0x27)."""
        self.authenticated = False
        """Whether a certificate's owner was proven (0x29)."""
        self._on_change: list[Callable[[], None]] = []
        self._restore_communication()

    def state(self, now_ns: int) -> State:
        """Return session, locks and communication."""
        del now_ns
        locks = self.security_open, self.authenticated
        nodes = tuple(sorted(self.silent_nodes)), tuple(sorted(self.unmanaged_nodes))
        return int(self.session), locks, int(self.communication_type), int(self.network_management_type), nodes

    # Communication (0x28) ---------------------------------------------------------------------------

    def _restore_communication(self) -> None:
        self.communication_type = self.network_management_type = int(CommunicationType.ENABLE_RX_TX)
        self.silent_nodes: set[int] = set()
        self.unmanaged_nodes: set[int] = set()
        """Nodes behind the ECU whose application frames, or network management, are stopped (control type 0x04)."""

    def control_communication(self, control_type: int, messages: int, node: int | None = None) -> None:
        """Obey a 0x28: `messages` are bits of communicationType."""
        if control_type in OF_NODE and node is not None:
            silent = control_type == CommunicationType.ENABLE_RX_DISABLE_TX_OF_NODE
            for bit, nodes in ((NORMAL_MESSAGES, self.silent_nodes), (NETWORK_MANAGEMENT, self.unmanaged_nodes)):
                if messages & bit:
                    (nodes.add if silent else nodes.discard)(node)
            return
        if messages & NORMAL_MESSAGES:
            self.communication_type = control_type
        if messages & NETWORK_MANAGEMENT:
            self.network_management_type = control_type

    @property
    def sends_normal(self) -> bool:
        """Whether application frames may be sent."""
        return self.communication_type not in SILENT

    @property
    def sends_network_management(self) -> bool:
        """Whether network management frames may be sent."""
        return self.network_management_type not in SILENT

    @property
    def hears_normal(self) -> bool:
        """Whether application frames of others are listened to; a partner that is not heard then is not missing."""
        return self.communication_type not in NOT_RECEIVING

    # Guards -----------------------------------------------------------------------------------------

    @property
    def missing(self) -> Nrc | None:
        """The code that refuses what is guarded, or None when it is open."""
        # 0x29 before 0x27: who has not proven who he is shall not learn whether the level is locked.
        if self._needs_authentication and not self.authenticated:
            return Nrc.AUTHENTICATION_REQUIRED
        if self._needs_security and not self.security_open:
            return Nrc.SECURITY_ACCESS_DENIED
        return None

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever a session begins anew."""
        self._on_change.append(callback)

    def enter(self, session: Session) -> None:
        """Begin a session (also the same one again)."""
        self.session = session
        # Every 0x10 locks again, the same session too (ISO 14229-1:2020, 10.2, from memory): an ECU that was left
        # unlocked would stay so for the next tester.
        self.security_open = self.authenticated = False
        for callback in self._on_change:
            callback()
        # The default session ends what 0x28 and 0x85 switched off (ISO 14229-1:2020, 10.2, from memory): a tester that
        # died must not leave an ECU mute.
        if session is Session.DEFAULT:
            self._restore_communication()
