"""An operation is signed for with a licence, a calibration that reaches far enough, and an acknowledgement; or not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cordon.audit import service as audit
from cordon.deployments import service as deployments
from cordon.deployments.standing import PackStanding
from cordon.platform.errors import Refusal
from cordon.vision.packs import manifest_of
from world import OPERATIONAL_PACK, WINDOW_STARTS, World

LEAST = OPERATIONAL_PACK.operating_point(20_000, 0.0001).threshold


def sign(
    world: World, deployment_id: str, pack: PackStanding = OPERATIONAL_PACK, acknowledged: str | None = ""
) -> None:
    statement = pack.statement if acknowledged == "" else acknowledged
    with world.installation.write() as work:
        deployment = deployments.find(work, deployment_id)
        deployments.sign(work, world.people["authoriser"], deployment, pack, statement)


def refused(world: World, code: str, *, pack: PackStanding = OPERATIONAL_PACK, **terms: Any) -> str:
    deployment_id = world.drafted(**terms)
    with pytest.raises(Refusal) as refusal:
        sign(world, deployment_id, pack)
    assert refusal.value.code == code
    assert world.deployment(deployment_id).state == "draft"
    return str(refusal.value)


@pytest.mark.parametrize("scope", ["research", "exercise"])
def test_a_pack_that_is_not_licensed_for_operations_serves_none(world: World, scope: str) -> None:
    refused(world, "pack_not_operational", pack=replace(OPERATIONAL_PACK, licence_scope=scope))


def test_a_pack_that_is_not_calibrated_serves_no_operation(world: World) -> None:
    refused(world, "pack_not_operational", pack=replace(OPERATIONAL_PACK, calibration=None))


@pytest.mark.parametrize("name", ["light", "open"])
def test_no_pack_that_comes_with_cordon_serves_an_operation_as_it_is(world: World, name: str) -> None:
    refused(world, "pack_not_operational", pack=PackStanding.of(manifest_of(name)))


def test_a_threshold_below_the_derived_one_is_refused_with_the_least_and_what_it_finds(world: World) -> None:
    sentence = refused(world, "threshold_too_low", threshold=LEAST - 0.001)
    assert f"{LEAST:.3f} is the least" in sentence
    assert "1 false alert in 10,000 faces with a list of 20,000" in sentence
    assert "%" in sentence


def test_the_derived_threshold_itself_is_enough(world: World) -> None:
    sign(world, world.drafted(threshold=LEAST))


def test_a_budget_or_a_list_that_the_calibration_does_not_reach_is_refused_with_how_far_it_does(world: World) -> None:
    sentence = refused(world, "budget_not_supported", threshold=0.99, false_alert_budget=1e-6)
    assert "it can support no less than 1 false alert in 20," in sentence
    assert "at most 40,000 entries" in refused(world, "budget_not_supported", threshold=0.99, list_limit=50_000)


@pytest.mark.parametrize("acknowledged", [None, "Yes.", OPERATIONAL_PACK.statement + " "])
def test_nothing_operational_is_signed_without_the_statement_word_for_word(
    world: World, acknowledged: str | None
) -> None:
    deployment_id = world.drafted()
    with pytest.raises(Refusal) as refusal:
        sign(world, deployment_id, acknowledged=acknowledged)
    assert refusal.value.code == "pack_not_acknowledged"


def test_the_acknowledgement_is_under_the_signature_and_on_the_record(world: World) -> None:
    deployment_id = world.drafted()
    sign(world, deployment_id)
    with world.installation.write() as work:
        deployment = deployments.find(work, deployment_id)
        signed = deployment.terms()["pack"]
        assert signed["acknowledged"]
        assert signed["statement"] == OPERATIONAL_PACK.statement
        assert signed["derived_threshold"] == LEAST
        assert deployment.signed_terms_hash == deployment.terms_hash()
        recorded = [r for r in audit.chain(work, deployment_id) if r.action == "deployment.pack_signed_for"]
        assert [record.detail for record in recorded] == [signed]
        deployment.signed_pack = {**signed, "acknowledged": False}
        assert deployment.signed_terms_hash != deployment.terms_hash()


def test_an_exercise_may_choose_its_threshold_with_any_pack(world: World) -> None:
    deployment_id = world.drafted(marked_exercise=True, threshold=0.2)
    sign(world, deployment_id, PackStanding.of(manifest_of("light")), acknowledged=None)
    assert world.deployment(deployment_id).signed_pack["acknowledged"] is False


def test_an_operation_does_not_open_with_another_pack_than_was_signed_for(world: World) -> None:
    deployment_id = world.announced()
    world.clock.move_to(WINDOW_STARTS)
    with pytest.raises(Refusal) as refusal, world.installation.write() as work:
        deployment = deployments.find(work, deployment_id)
        other = replace(OPERATIONAL_PACK, label="other 1")
        deployments.open_deployment(work, world.people["coordinator"], deployment, other)
    assert refusal.value.code == "pack_changed"


def test_a_calibration_of_another_pack_or_a_damaged_one_counts_for_nothing() -> None:
    light = manifest_of("light")
    assert light.calibration is not None
    licensed = replace(light, licence_scope="operational")
    assert PackStanding.of(licensed).scope == "operational"
    for calibration in ({**light.calibration, "pack": "open 1"}, {**light.calibration, "version": 7}, {}):
        standing = PackStanding.of(replace(licensed, calibration=calibration))
        assert standing.scope == "exercise"
        assert standing.trouble
        assert standing.shown(100, 0.001)["refusal"] == standing.trouble


def test_what_a_screen_shows_is_either_a_threshold_with_its_cost_or_a_refusal() -> None:
    shown = OPERATIONAL_PACK.shown(20_000, 0.0001)
    assert shown["threshold"] == LEAST
    assert 0 < shown["tpir_low"] <= shown["tpir"] <= shown["tpir_high"] < 1
    assert shown["refusal"] is None
    beyond = OPERATIONAL_PACK.shown(20_000, 1e-6)
    assert beyond["threshold"] is None
    assert "it can support" in beyond["refusal"]
