"""The whole life of a deployment through its real doors: random people call, the clock jumps both ways, the installation
restarts, jobs run. Whatever the order, the engines' door gives nothing outside an open deployment's signed window, cameras
and list."""

from __future__ import annotations

import base64
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from caller import Caller
from cordon.api.app import create_app
from cordon.api.guard import COOKIE
from cordon.people import service as people
from cordon.people.model import Role
from cordon.platform.clock import iso
from cordon.platform.ids import new_id
from cordon.platform.installation import Installation
from cordon.retention import service as retention
from world import MORNING, OPERATIONAL_PACK, PROBE_PICTURE, WINDOW_ENDS, WINDOW_STARTS, World

SETTINGS = settings(
    max_examples=24,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    # Shrinking a sequence of this length takes minutes and shows little more.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
PEOPLE = ["coordinator"] * 3 + ["authoriser"] * 2 + ["both"] * 2 + ["outsider", "officer"]
PLANS = {
    "North": {"longitude": -0.0975, "latitude": 51.5025, "heading_deg": 90.0},
    "South": {"longitude": -0.0985, "latitude": 51.501, "heading_deg": 0.0},
}
CATEGORIES = ["wanted_warrant", "missing_child"]
PICTURE = base64.b64encode(PROBE_PICTURE).decode()


class WholeLife(RuleBasedStateMachine):
    """Beside the program runs a small model that knows only which calls were answered with yes."""

    def __init__(self, world: World, seen: Counter[str]) -> None:
        super().__init__()
        self.world, self.seen = world, seen
        self.steps = self.goings_on = 0
        self.app = self.start()
        with world.installation.write() as work:
            token = people.add_engine(work, "engine-1", by="test")
        self.engine_headers = {"Authorization": f"Bearer {token}"}

    def start(self) -> Flask:
        app = create_app(self.world.installation)
        app.config["CORDON_PACK_STANDING"] = OPERATIONAL_PACK
        return app

    @initialize(minutes=st.integers(0, 55), proper_steps=st.sampled_from([4, 6, 8, 10, 5, 3, 1, 0]))
    def draft(self, minutes: int, proper_steps: int) -> None:
        self.world.clock.move_to(MORNING + timedelta(minutes=minutes))
        self.id = self.world.drafted()
        self.entries = {
            self.world.entry(self.id, f"{category}-{number}", category=category): category
            for category in CATEGORIES
            for number in range(2)
        }
        self.listed = set(self.entries)
        self.state, self.published, self.confirmed, self.by_authoriser = "draft", False, False, False
        self.window = (WINDOW_STARTS, WINDOW_ENDS)
        self.sought, self.threshold = set(CATEGORIES), 0.5
        self.cameras = {camera.name: camera.id for camera in self.world.deployment(self.id).cameras}
        self.cameras_ever = dict(self.cameras)
        self.proposals: dict[int, dict[str, Any]] = {}
        self.version = 1
        for _ in range(proper_steps):
            self.go_on_as_one_should()

    def teardown(self) -> None:
        """Whatever people did, the end comes: by the clock, and at last by the purge."""
        for moment, ended in [(self.window[1], {"closed", "purged"}), (WINDOW_ENDS + timedelta(days=8), {"purged"})]:
            self.world.clock.move_to(moment)
            self.everything_holds()
            self.jobs_run()
            assert self.state in ended
            self.everything_holds()
        with self.world.installation.database.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE deployments SET state = 'purged'")

    def call(self, who: str, path: str, body: Any = None, *, stepped_up: bool = True) -> Any:
        """The answer's JSON, or None where the call was refused."""
        client = self.app.test_client()
        with self.world.installation.write() as work:
            user_id = self.world.people[who].user_id
            secret, session = people.open_session(work, people.users_by_id(work, [user_id])[user_id])
            session.stepped_up_at = work.now if stepped_up else None
            csrf = session.csrf_token
        client.set_cookie(COOKIE, secret)
        answer = Caller(client, {"X-CSRF-Token": csrf}).post(f"/api/v1/deployments/{self.id}{path}", body)
        assert answer.status_code < 500, (path, answer.get_json())
        return (answer.get_json() or {}) if answer.status_code < 300 else None

    def may_run(self, who: str) -> bool:
        return who in {"coordinator", "both"}

    def may_sign(self, who: str, stepped_up: bool) -> bool:
        return who in {"authoriser", "both"} and stepped_up

    def inside_window(self) -> bool:
        return self.window[0] <= self.world.clock.now() < self.window[1]

    def may_match(self) -> bool:
        return self.state == "open" and self.published and self.confirmed and self.inside_window()

    # --- what the world does -------------------------------------------------------------------------------------

    @rule(
        to=st.one_of(
            st.builds(
                lambda edge, ms: edge + timedelta(milliseconds=ms),
                st.sampled_from([WINDOW_STARTS, WINDOW_ENDS, WINDOW_ENDS - timedelta(hours=1)]),
                st.integers(-1, 1),
            ),
            st.integers(0, 359).map(lambda minutes: WINDOW_STARTS + timedelta(minutes=minutes)),
            st.integers(-60, 60 * 24 * 9).map(lambda minutes: WINDOW_STARTS + timedelta(minutes=minutes)),
        )
    )
    def clock_jumps(self, to: datetime) -> None:
        self.world.clock.move_to(to)

    @rule()
    def everything_restarts(self) -> None:
        self.world.installation.database.dispose()
        self.world.installation = Installation.open(self.world.settings, self.world.clock)
        self.app = self.start()

    @rule()
    def jobs_run(self) -> None:
        now = self.world.clock.now()
        retention.purge_due(self.world.installation)
        if self.state not in {"closed", "purged"} and now >= self.window[1]:
            self.state = "closed"
        found = self.world.deployment(self.id).state
        if found == "purged":
            assert self.state in {"closed", "purged"}
            self.state = "purged"

    # --- what people do ------------------------------------------------------------------------------------------

    @rule(who=st.sampled_from(PEOPLE), stepped_up=st.booleans())
    def sign(self, who: str, stepped_up: bool) -> None:
        body = {"acknowledged_statement": OPERATIONAL_PACK.statement}
        if self.call(who, "/sign", body, stepped_up=stepped_up) is not None:
            assert self.may_sign(who, stepped_up)
            assert self.state == "draft"
            assert self.world.clock.now() < self.window[1]
            self.state = "authorised"

    @rule(who=st.sampled_from(PEOPLE))
    def publish(self, who: str) -> None:
        if self.call(who, "/publish-notice") is not None:
            assert self.may_run(who)
            assert self.state == "authorised"
            self.published = True

    @rule(who=st.sampled_from(PEOPLE))
    def confirm_signs(self, who: str) -> None:
        if self.call(who, "/confirm-signs") is not None:
            assert self.may_run(who)
            assert self.published
            self.confirmed = True

    @rule(who=st.sampled_from(PEOPLE))
    def open(self, who: str) -> None:
        if self.call(who, "/open") is not None:
            assert self.may_run(who)
            assert self.state == "authorised"
            assert self.published
            assert self.confirmed
            assert self.inside_window()
            self.state = "open"

    @rule(who=st.sampled_from(PEOPLE))
    def suspend(self, who: str) -> None:
        if self.call(who, "/suspend", {"reason": "Doubt"}) is not None:
            assert who in {"coordinator", "both", "authoriser"}
            assert self.state in {"open", "suspended"}
            assert self.state == "open" or not self.by_authoriser
            self.state, self.by_authoriser = "suspended", who != "coordinator"

    @rule(who=st.sampled_from(PEOPLE))
    def resume(self, who: str) -> None:
        if self.call(who, "/resume", {"reason": "Settled"}) is not None:
            assert self.state == "suspended"
            assert who in {"authoriser", "both"} or (who == "coordinator" and not self.by_authoriser)
            assert self.published
            assert self.confirmed
            assert self.inside_window()
            self.state, self.by_authoriser = "open", False

    @rule(who=st.sampled_from(["coordinator", "authoriser", "outsider", "officer"]))
    def close(self, who: str) -> None:
        # One in a few: most of what may go wrong goes wrong before.
        if self.steps % 3 == 0 and self.call(who, "/close", {"reason": "Done"}) is not None:
            assert who in {"coordinator", "authoriser"}
            assert self.state not in {"closed", "purged"}
            self.state = "closed"

    @rule(
        who=st.sampled_from(PEOPLE),
        change=st.sampled_from(["later end", "cameras", "earlier end", "fewer", "more", "camera", "lower", "higher"]),
        signed_by=st.sampled_from(["authoriser", "both", None]),
    )
    def propose(self, who: str, change: str, signed_by: str | None) -> None:
        body: dict[str, Any] = {"reason": "Needed", "changes": {}}
        if change in {"earlier end", "later end"}:
            end = WINDOW_ENDS + timedelta(hours=1 if change == "later end" else -1)
            body["changes"] = {"window_ends_at": iso(end)}
        elif change in {"fewer", "more"}:
            body["changes"] = {"categories_sought": CATEGORIES[:1] if change == "fewer" else CATEGORIES}
        elif change in {"higher", "lower"}:
            body["changes"] = {"threshold": self.threshold + (0.03 if change == "higher" else -0.03)}
        else:
            names = ["North", "South"] if change == "cameras" else ["South" if "South" in self.cameras else "North"]
            body["cameras"] = [self.plan(name) for name in names]
        made = self.call(who, "/versions", body)
        if made is None:
            return
        assert self.may_run(who)
        assert self.state in {"authorised", "open", "suspended"}
        self.proposals[made["number"]] = {"by": who, "base": self.version, "terms": made["terms"]}
        if made["status"] == "in_force":
            self.take_effect(made["number"], made["terms"], narrowed=True)
        else:
            assert made["widens"]
            self.seen["proposed"] += 1
            if signed_by is not None:
                self.sign_version(signed_by, True, 0)

    def plan(self, name: str) -> dict[str, Any]:
        plan: dict[str, Any] = {"name": name, "fov_deg": 60.0, "range_m": 25.0, **PLANS[name]}
        if name in self.cameras:
            return {**plan, "id": self.cameras[name]}
        return {**plan, "source_url": "push:"}

    @rule(who=st.sampled_from(PEOPLE), stepped_up=st.booleans(), which=st.integers(0, 5))
    def sign_version(self, who: str, stepped_up: bool, which: int) -> None:
        waiting = sorted(self.proposals)
        number = waiting[-1 - which % len(waiting)] if waiting else 2
        body = {"acknowledged_statement": OPERATIONAL_PACK.statement}
        signed = self.call(who, f"/versions/{number}/sign", body, stepped_up=stepped_up)
        if signed is not None:
            assert self.may_sign(who, stepped_up)
            proposal = self.proposals[number]
            assert proposal["by"] != who
            assert proposal["base"] == self.version
            assert self.state in {"authorised", "open", "suspended"}
            assert {**signed["terms"], "pack": None} == {**proposal["terms"], "pack": None}
            self.take_effect(number, signed["terms"], narrowed=False)
            self.seen["widened"] += 1

    def take_effect(self, number: int, terms: dict[str, Any], *, narrowed: bool) -> None:
        del self.proposals[number]
        self.version = number
        window = tuple(datetime.fromisoformat(terms[name]) for name in ("window_starts_at", "window_ends_at"))
        cameras = {camera["name"]: camera["id"] for camera in terms["cameras"]}
        if narrowed:
            self.seen["narrowed"] += 1
            assert window[0] >= self.window[0]
            assert window[1] <= self.window[1]
            assert set(cameras.items()) <= set(self.cameras.items())
            assert set(terms["categories_sought"]) <= self.sought
            assert terms["threshold"] >= self.threshold
        elif not set(cameras.items()) <= set(self.cameras.items()):
            self.confirmed = False
        self.window = (window[0], window[1])
        self.cameras, self.sought, self.threshold = cameras, set(terms["categories_sought"]), terms["threshold"]
        self.cameras_ever |= cameras

    @rule(who=st.sampled_from(["coordinator", "outsider"]))
    def add_camera_as_if_it_were_a_draft(self, who: str) -> None:
        made = self.call(who, "/cameras", {**self.plan("South"), "source_url": "push:"} | {"id": new_id()})
        assert made is None
        plan = {key: value for key, value in self.plan("South").items() if key != "id"}
        made = self.call(who, "/cameras", {**plan, "source_url": "push:"})
        if made is not None:
            assert (who, self.state) == ("coordinator", "draft")
            self.cameras[made["name"]] = self.cameras_ever[made["name"]] = made["id"]

    @rule()
    def go_on_as_one_should(self) -> None:
        self.goings_on += 1
        if self.state == "draft":
            self.sign("authoriser", True)
        elif self.state == "authorised" and not self.published:
            self.publish("coordinator")
        elif not self.confirmed:
            self.confirm_signs("coordinator")
        elif self.state == "authorised":
            self.world.clock.move_to(self.window[0] + timedelta(minutes=1))
            self.open("coordinator")
        elif self.state == "suspended":
            self.resume("authoriser")
        elif self.proposals:
            self.sign_version("authoriser", True, 0)
        else:
            # Left to chance alone, hardly any sequence has a proposal and its signature in an open deployment.
            change = ["later end", "cameras", "lower", "fewer", "more", "camera"][self.goings_on % 6]
            self.propose("coordinator", change, None)

    # --- what must hold after each of these ------------------------------------------------------------------------

    @invariant()
    def a_heartbeat_orders_exactly_what_was_signed(self) -> None:
        self.steps += 1
        body = {"engine_id": "engine-1", "run_id": "run", "pack": {}, "cameras": []}
        answer = self.app.test_client().post("/api/v1/engine/heartbeat", json=body, headers=self.engine_headers)
        assert answer.status_code == 200
        sessions = answer.get_json()["sessions"]
        assert [one["deployment_id"] for one in sessions] == ([self.id] if self.may_match() else [])
        for one in sessions:
            assert {camera["camera_id"] for camera in one["cameras"]} == set(self.cameras.values())
            assert (one["window_starts_at"], one["window_ends_at"]) == (iso(self.window[0]), iso(self.window[1]))
            assert one["threshold"] == self.threshold
        self.seen["may" if self.may_match() else f"not, {self.state}"] += 1

    @invariant()
    def an_engine_is_given_exactly_the_list(self) -> None:
        path = f"/api/v1/engine/deployments/{self.id}/watchlist"
        answer = self.app.test_client().get(path, headers=self.engine_headers)
        assert (answer.status_code == 200) is self.may_match()
        if answer.status_code == 200:
            given = {entry["entry_id"] for entry in answer.get_json()["entries"]}
            assert given == {entry for entry in self.listed if self.entries[entry] in self.sought}

    @invariant()
    def a_hit_is_taken_exactly_from_a_signed_camera_on_a_listed_entry(self) -> None:
        cameras = [*self.cameras_ever.values(), new_id()]
        entries = [*self.entries, new_id()]
        camera, entry = cameras[self.steps % len(cameras)], entries[self.steps // 2 % len(entries)]
        now = self.world.clock.now()
        hit = {
            "hit_id": new_id(),
            "deployment_id": self.id,
            "camera_id": camera,
            "entry_id": entry,
            "pack": "seeded 1",
            "score": 0.9,
            "threshold": 0.5,
            "captured_at": iso(now),
            "detected_at": iso(now),
            "track": {},
            "quality": {},
            "probe_jpeg": PICTURE,
            "context_jpeg": PICTURE,
        }
        answer = self.app.test_client().post("/api/v1/engine/hits", json=hit, headers=self.engine_headers)
        proper = camera in self.cameras.values() and entry in self.listed and self.entries[entry] in self.sought
        assert (answer.status_code == 201) is (self.may_match() and proper), answer.get_json()
        self.seen["hit taken" if answer.status_code == 201 else "hit refused"] += 1

    def everything_holds(self) -> None:
        self.a_heartbeat_orders_exactly_what_was_signed()
        self.an_engine_is_given_exactly_the_list()
        self.a_hit_is_taken_exactly_from_a_signed_camera_on_a_listed_entry()
        self.the_state_is_as_people_left_it()

    @invariant()
    def the_state_is_as_people_left_it(self) -> None:
        assert self.world.deployment(self.id).state == self.state


@pytest.mark.timeout(600)
def test_no_order_of_calls_clock_jumps_and_restarts_matches_outside_the_signed_window_cameras_and_list(
    world: World,
) -> None:
    world.people["both"] = world.person("both", Role.COORDINATOR, Role.AUTHORISER)
    world.people["outsider"] = world.person("outsider", Role.COORDINATOR)
    world.team.append(world.people["both"].user_id)
    seen: Counter[str] = Counter()
    run_state_machine_as_test(lambda: WholeLife(world, seen), settings=SETTINGS)
    print(f"\n{dict(seen)}")
    # The sequences really came to an open deployment, changed its terms both ways, and came past its end.
    assert seen["may"] > 60, seen
    assert seen["hit taken"] > 20, seen
    assert min(seen["narrowed"], seen["widened"]) >= 5, seen
    assert min(seen[f"not, {state}"] for state in ("suspended", "closed", "purged", "open")) >= 5, seen
