from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cordon.evidence import service as evidence
from cordon.evidence.links import LINK_LIFE, picture_link, read_link
from cordon.evidence.model import DeploymentKey, EvidenceObject, Holding
from cordon.platform.errors import NotFound
from cordon.platform.installation import Installation
from cordon.platform.keys import SealBroken, seal, unseal
from world import World

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


@given(st.binary(min_size=8, max_size=400), st.text(max_size=40))
def test_what_is_sealed_shows_nothing_of_itself_and_opens_only_in_its_place(plain: bytes, place: str) -> None:
    sealed = seal(KEY, plain, place)
    assert all(plain[start : start + 8] not in sealed for start in range(len(plain) - 7))
    assert sealed != seal(KEY, plain, place)
    assert unseal(KEY, sealed, place) == plain
    for key, where in ((OTHER_KEY, place), (KEY, place + "x")):
        with pytest.raises(SealBroken):
            unseal(key, sealed, where)


@given(st.binary(max_size=64), st.data())
def test_a_changed_bit_or_a_cut_end_does_not_open(plain: bytes, data: st.DataObject) -> None:
    sealed = seal(KEY, plain, "here")
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = sealed[:at] + bytes([sealed[at] ^ (1 << data.draw(st.integers(0, 7)))]) + sealed[at + 1 :]
    for broken in (changed, sealed[:at]):
        with pytest.raises(SealBroken):
            unseal(KEY, broken, "here")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(plain=st.binary(min_size=16, max_size=2_000), holding=st.sampled_from(list(Holding)))
def test_an_object_is_never_stored_in_the_clear(world: World, plain: bytes, holding: Holding) -> None:
    deployment_id = world.drafted()
    with world.installation.write() as work:
        object_id = evidence.keep(work, deployment_id, holding, plain)
    for key in world.installation.objects.keys(f"deployments/{deployment_id}/"):
        assert plain not in world.installation.objects.get(key)
    with world.installation.read() as work:
        assert evidence.fetch(work, deployment_id, object_id) == plain


def test_an_object_moved_to_anothers_place_does_not_open(world: World) -> None:
    deployment_id = world.drafted()
    with world.installation.write() as work:
        first, second = (evidence.keep(work, deployment_id, Holding.ALERTS, text) for text in (b"one", b"two"))
        keys = {one: work.session.get_one(EvidenceObject, one).object_key for one in (first, second)}
    store = world.installation.objects
    store.put(keys[second], store.get(keys[first]))
    with world.installation.read() as work, pytest.raises(SealBroken):
        evidence.fetch(work, deployment_id, second)


def test_an_object_is_not_fetched_through_another_deployment(world: World) -> None:
    mine, other = world.drafted(), world.drafted()
    with world.installation.write() as work:
        object_id = evidence.keep(work, mine, Holding.ALERTS, b"picture")
    with world.installation.read() as work, pytest.raises((NotFound, evidence.Purged)):
        evidence.fetch(work, other, object_id)


def test_a_wrapped_key_moved_to_another_deployment_does_not_open(world: World) -> None:
    mine, other = world.drafted(), world.drafted()
    with world.installation.write() as work:
        stolen = work.session.get_one(DeploymentKey, (mine, "alerts")).wrapped
        work.session.get_one(DeploymentKey, (other, "alerts")).wrapped = stolen
    with world.installation.read() as work, pytest.raises(SealBroken):
        evidence.deployment_key(work, other, Holding.ALERTS)


@pytest.mark.parametrize("holding", list(Holding))
def test_with_its_key_destroyed_a_holding_is_gone_and_the_other_is_not(any_world: World, holding: Holding) -> None:
    deployment_id = any_world.drafted()
    other = next(one for one in Holding if one is not holding)
    with any_world.installation.write() as work:
        kept = {one: evidence.keep(work, deployment_id, one, b"picture") for one in Holding}
        sealed = evidence.seal_small(work, deployment_id, holding, b"template", "place")
    with any_world.installation.write() as work:
        assert evidence.destroy_key(work, deployment_id, holding)
        assert not evidence.destroy_key(work, deployment_id, holding)
    with any_world.installation.read() as work:
        for call in (
            lambda: evidence.fetch(work, deployment_id, kept[holding]),
            lambda: evidence.unseal_small(work, deployment_id, holding, sealed, "place"),
            lambda: evidence.seal_small(work, deployment_id, holding, b"more", "place"),
            lambda: evidence.deployment_key(work, deployment_id, holding),
        ):
            with pytest.raises(evidence.Purged):
                call()
        assert evidence.fetch(work, deployment_id, kept[other]) == b"picture"


def test_a_discarded_object_stays_if_the_transaction_fails_and_goes_if_it_does_not(world: World) -> None:
    deployment_id = world.drafted()
    with world.installation.write() as work:
        object_id = evidence.keep(work, deployment_id, Holding.ALERTS, b"picture")
    with pytest.raises(RuntimeError), world.installation.write() as work:
        evidence.discard(work, object_id)
        raise RuntimeError
    with world.installation.read() as work:
        assert evidence.fetch(work, deployment_id, object_id) == b"picture"
    with world.installation.write() as work:
        evidence.discard(work, object_id)
    assert list(world.installation.objects.keys(f"deployments/{deployment_id}/")) == []


def test_a_picture_link_holds_for_its_session_only_and_not_for_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    import itsdangerous.timed

    link = picture_link(world.installation, "d", "o", "session-1").removeprefix("/media/")
    assert read_link(world.installation, link, "session-1") == ("d", "o")
    for token, session in ((link, "session-2"), (link[:-2] + "xx", "session-1"), ("nonsense", "session-1")):
        with pytest.raises(NotFound):
            read_link(world.installation, token, session)
    stranger = Installation(
        world.settings, world.installation.database, world.installation.objects, world.clock, OTHER_KEY
    )
    forged = picture_link(stranger, "d", "o", "session-1").removeprefix("/media/")
    with pytest.raises(NotFound):
        read_link(world.installation, forged, "session-1")
    real = itsdangerous.timed.TimestampSigner.get_timestamp
    later = int(LINK_LIFE.total_seconds()) + 1
    monkeypatch.setattr(itsdangerous.timed.TimestampSigner, "get_timestamp", lambda self: real(self) + later)
    with pytest.raises(NotFound):
        read_link(world.installation, link, "session-1")
