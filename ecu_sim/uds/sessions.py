"""The diagnostic session and what hangs on it (ISO 14229-1, 0x10): security, transfer, communication, DTC setting."""

from __future__ import annotations

from collections.abc import Callable

from bench.wire.uds import Nrc, Session


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
        self.communication_type = 0
        """Control type of the last 0x28; 0 is normal communication."""
        self.communication_messages = 0x03
        """Which messages it was about: 1 normal ones, 2 network management, 3 both."""
        self._on_change: list[Callable[[], None]] = []

    @property
    def missing(self) -> Nrc | None:
        """The code that refuses what is guarded, or None when it is open."""
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
        self.security_open = self.authenticated = False
        for callback in self._on_change:
            callback()
        if session is Session.DEFAULT:
            self.communication_type = 0
