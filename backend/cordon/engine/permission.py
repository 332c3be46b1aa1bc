"""May the engine match for this deployment, at this moment? No, unless it was told so within the last two seconds.

The engine stops when the window ends, when the authorisation is withdrawn, and when it cannot prove that it still
holds: a backend that is silent withdraws everything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cordon.engine.backend import MatchingOrder, Orders


class Permission:
    """Thread-safe. `monotonic` in seconds and `wall` are given so that a test can move them."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._lock = threading.Lock()
        self._orders: dict[str, MatchingOrder] = {}
        self._valid_until = 0.0
        self._offset = timedelta(0)

    def renew(self, orders: Orders, asked_at: float) -> None:
        """`asked_at`: the monotonic time at which the heartbeat was sent: the answer is no fresher than its question."""
        with self._lock:
            self._orders = {order.deployment_id: order for order in orders.sessions}
            self._valid_until = asked_at + orders.valid_for_s
            self._offset = orders.server_time - self._wall()

    def now(self) -> datetime:
        """The backend's time, as far as this engine knows it."""
        with self._lock:
            return self._wall() + self._offset

    def order(self, deployment_id: str) -> MatchingOrder | None:
        return self.orders().get(deployment_id)

    def orders(self) -> dict[str, MatchingOrder]:
        """What may be matched now. Empty as soon as the last answer is too old."""
        with self._lock:
            if self._monotonic() >= self._valid_until:
                return {}
            now = self._wall() + self._offset
            return {
                deployment_id: order
                for deployment_id, order in self._orders.items()
                if order.window_starts_at <= now < order.window_ends_at
            }
