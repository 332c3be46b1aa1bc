"""The threshold for a budget, and signing with it, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flask import Flask

from caller import Caller
from cordon.deployments.standing import PackStanding
from cordon.people import service as people
from cordon.people.model import UserSession
from world import OPERATIONAL_PACK, World

SignIn = Callable[[str], Caller]


def in_use(app: Flask, pack: PackStanding) -> PackStanding:
    app.config["CORDON_PACK_STANDING"] = pack
    return pack


def test_a_draft_is_told_its_threshold_and_what_it_finds(app: Flask, sign_in: SignIn) -> None:
    in_use(app, OPERATIONAL_PACK)
    base = "/api/v1/deployments/operating-point"
    shown = sign_in("coordinator").get(f"{base}?list_limit=20000&false_alert_budget=0.0001").get_json()
    assert shown == OPERATIONAL_PACK.shown(20_000, 0.0001)
    beyond = sign_in("coordinator").get(f"{base}?list_limit=50000&false_alert_budget=0.000001").get_json()
    assert beyond["threshold"] is None
    assert "it can support" in beyond["refusal"]
    assert sign_in("coordinator").get(f"{base}?list_limit=0&false_alert_budget=0.0001").status_code == 422
    assert sign_in("coordinator").get(f"{base}?list_limit=10&false_alert_budget=nan").status_code == 422
    assert sign_in("officer").get(f"{base}?list_limit=10&false_alert_budget=0.0001").status_code == 403


def test_signing_sends_back_the_statement_that_was_read(any_world: World, app: Flask, sign_in: SignIn) -> None:
    in_use(app, OPERATIONAL_PACK)
    deployment_id = any_world.drafted()
    authoriser = sign_in("authoriser")
    with any_world.installation.write() as work:
        for session in work.session.query(UserSession):
            people.step_up(work, session.id)
    base = f"/api/v1/deployments/{deployment_id}"
    read = authoriser.get(base).get_json()["operating_point"]["statement"]
    silent = authoriser.post(f"{base}/sign", {})
    assert (silent.status_code, silent.get_json()["code"]) == (409, "pack_not_acknowledged")
    in_use(app, replace(OPERATIONAL_PACK, licence="Changed meanwhile"))
    stale = authoriser.post(f"{base}/sign", {"acknowledged_statement": read})
    assert stale.get_json()["code"] == "pack_not_acknowledged"
    in_use(app, OPERATIONAL_PACK)
    signed = authoriser.post(f"{base}/sign", {"acknowledged_statement": read})
    assert signed.get_json()["state"] == "authorised"
