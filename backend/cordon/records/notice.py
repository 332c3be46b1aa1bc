"""The public notice of a deployment: what anybody in the street may know of it, and nothing operational.

Its words are a file for each language (`words/<language>.json`), and its retention periods are the very fields that
the purge goes by, so that what is promised and what is done cannot part.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cordon.deployments.model import Deployment, DeploymentState

_ROOM = Path(__file__).parent
STATIC = _ROOM / "static"
_LOCAL = ZoneInfo("Europe/London")
FIRST_LANGUAGE = "en"


@dataclass(frozen=True)
class Words:
    language: str
    entries: Mapping[str, Any]

    def say(self, name: str, **values: str) -> str:
        text: str = self.entries[name]
        return text.format(**values)

    def label(self, group: str, code: str) -> str:
        return str(self.entries[group][code])

    def amount(self, name: str, number: int) -> str:
        """`name` has its own words for none and for one: "as soon as it is over", "1 hour after the end"."""
        forms: Mapping[str, str] = self.entries[name]
        return forms.get(str(number), forms["many"]).format(number=number)


@functools.cache
def languages() -> dict[str, Words]:
    files = sorted((_ROOM / "words").glob("*.json"))
    return {file.stem: Words(file.stem, json.loads(file.read_text(encoding="utf-8"))) for file in files}


def words_for(wanted: Iterable[str]) -> Words:
    """The first language wanted that there are words for."""
    available = languages()
    return next((available[one] for one in wanted if one in available), available[FIRST_LANGUAGE])


def is_public(deployment: Deployment) -> bool:
    """From its publication on, and for good: people who walked past must be able to read it afterwards."""
    return deployment.notice_published_at is not None


def content(deployment: Deployment, words: Words, now: datetime, *, force: str, contact: str) -> dict[str, Any]:
    """Everything that the page shows, in that language: the page itself knows no deployment."""
    over = deployment.state in {DeploymentState.CLOSED, DeploymentState.PURGED} or now >= deployment.window_ends_at
    tense = "after" if over else "before" if now < deployment.window_starts_at else "during"
    end = deployment.window_ends_at if deployment.closed_at is None else deployment.closed_at
    return {
        "language": words.language,
        "title": words.say(f"title_{tense}"),
        "lead": words.say(f"lead_{tense}", force=force, place=deployment.place_name),
        "exercise": words.say("exercise") if deployment.marked_exercise else None,
        "facts": [
            (words.say("where"), deployment.place_name),
            (words.say("when"), _when(words, deployment.window_starts_at, max(end, deployment.window_starts_at))),
            (words.say("by_whom"), words.say("by_whom_text", force=force)),
            (words.say("why"), words.label("purposes", deployment.purpose)),
            (words.say("why_here"), words.label("location_reasons", deployment.location_reason)),
            (words.say("who"), [words.label("categories", code) for code in sorted(deployment.categories_sought)]),
        ],
        "sections": [
            (words.say("how"), words.entries["how_text"]),
            (words.say("data"), _data(words, deployment)),
            (words.say("rights"), words.entries["rights_text"]),
            (words.say("complain"), [text.format(contact=contact) for text in words.entries["complain_text"]]),
        ],
        "foot": words.say(
            "foot",
            reference=deployment.reference,
            published=_day(words, deployment.notice_published_at or now),
            version=(deployment.signed_terms_hash or "")[:8],
        ),
    }


def _data(words: Words, deployment: Deployment) -> list[str]:
    list_kept = words.amount("hours", deployment.watchlist_retention_h)
    alerts_kept = words.amount("days", deployment.alert_retention_d)
    return [text.format(list_kept=list_kept, alerts_kept=alerts_kept) for text in words.entries["data_text"]]


def _when(words: Words, starts_at: datetime, ends_at: datetime) -> str:
    """In the street's own time."""
    start, end = starts_at.astimezone(_LOCAL), ends_at.astimezone(_LOCAL)
    if start.date() == end.date():
        return words.say("on_day", day=_day(words, start), start=f"{start:%H:%M}", end=f"{end:%H:%M}")
    return words.say(
        "over_days",
        start_day=_day(words, start),
        start=f"{start:%H:%M}",
        end_day=_day(words, end),
        end=f"{end:%H:%M}",
    )


def _day(words: Words, moment: datetime) -> str:
    local = moment.astimezone(_LOCAL)
    weekday, month = words.entries["weekdays"][local.weekday()], words.entries["months"][local.month - 1]
    return words.say("day", weekday=weekday, day=str(local.day), month=month, year=str(local.year))
