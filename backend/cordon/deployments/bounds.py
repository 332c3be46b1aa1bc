"""How large a deployment may be. A bespoke list and a small, targeted area make it lawful: an installation may set each
bound lower, and whatever it sets, none is ever higher."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cordon.deployments.model import MAX_CAMERAS, MAX_LIST_ENTRIES, MAX_WINDOW, MAX_ZONE_M2
from cordon.platform.settings import Settings


@dataclass(frozen=True)
class Bounds:
    cameras: int = MAX_CAMERAS
    zone_m2: float = MAX_ZONE_M2
    window: timedelta = MAX_WINDOW
    list_entries: int = MAX_LIST_ENTRIES

    @staticmethod
    def of(settings: Settings) -> Bounds:
        """Raises ValueError, with the sentence, where a setting is no bound at all."""
        given = settings.bounds
        for name, value in given.items():
            if not value > 0:
                raise ValueError(f"{name} must be greater than nothing.")
        return Bounds(
            cameras=int(min(MAX_CAMERAS, given.get("CORDON_MAX_CAMERAS", MAX_CAMERAS))),
            zone_m2=min(MAX_ZONE_M2, given.get("CORDON_MAX_ZONE_M2", MAX_ZONE_M2)),
            window=min(MAX_WINDOW, timedelta(hours=given.get("CORDON_MAX_WINDOW_H", MAX_WINDOW / timedelta(hours=1)))),
            list_entries=int(min(MAX_LIST_ENTRIES, given.get("CORDON_MAX_LIST_ENTRIES", MAX_LIST_ENTRIES))),
        )
