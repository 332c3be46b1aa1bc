"""A deployment's watchlist: entries in, checked and enrolled; entries out, at once; what engines may search with."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, select

from cordon.audit import service as audit
from cordon.delivery import service as delivery
from cordon.delivery.model import Audience
from cordon.deployments.model import ACTIONS, CATEGORIES, Deployment, DeploymentState
from cordon.evidence import service as evidence
from cordon.evidence.model import Holding
from cordon.people.model import Actor
from cordon.platform.errors import Invalid, NotFound, Refusal
from cordon.platform.ids import new_id
from cordon.platform.installation import UnitOfWork
from cordon.watchlists.model import EntryKind, EntryStatus, ReferenceImage, Watchlist, WatchlistEntry

log = logging.getLogger(__name__)

MAX_UPLOAD_BYTES = 12_000_000
MAX_IMAGES_AN_ENTRY = 5
MADE_BEFORE_OPENING = timedelta(hours=24)


@dataclass(frozen=True)
class NewEntry:
    reference_number: str
    display_name: str
    category: str
    action: str
    reason: str
    provenance: str
    kind: str = EntryKind.SUBJECT.value
    risk_warning: str = ""
    image_taken_on: date | None = None
    vulnerable: bool = False
    under_18: bool = False


class Enrolled(Protocol):
    @property
    def template(self) -> NDArray[np.float32]: ...

    @property
    def picture_jpeg(self) -> bytes: ...


class Enroller(Protocol):
    """What makes a template of a picture: a model pack, on the side that may load one."""

    @property
    def pack_label(self) -> str:
        """Name and version."""

    def enrol(self, picture: bytes) -> Enrolled:
        """Raises PictureRefused."""


class PictureRefused(Exception):
    """The picture cannot be searched with; the sentence says why."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True)
class EntryTemplates:
    entry_id: str
    templates: NDArray[np.float32]
    """n × dimension, L2-normalised."""


@dataclass(frozen=True)
class Erased:
    entries: int
    images: int
    reference_numbers: list[str]


def watchlist(work: UnitOfWork, deployment_id: str, *, lock: bool = False) -> Watchlist:
    query = select(Watchlist).where(Watchlist.deployment_id == deployment_id)
    row = work.session.scalars(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        row = Watchlist(deployment_id=deployment_id, revision=0)
        if lock:
            work.session.add(row)
            work.session.flush()
    return row


def add_entry(
    work: UnitOfWork, actor: Actor, deployment: Deployment, new: NewEntry, pictures: Sequence[bytes]
) -> WatchlistEntry:
    """The entry waits as `enrolling` until a job has made its templates or refused its pictures."""
    if deployment.state in {DeploymentState.CLOSED, DeploymentState.PURGED}:
        raise Refusal("deployment_closed", "The deployment is closed: nobody can be added to its list.")
    _check_entry(deployment, new, pictures)
    current = watchlist(work, deployment.id, lock=True)
    if _count(work, deployment.id) >= deployment.list_limit:
        raise Refusal("list_full", f"The authorised list holds at most {deployment.list_limit} entries.")
    taken = select(WatchlistEntry).where(
        WatchlistEntry.deployment_id == deployment.id, WatchlistEntry.reference_number == new.reference_number
    )
    if work.session.scalars(taken).one_or_none():
        raise Refusal("reference_taken", "This reference number is on the list already.")
    entry = WatchlistEntry(
        id=new_id(),
        deployment_id=deployment.id,
        status=EntryStatus.ENROLLING.value,
        added_by_id=actor.user_id,
        added_at=work.now,
        **asdict(new),
    )
    entry.images = [
        ReferenceImage(
            id=new_id(),
            upload_object_id=evidence.keep(work, deployment.id, Holding.WATCHLIST, picture),
            added_at=work.now,
        )
        for picture in pictures
    ]
    work.session.add(entry)
    current.revision += 1
    work.session.flush()
    audit.record(
        work,
        "watchlist.added",
        entry.id,
        actor=actor.audit_name,
        scope=deployment.id,
        detail={"reference_number": new.reference_number, "category": new.category, "while": deployment.state},
    )
    _tell(work, deployment.id, "added", entry, actor)
    return entry


def remove_entry(work: UnitOfWork, actor: Actor, deployment: Deployment, entry_id: str, reason: str) -> None:
    """At once: from this commit no hit on the entry is accepted, and engines drop it at their next heartbeat."""
    if not reason.strip():
        raise Invalid("reason_missing", "Say why: it goes on the record.")
    current = watchlist(work, deployment.id, lock=True)
    entry = find_entry(work, deployment.id, entry_id)
    if entry.status == EntryStatus.REMOVED:
        return
    for image in entry.images:
        _discard_image(work, image)
    entry.images = []
    entry.status, entry.removed_at = EntryStatus.REMOVED.value, work.now
    current.revision += 1
    audit.record(
        work,
        "watchlist.removed",
        entry.id,
        actor=actor.audit_name,
        scope=deployment.id,
        detail={"reference_number": entry.reference_number, "reason": reason.strip()[:500]},
    )
    _tell(work, deployment.id, "removed", entry, actor)


def enrol_waiting(work: UnitOfWork, enroller: Enroller, limit: int = 16) -> int:
    """Make templates for entries that wait; several jobs may share them. How many entries were decided."""
    waiting = work.session.scalars(
        select(WatchlistEntry)
        .where(WatchlistEntry.status == EntryStatus.ENROLLING.value)
        .order_by(WatchlistEntry.added_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=WatchlistEntry)
    ).all()
    for entry in waiting:
        _enrol(work, enroller, entry)
    return len(waiting)


def entries(work: UnitOfWork, deployment_id: str) -> list[WatchlistEntry]:
    query = select(WatchlistEntry).where(WatchlistEntry.deployment_id == deployment_id)
    return list(work.session.scalars(query.order_by(WatchlistEntry.added_at, WatchlistEntry.reference_number)))


def find_entry(work: UnitOfWork, deployment_id: str, entry_id: str) -> WatchlistEntry:
    entry = work.session.get(WatchlistEntry, entry_id)
    if entry is None or entry.deployment_id != deployment_id:
        raise NotFound("watchlist entry")
    return entry


def searchable_entry(work: UnitOfWork, deployment_id: str, entry_id: str) -> WatchlistEntry | None:
    """The entry if a hit on it may become an alert."""
    entry = work.session.get(WatchlistEntry, entry_id)
    if entry is None or entry.deployment_id != deployment_id or entry.status != EntryStatus.READY:
        return None
    return entry


def is_sought(deployment: Deployment, entry: WatchlistEntry) -> bool:
    """Whether the terms in force (still) seek this category; test subjects have none of theirs."""
    return entry.kind != EntryKind.SUBJECT or entry.category in deployment.categories_sought


def fetch_again(work: UnitOfWork, deployment_id: str) -> None:
    """The terms changed what is searched for, or how: every engine takes the list in anew."""
    watchlist(work, deployment_id, lock=True).revision += 1


def held(work: UnitOfWork, deployment_id: str) -> int:
    """Entries that count towards the authorised limit."""
    return _count(work, deployment_id)


def counts(work: UnitOfWork, deployment_id: str) -> dict[str, int]:
    """Entries for each status."""
    rows = work.session.execute(
        select(WatchlistEntry.status, func.count())
        .where(WatchlistEntry.deployment_id == deployment_id)
        .group_by(WatchlistEntry.status)
    )
    return {status: int(number) for status, number in rows}


def make_up(work: UnitOfWork, deployment_id: str) -> dict[str, int]:
    """Searchable subjects for each category; test subjects apart."""
    rows = work.session.execute(
        select(WatchlistEntry.kind, WatchlistEntry.category, func.count())
        .where(WatchlistEntry.deployment_id == deployment_id, WatchlistEntry.status == EntryStatus.READY.value)
        .group_by(WatchlistEntry.kind, WatchlistEntry.category)
    )
    result: dict[str, int] = {}
    for kind, category, number in rows:
        key = category if kind == EntryKind.SUBJECT else EntryKind.TEST_SUBJECT.value
        result[key] = result.get(key, 0) + int(number)
    return result


def templates_for_engine(
    work: UnitOfWork, deployment: Deployment, engine: str
) -> tuple[Watchlist, list[EntryTemplates]]:
    """Everything an engine searches with, opened for its memory only. Audited as a disclosure to that engine."""
    current = watchlist(work, deployment.id)
    ready = work.session.scalars(
        select(WatchlistEntry).where(
            WatchlistEntry.deployment_id == deployment.id, WatchlistEntry.status == EntryStatus.READY.value
        )
    )
    result = []
    for entry in ready:
        if not is_sought(deployment, entry):
            continue
        rows = [
            np.frombuffer(_open_template(work, deployment.id, image), dtype="<f4")
            for image in entry.images
            if image.sealed_template is not None
        ]
        if rows:
            result.append(EntryTemplates(entry.id, np.stack(rows)))
    audit.record(
        work,
        "watchlist.disclosed_to_engine",
        engine,
        actor=engine,
        scope=deployment.id,
        detail={"revision": current.revision, "entries": len(result)},
    )
    return current, result


def erase(work: UnitOfWork, deployment_id: str) -> Erased:
    """Delete every entry and image row. The reference numbers are for the certificate, and kept nowhere else."""
    gone = entries(work, deployment_id)
    numbers = sorted(entry.reference_number for entry in gone)
    images = sum(len(entry.images) for entry in gone)
    for entry in gone:
        work.session.delete(entry)
    work.session.execute(delete(Watchlist).where(Watchlist.deployment_id == deployment_id))
    return Erased(len(gone), images, numbers)


def _enrol(work: UnitOfWork, enroller: Enroller, entry: WatchlistEntry) -> None:
    current = watchlist(work, entry.deployment_id, lock=True)
    refusal: str | None = None
    for image in list(entry.images):
        if image.upload_object_id is None:
            continue
        try:
            made = enroller.enrol(evidence.fetch(work, entry.deployment_id, image.upload_object_id))
            if current.pack not in {None, enroller.pack_label}:
                raise PictureRefused(f"This list was made with {current.pack}: templates of two packs cannot be mixed.")
        except PictureRefused as reason:
            refusal = reason.sentence
            _discard_image(work, image)
            entry.images.remove(image)
            continue
        current.pack, current.dimension = enroller.pack_label, int(made.template.shape[0])
        raw = np.ascontiguousarray(made.template, dtype="<f4").tobytes()
        image.sealed_template = evidence.seal_small(
            work, entry.deployment_id, Holding.WATCHLIST, raw, _template_place(image)
        )
        image.picture_object_id = evidence.keep(work, entry.deployment_id, Holding.WATCHLIST, made.picture_jpeg)
        evidence.discard(work, image.upload_object_id)
        image.upload_object_id, image.enrolled_at = None, work.now
    entry.status = (EntryStatus.READY if entry.images else EntryStatus.REFUSED).value
    entry.refusal = refusal
    current.revision += 1
    work.session.flush()
    audit.record(
        work,
        "watchlist.enrolled" if entry.images else "watchlist.refused",
        entry.id,
        actor="cordon",
        scope=entry.deployment_id,
        detail={"images": len(entry.images), "refusal": refusal},
    )
    _tell(work, entry.deployment_id, entry.status, entry, None)


def _check_entry(deployment: Deployment, new: NewEntry, pictures: Sequence[bytes]) -> None:
    for name in ("reference_number", "display_name", "reason", "provenance"):
        if not str(getattr(new, name)).strip():
            raise Invalid(name, "An entry needs its reference number, a name, a reason and where the picture is from.")
    if new.kind not in set(EntryKind):
        raise Invalid("kind", "An entry is a subject or a test subject.")
    if new.action not in ACTIONS:
        raise Invalid("action", "The action must be one of the permitted actions.")
    if new.kind == EntryKind.SUBJECT and new.category not in CATEGORIES:
        raise Invalid("category", "The category must be one of the permitted categories.")
    if new.kind == EntryKind.SUBJECT and new.category not in deployment.categories_sought:
        raise Invalid("category_not_authorised", "This category is not among those the deployment was authorised for.")
    if not pictures:
        raise Invalid("picture_missing", "An entry needs at least one picture.")
    if len(pictures) > MAX_IMAGES_AN_ENTRY:
        raise Invalid("too_many_pictures", f"An entry has at most {MAX_IMAGES_AN_ENTRY} pictures.")
    if any(len(picture) > MAX_UPLOAD_BYTES for picture in pictures):
        raise Invalid("picture_too_large", "A picture is at most 12 MB.")


def _count(work: UnitOfWork, deployment_id: str) -> int:
    numbers = counts(work, deployment_id)
    return numbers.get(EntryStatus.READY, 0) + numbers.get(EntryStatus.ENROLLING, 0)


def _discard_image(work: UnitOfWork, image: ReferenceImage) -> None:
    for object_id in (image.upload_object_id, image.picture_object_id):
        if object_id is not None:
            evidence.discard(work, object_id)


def _open_template(work: UnitOfWork, deployment_id: str, image: ReferenceImage) -> bytes:
    if image.sealed_template is None:
        raise NotFound("template")
    return evidence.unseal_small(work, deployment_id, Holding.WATCHLIST, image.sealed_template, _template_place(image))


def _template_place(image: ReferenceImage) -> str:
    return f"template:{image.id}"


def _tell(work: UnitOfWork, deployment_id: str, change: str, entry: WatchlistEntry, actor: Actor | None) -> None:
    data: dict[str, Any] = {"change": change, "entry_id": entry.id}
    delivery.append(work, deployment_id, "watchlist", data, audience=Audience.DESK, actor=actor)
