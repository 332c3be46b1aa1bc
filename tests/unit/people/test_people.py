from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon.audit import service as audit
from cordon.people import service as people
from cordon.people.model import OVERSEEN_BY, PERMISSIONS, Actor, Role, User
from cordon.platform.errors import Invalid, NotAllowed, NotFound, Refusal
from world import World

PASSWORD = "correct horse battery"


@pytest.fixture
def known(world: World) -> str:
    with world.installation.write() as work:
        return people.add_user(
            work,
            username="sam",
            display_name="Sam Sample",
            callsign="TK21",
            password=PASSWORD,
            roles=[Role.OFFICER],
            by="test",
        ).id


def attempt(world: World, password: str, username: str = "sam") -> bool:
    with world.installation.write() as work:
        return people.check_password(work, username, password) is not None


def signed_in(world: World, user_id: str) -> str:
    with world.installation.write() as work:
        return people.open_session(work, work.session.get_one(User, user_id))[0]


def actor_of(world: World, secret: str) -> Actor | None:
    with world.installation.read() as work:
        found = people.session_of(work, secret)
    return None if found is None else found[0]


def test_the_password_signs_in_and_is_stored_nowhere(world: World, known: str) -> None:
    assert attempt(world, PASSWORD)
    assert not attempt(world, PASSWORD + "x")
    assert not attempt(world, PASSWORD, "nobody")
    assert PASSWORD.encode() not in world.written_bytes()


def test_attempts_beyond_the_fifth_wait_longer_each_time_and_a_minute_at_most(world: World, known: str) -> None:
    waits = []
    for _ in range(14):
        assert not attempt(world, "wrong")
        with world.installation.read() as work:
            until = work.session.get_one(User, known).throttled_until
        waits.append(0 if until is None else int((until - world.clock.now()).total_seconds()))
        if waits[-1]:
            with pytest.raises(people.SignInRefused) as refused:
                attempt(world, PASSWORD)
            assert refused.value.status == 429
        world.clock.forward(seconds=waits[-1])
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert attempt(world, PASSWORD)
    assert not attempt(world, "wrong")
    assert attempt(world, PASSWORD), "a right password starts the count anew"


def test_a_refused_attempt_is_on_the_record(world: World, known: str) -> None:
    attempt(world, "wrong")
    with world.installation.read() as work:
        assert [r.action for r in audit.chain(work, "installation")][-1] == "session.refused"


def test_a_session_opens_for_its_secret_only_and_the_secret_is_stored_nowhere(world: World, known: str) -> None:
    secret = signed_in(world, known)
    found = actor_of(world, secret)
    assert found is not None
    assert (found.user_id, found.roles) == (known, frozenset({Role.OFFICER}))
    assert actor_of(world, secret + "x") is None
    assert actor_of(world, found.session_id) is None, "the table's own key opens nothing"
    assert secret.encode() not in world.written_bytes()


def test_a_session_ends_after_its_life(world: World, known: str) -> None:
    secret = signed_in(world, known)
    world.clock.forward(hours=12, seconds=-1)
    assert actor_of(world, secret) is not None
    world.clock.forward(seconds=1)
    assert actor_of(world, secret) is None


def test_a_closed_session_is_over_and_only_that_one(world: World, known: str) -> None:
    first, second = signed_in(world, known), signed_in(world, known)
    actor = actor_of(world, first)
    assert actor is not None
    with world.installation.write() as work:
        people.close_session(work, actor)
    assert actor_of(world, first) is None
    assert actor_of(world, second) is not None
    with world.installation.read() as work:
        assert not people.session_alive(work, actor.session_id)


def test_a_disabled_user_loses_every_session_and_cannot_sign_in(world: World, known: str) -> None:
    secrets = [signed_in(world, known), signed_in(world, known)]
    with world.installation.write() as work:
        people.disable_user(work, known, world.people["coordinator"])
    assert [actor_of(world, secret) for secret in secrets] == [None, None]
    assert not attempt(world, PASSWORD)


def test_a_step_up_lasts_five_minutes_and_is_the_sessions_own(world: World, known: str) -> None:
    secret, other = signed_in(world, known), signed_in(world, known)
    actor = actor_of(world, secret)
    assert actor is not None
    assert not actor.stepped_up
    with world.installation.write() as work:
        people.step_up(work, actor.session_id)
    world.clock.forward(minutes=5, seconds=-1)
    assert [one is not None and one.stepped_up for one in (actor_of(world, secret), actor_of(world, other))] == [
        True,
        False,
    ]
    world.clock.forward(seconds=1)
    late = actor_of(world, secret)
    assert late is not None
    assert not late.stepped_up


@pytest.mark.parametrize(
    ("password", "roles", "code"), [("short", [Role.OFFICER], "password_too_short"), (PASSWORD, [], "no_role")]
)
def test_a_user_needs_a_long_password_and_a_role(world: World, password: str, roles: list[Role], code: str) -> None:
    with pytest.raises(Invalid) as refused, world.installation.write() as work:
        people.add_user(work, username="x", display_name="X", callsign="X", password=password, roles=roles, by="test")
    assert refused.value.code == code


def some_actor(roles: frozenset[Role]) -> Actor:
    return Actor("u", "U", "U1", roles, "s")


@given(st.frozensets(st.sampled_from(list(Role))), st.booleans(), st.text(max_size=20))
def test_what_no_row_names_nobody_may_do(roles: frozenset[Role], member: bool, permission: str) -> None:
    if permission not in PERMISSIONS:
        with pytest.raises(NotAllowed):
            people.permit(some_actor(roles), permission, member=member)


@given(st.frozensets(st.sampled_from(list(Role))), st.booleans(), st.sampled_from(sorted(PERMISSIONS)))
def test_a_person_may_only_by_a_role_and_where_they_belong(
    roles: frozenset[Role], member: bool, permission: str
) -> None:
    rule, overseers = PERMISSIONS[permission], OVERSEEN_BY.get(permission, frozenset())
    by_role = bool(roles & (rule.roles | overseers))
    belongs = member or not rule.members_only or bool(roles & overseers)
    try:
        people.permit(some_actor(roles), permission, member=member)
    except NotFound:
        assert not belongs
    except NotAllowed:
        assert belongs
        assert not by_role
    else:
        assert by_role
        assert belongs


@pytest.mark.parametrize("role", list(Role))
def test_nobody_who_is_not_of_the_team_sees_its_alerts(role: Role) -> None:
    for permission in ("alerts.view", "alerts.act", "events.follow", "watchlist.view", "watchlist.edit", "team.view"):
        with pytest.raises(NotFound):
            people.permit(some_actor(frozenset({role})), permission, member=False)


def test_a_position_is_taken_on_duty_only_and_forgotten_when_duty_ends(world: World) -> None:
    officer, deployment_id = world.people["officer"], world.opened()
    later = world.clock.now() + timedelta(hours=1)

    def send(lon: float = -0.1, lat: float = 51.5) -> None:
        with world.installation.write() as work:
            people.set_position(work, deployment_id, officer, lon=lon, lat=lat, accuracy_m=5, at=later)

    with pytest.raises(Refusal, match="only while you are on duty"):
        send()
    with world.installation.write() as work:
        people.set_duty(work, deployment_id, officer, True)
    send()
    with pytest.raises(Invalid):
        send(lat=91)
    with world.installation.read() as work:
        status = people.duty_statuses(work, deployment_id)[officer.user_id]
        assert (status.longitude, status.latitude) == (-0.1, 51.5)
        assert status.position_at == world.clock.now(), "not in the future, whatever the phone says"
    with world.installation.write() as work:
        people.set_duty(work, deployment_id, officer, False)
    with world.installation.read() as work:
        status = people.duty_statuses(work, deployment_id)[officer.user_id]
        assert (status.longitude, status.latitude, status.accuracy_m, status.position_at) == (None, None, None, None)


def test_a_new_engine_token_replaces_the_old_and_is_stored_as_a_digest(world: World) -> None:
    with world.installation.write() as work:
        first = people.add_engine(work, "van-1", by="test")
    with world.installation.write() as work:
        second = people.add_engine(work, "van-1", by="test")
    with world.installation.read() as work:
        assert people.engine_named_by(work, first) is None
        assert people.engine_named_by(work, second) == "van-1"
        assert people.engine_named_by(work, "") is None
    assert second.encode() not in world.written_bytes()
