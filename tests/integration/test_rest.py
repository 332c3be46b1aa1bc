"""The REST interface as phones, desks and engines use it, on SQLite and PostgreSQL."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask

from caller import Caller
from cordon.deployments import service as deployments
from cordon.migrations import metadata, upgrade
from cordon.platform.clock import iso
from cordon.platform.database import Base, Database
from cordon.platform.ids import new_id
from cordon.retention import service as retention
from world import CONTEXT_PICTURE, PROBE_PICTURE, WINDOW_ENDS, World

OPEN_ROUTES = {
    ("GET", "/api/v1/installation"),
    ("GET", "/api/v1/session"),
    ("POST", "/api/v1/session"),
    ("GET", "/api/openapi.json"),
}
SignIn = Callable[[str], Caller]


def test_nobody_reaches_anything_but_the_open_routes_without_signing_in(app: Flask) -> None:
    client = app.test_client()
    tried = 0
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            if not rule.rule.startswith("/api/") or (method, rule.rule) in OPEN_ROUTES:
                continue
            answer = client.open(re.sub(r"<[^>]+>", new_id(), rule.rule), method=method, json={})
            assert answer.status_code in {401, 422}, f"{method} {rule.rule} answered {answer.status_code}"
            assert answer.status_code == 401 or rule.rule.startswith("/api/v1/session"), rule.rule
            assert answer.mimetype == "application/problem+json"
            tried += 1
    assert tried > 30


def test_a_view_that_names_no_permission_is_refused_to_everybody(app: Flask, sign_in: SignIn) -> None:
    app.add_url_rule("/api/v1/forgotten", "forgotten", lambda: "secret")
    answer = sign_in("coordinator").get("/api/v1/forgotten")
    assert answer.status_code == 403
    assert b"secret" not in answer.data


def test_a_change_without_the_sessions_token_is_refused(any_world: World, sign_in: SignIn) -> None:
    deployment_id = any_world.opened()
    coordinator = sign_in("coordinator")
    coordinator.headers = {}
    answer = coordinator.post(f"/api/v1/deployments/{deployment_id}/suspend", {"reason": "test"})
    assert (answer.status_code, answer.get_json()["code"]) == (403, "csrf")
    assert any_world.deployment(deployment_id).state == "open"


def test_a_change_that_comes_from_another_site_is_refused(any_world: World, sign_in: SignIn) -> None:
    deployment_id = any_world.opened()
    answer = sign_in("coordinator").post(
        f"/api/v1/deployments/{deployment_id}/suspend", {"reason": "test"}, Origin="https://elsewhere.example"
    )
    assert (answer.status_code, answer.get_json()["code"]) == (403, "origin")


def test_a_deployment_does_not_exist_for_those_who_do_not_belong_to_it(any_world: World, sign_in: SignIn) -> None:
    deployment_id = any_world.opened()
    with any_world.installation.write() as work:
        deployment = deployments.find(work, deployment_id)
        keep = [m.user_id for m in deployment.members if m.user_id != any_world.people["second_officer"].user_id]
        deployments.set_members(work, any_world.people["coordinator"], deployment, keep)
    stranger = sign_in("second_officer")
    for path in ("", "/alerts", "/events", "/team"):
        assert stranger.get(f"/api/v1/deployments/{deployment_id}{path}").status_code == 404
    assert stranger.get("/api/v1/deployments").get_json() == []


def test_the_way_of_a_hit_from_engine_to_outcome(any_world: World, sign_in: SignIn, engine: Caller) -> None:
    deployment_id = any_world.opened()
    entry_id = any_world.entry(deployment_id)
    camera_id = any_world.deployment(deployment_id).cameras[0].id
    session = beat(engine, camera_id, deployment_id)["sessions"][0]
    assert session["deployment_id"] == deployment_id
    listed = engine.get(f"/api/v1/engine/deployments/{deployment_id}/watchlist").get_json()
    assert [entry["entry_id"] for entry in listed["entries"]] == [entry_id]

    hit = a_hit(any_world, deployment_id, camera_id, entry_id)
    first = engine.post("/api/v1/engine/hits", hit)
    again = engine.post("/api/v1/engine/hits", hit)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.get_json()["alert_id"] == again.get_json()["alert_id"]
    alert_id = first.get_json()["alert_id"]

    officer, second, operator = sign_in("officer"), sign_in("second_officer"), sign_in("operator")
    base = f"/api/v1/deployments/{deployment_id}"
    assert officer.get(f"{base}/alerts").get_json()["alerts"] == []
    assert act(officer, base, alert_id, "claim").status_code == 404
    assert act(operator, base, alert_id, "confirm").status_code == 200
    assert [alert["state"] for alert in officer.get(f"{base}/alerts").get_json()["alerts"]] == ["dispatched"]

    key = new_id()
    assert act(officer, base, alert_id, "claim", key=key).status_code == 200
    assert act(officer, base, alert_id, "claim", key=key).get_json()["event"]["kind"] == "claimed"
    late = act(second, base, alert_id, "claim")
    assert (late.status_code, late.get_json()["code"]) == (409, "already_claimed")
    assert any_world.people["officer"].callsign in late.get_json()["detail"]
    assert act(officer, base, alert_id, "engage").status_code == 200
    assert act(officer, base, alert_id, "outcome", outcome="nonsense").status_code == 422
    done = act(officer, base, alert_id, "outcome", outcome="arrested", note="On warrant")
    assert done.get_json()["alert"]["outcome_label"] == "Arrested"
    record = sign_in("coordinator").get(f"{base}/record").get_json()
    assert record["by_outcome"]["arrested"] == 1


def test_an_officers_events_have_no_gap_and_nothing_of_what_was_not_dispatched(
    any_world: World, sign_in: SignIn
) -> None:
    deployment_id = any_world.opened()
    any_world.hit(deployment_id, any_world.entry(deployment_id))
    base = f"/api/v1/deployments/{deployment_id}/events"
    seen = sign_in("officer").get(base).get_json()
    assert [event["seq"] for event in seen["events"]] == list(range(1, seen["last_seq"] + 1))
    assert "raised" not in {event["kind"] for event in seen["events"]}
    withheld = [event for event in seen["events"] if event["kind"] == "withheld"]
    assert withheld
    assert all(event["data"] == {} and event["alert_id"] is None for event in withheld)
    assert "raised" in {event["kind"] for event in sign_in("operator").get(base).get_json()["events"]}
    rest = sign_in("officer").get(f"{base}?after={seen['last_seq'] - 1}").get_json()["events"]
    assert [event["seq"] for event in rest] == [seen["last_seq"]]


def test_an_engine_tells_the_desk_how_it_searches_and_nobody_else_s_deployment(
    any_world: World, sign_in: SignIn, engine: Caller
) -> None:
    deployment_id = any_world.opened()
    report = {
        "engine": "exact",
        "reason": "the live check found an entry that Annoy had missed",
        "kernel": "float32",
        "size": 12,
        "missed_upper95": 1e-4,
        "probe_ms": 0.4,
        "shadow_checked": 80,
        "shadow_disagreed": 1,
    }
    for one in (deployment_id, new_id()):
        body = {"engine_id": "e", "run_id": "r1", "pack": {}, "cameras": []}
        answer = engine.post("/api/v1/engine/heartbeat", {**body, "indexes": [{"deployment_id": one, **report}]})
        assert answer.status_code == 200
    assert sign_in("operator").get(f"/api/v1/deployments/{deployment_id}").get_json()["search"] == report


def test_a_suspension_ends_an_engines_orders_and_refuses_its_hits(
    any_world: World, sign_in: SignIn, engine: Caller
) -> None:
    deployment_id = any_world.opened()
    entry_id = any_world.entry(deployment_id)
    camera_id = any_world.deployment(deployment_id).cameras[0].id
    answer = sign_in("coordinator").post(f"/api/v1/deployments/{deployment_id}/suspend", {"reason": "A march passes"})
    assert answer.get_json()["state"] == "suspended"
    assert beat(engine, camera_id, deployment_id)["sessions"] == []
    assert engine.get(f"/api/v1/engine/deployments/{deployment_id}/watchlist").status_code == 404
    refused = engine.post("/api/v1/engine/hits", a_hit(any_world, deployment_id, camera_id, entry_id))
    assert (refused.status_code, refused.get_json()["code"]) == (409, "deployment_not_open")
    assert sign_in("operator").get(f"/api/v1/deployments/{deployment_id}/alerts").get_json()["alerts"] == []


def test_when_the_window_ends_by_the_clock_an_engine_has_no_orders(any_world: World, engine: Caller) -> None:
    deployment_id = any_world.opened()
    camera_id = any_world.deployment(deployment_id).cameras[0].id
    assert beat(engine, camera_id, deployment_id)["sessions"]
    any_world.clock.move_to(WINDOW_ENDS)
    assert beat(engine, camera_id, deployment_id)["sessions"] == []


def test_an_engine_reads_no_alert_and_a_person_has_no_engines_door(
    any_world: World, sign_in: SignIn, engine: Caller
) -> None:
    deployment_id = any_world.opened()
    for path in ("/alerts", "/events", "/team", "/watchlist", ""):
        assert engine.get(f"/api/v1/deployments/{deployment_id}{path}").status_code == 401
    assert sign_in("coordinator").post("/api/v1/engine/heartbeat", {}).status_code == 401


def test_a_pictures_link_is_of_use_to_its_session_alone_and_dies_with_the_purge(
    any_world: World, sign_in: SignIn
) -> None:
    deployment_id = any_world.opened()
    alert_id = any_world.hit(deployment_id, any_world.entry(deployment_id)).alert_id
    operator = sign_in("operator")
    link = operator.get(f"/api/v1/deployments/{deployment_id}/alerts/{alert_id}/pictures").get_json()["probe_url"]
    assert operator.get(link).data == PROBE_PICTURE
    assert sign_in("coordinator").get(link).status_code == 404
    assert sign_in("operator").get(link).status_code == 404
    assert operator.get(link[:-2] + "xx").status_code == 404
    any_world.clock.move_to(any_world.deployment(deployment_id).alerts_deadline)
    with any_world.installation.write() as work:
        deployments.close_ended_windows(work)
    retention.purge_due(any_world.installation)
    fresh = sign_in("operator")
    gone = fresh.get(f"/api/v1/deployments/{deployment_id}/alerts/{alert_id}/pictures").get_json()
    assert gone["probe_url"] is None
    assert fresh.get(link).status_code in {404, 410}


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff\xfe", b"null"])
def test_a_body_that_cannot_be_read_is_a_clear_error(any_world: World, sign_in: SignIn, body: bytes) -> None:
    deployment_id = any_world.opened()
    caller = sign_in("operator")
    answer = caller.client.post(
        f"/api/v1/deployments/{deployment_id}/alerts/{new_id()}/actions",
        data=body,
        headers={**caller.headers, "Content-Type": "application/json", "Idempotency-Key": new_id()},
    )
    assert answer.status_code in {400, 422}
    assert answer.get_json()["detail"].endswith(".")


def test_migrations_bring_a_database_to_what_the_models_say(any_world: World) -> None:
    database = Database(any_world.settings.database_url)
    Base.metadata.drop_all(database.engine)
    assert upgrade(database)[0] is None
    assert upgrade(database)[0] is not None
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata()) == []
    database.dispose()


def beat(engine: Caller, camera_id: str, deployment_id: str) -> Any:
    report = {
        "camera_id": camera_id,
        "deployment_id": deployment_id,
        "state": "live",
        "fps": 10.0,
        "faces_seen": 7,
        "frames_read": 70,
        "frames_dropped": 0,
    }
    answer = engine.post(
        "/api/v1/engine/heartbeat", {"engine_id": "e", "run_id": "r1", "pack": {}, "cameras": [report]}
    )
    assert answer.status_code == 200
    return answer.get_json()


def a_hit(world: World, deployment_id: str, camera_id: str, entry_id: str) -> dict[str, Any]:
    now = iso(world.clock.now())
    return {
        "hit_id": new_id(),
        "deployment_id": deployment_id,
        "camera_id": camera_id,
        "entry_id": entry_id,
        "pack": "seeded 1",
        "score": 0.71,
        "threshold": 0.5,
        "captured_at": now,
        "detected_at": now,
        "track": {"frames": 9, "agreeing": 2, "direction": "left"},
        "quality": {"face_px": 80},
        "probe_jpeg": base64.b64encode(PROBE_PICTURE).decode(),
        "context_jpeg": base64.b64encode(CONTEXT_PICTURE).decode(),
        "views": [],
    }


def act(who: Caller, base: str, alert_id: str, action: str, key: str | None = None, **more: str) -> Any:
    body = {"action": action, "made_at": "2026-11-23T10:00:00Z", **more}
    return who.post(f"{base}/alerts/{alert_id}/actions", body, **{"Idempotency-Key": key or new_id()})
