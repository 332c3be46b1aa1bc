"""What a change of terms widens. Wider is whatever lets Cordon look at more people, for longer, elsewhere or less surely.

It is asked the other way round: a change is narrower only where a rule here says so. Whatever no rule knows, a text, a
reference or a term that somebody adds later, needs an authorising officer's signature.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from cordon.deployments.model import Adjudication, zone_ring
from cordon.deployments.zone import within

Document = dict[str, Any]
Rule = Callable[[Any, Any], bool]


def widens(old: Document, new: Document) -> list[str]:
    """The terms that `new` widens against `old` (both from `terms_document`), in alphabetical order; none: a narrowing."""
    return sorted(name for name in set(old) | set(new) if not _no_wider(name, old, new))


def _no_wider(name: str, old: Document, new: Document) -> bool:
    if name not in old or name not in new:
        return False
    if old[name] == new[name] and type(old[name]) is type(new[name]):
        return True
    rule = _NARROWER.get(name)
    return rule is not None and rule(old[name], new[name])


def _no_more(old: float, new: float) -> bool:
    return new <= old


def _no_less(old: float, new: float) -> bool:
    return new >= old


def _no_earlier(old: str, new: str) -> bool:
    return datetime.fromisoformat(new) >= datetime.fromisoformat(old)


def _no_later(old: str, new: str) -> bool:
    return datetime.fromisoformat(new) <= datetime.fromisoformat(old)


def _in_the_old_zone(old: dict[str, Any], new: dict[str, Any]) -> bool:
    try:
        return within(zone_ring(new), zone_ring(old))
    except ValueError:
        return False


def _cameras_see_no_more(old: list[Document], new: list[Document]) -> bool:
    before = {camera["id"]: camera for camera in old}
    return all(camera["id"] in before and _sees_no_more(before[camera["id"]], camera) for camera in new)


def _sees_no_more(old: Document, new: Document) -> bool:
    """The same camera at the same place, or less of what it saw."""
    view = ("fov_deg", "range_m")
    same = {key: value for key, value in old.items() if key not in view}
    return same == {key: value for key, value in new.items() if key not in view} and all(
        new[key] <= old[key] for key in view
    )


_NARROWER: dict[str, Rule] = {
    "window_starts_at": _no_earlier,
    "window_ends_at": _no_later,
    "zone": _in_the_old_zone,
    "cameras": _cameras_see_no_more,
    "categories_sought": lambda old, new: set(new) <= set(old),
    "list_limit": _no_more,
    "threshold": _no_less,
    "false_alert_budget": _no_more,
    "minimum_face_px": _no_less,
    "watchlist_retention_h": _no_more,
    "alert_retention_d": _no_more,
    "adjudication": lambda _old, new: new == Adjudication.FIRST,
    # Fewer alerts on the same person, gone sooner, and the coordinator told sooner of one that nobody looked at.
    "re_alert_s": _no_less,
    "alert_expiry_s": _no_more,
    "adjudication_deadline_s": _no_more,
}
