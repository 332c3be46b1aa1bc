"""Pictures and templates at rest: sealed under their deployment's key, bound to their place, gone when the key goes."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from dataclasses import dataclass

from sqlalchemy import select

from cordon.evidence.model import DeploymentKey, EvidenceObject, Holding
from cordon.platform.errors import Refusal
from cordon.platform.ids import new_id
from cordon.platform.installation import UnitOfWork
from cordon.platform.keys import seal, unseal
from cordon.platform.objectstore import ObjectMissing

log = logging.getLogger(__name__)


class Purged(Refusal):
    status = 410

    def __init__(self) -> None:
        super().__init__("purged", "This was deleted when its retention ended.")


@dataclass(frozen=True)
class Purge:
    objects: int
    bytes: int
    leftovers: int


def create_keys(work: UnitOfWork, deployment_id: str) -> None:
    for holding in Holding:
        wrapped = seal(work.installation.master_key, secrets.token_bytes(32), _key_place(deployment_id, holding))
        work.session.add(
            DeploymentKey(
                deployment_id=deployment_id,
                holding=holding.value,
                wrapped=wrapped,
                created_at=work.now,
                destroyed_at=None,
            )
        )


def deployment_key(work: UnitOfWork, deployment_id: str, holding: Holding) -> bytes:
    """Raises Purged once the key was destroyed."""
    place = (deployment_id, holding.value)
    if place not in work.opened_keys:
        row = work.session.get(DeploymentKey, place)
        if row is None or row.wrapped is None:
            raise Purged
        work.opened_keys[place] = unseal(work.installation.master_key, row.wrapped, _key_place(deployment_id, holding))
    return work.opened_keys[place]


def spool_key(work: UnitOfWork, deployment_id: str) -> bytes:
    """The key under which an engine spools this deployment's hits. Made from the alerts' key, it dies with it."""
    return hmac.new(deployment_key(work, deployment_id, Holding.ALERTS), b"engine spool", hashlib.sha256).digest()


def keep(work: UnitOfWork, deployment_id: str, holding: Holding, data: bytes) -> str:
    """Seal and store; the new object's id. If the transaction fails after this, an unreadable orphan is left, which
    the purge finds by its prefix."""
    object_id = new_id()
    key = f"deployments/{deployment_id}/{holding.value}/{object_id}"
    work.installation.objects.put(key, seal(deployment_key(work, deployment_id, holding), data, key))
    work.session.add(
        EvidenceObject(
            id=object_id,
            deployment_id=deployment_id,
            holding=holding.value,
            object_key=key,
            size_bytes=len(data),
            created_at=work.now,
        )
    )
    return object_id


def fetch(work: UnitOfWork, deployment_id: str, object_id: str) -> bytes:
    """Raises Purged where the object, its row or its key is gone."""
    row = work.session.get(EvidenceObject, object_id)
    if row is None or row.deployment_id != deployment_id:
        raise Purged
    key = deployment_key(work, deployment_id, Holding(row.holding))
    try:
        return unseal(key, work.installation.objects.get(row.object_key), row.object_key)
    except ObjectMissing as error:
        raise Purged from error


def discard(work: UnitOfWork, object_id: str) -> None:
    """The row goes in this transaction, the object after its commit: a rollback loses nothing. An object that a crash
    leaves behind in between is still sealed, and the purge finds it by its prefix."""
    row = work.session.get(EvidenceObject, object_id)
    if row is not None:
        key, store = row.object_key, work.installation.objects
        work.after_commit.append(lambda: store.delete(key))
        work.session.delete(row)


def seal_small(work: UnitOfWork, deployment_id: str, holding: Holding, data: bytes, place: str) -> bytes:
    """For what is kept in a row, such as a template."""
    return seal(deployment_key(work, deployment_id, holding), data, place)


def unseal_small(work: UnitOfWork, deployment_id: str, holding: Holding, sealed: bytes, place: str) -> bytes:
    return unseal(deployment_key(work, deployment_id, holding), sealed, place)


def destroy_key(work: UnitOfWork, deployment_id: str, holding: Holding) -> bool:
    """Whether there was a key to destroy: what it sealed cannot be opened from this commit on."""
    row = work.session.get(DeploymentKey, (deployment_id, holding.value))
    if row is None or row.wrapped is None:
        return False
    row.wrapped, row.destroyed_at = None, work.now
    work.opened_keys.pop((deployment_id, holding.value), None)
    return True


def key_destroyed(work: UnitOfWork, deployment_id: str, holding: Holding) -> bool:
    row = work.session.get(DeploymentKey, (deployment_id, holding.value))
    return row is None or row.wrapped is None


def delete_objects(work: UnitOfWork, deployment_id: str, holding: Holding) -> Purge:
    """Delete rows and objects of a holding, orphans included; may be repeated until nothing is left over."""
    rows = work.session.scalars(
        select(EvidenceObject).where(
            EvidenceObject.deployment_id == deployment_id, EvidenceObject.holding == holding.value
        )
    ).all()
    size = sum(row.size_bytes for row in rows)
    for row in rows:
        work.session.delete(row)
    prefix = f"deployments/{deployment_id}/{holding.value}/"
    store = work.installation.objects
    for key in list(store.keys(prefix)):
        store.delete(key)
    leftovers = sum(1 for _ in store.keys(prefix))
    if leftovers:
        log.error("objects left after a purge", extra={"fields": {"deployment": deployment_id, "left": leftovers}})
    return Purge(len(rows), size, leftovers)


def _key_place(deployment_id: str, holding: Holding) -> str:
    return f"key:{deployment_id}:{holding.value}"
