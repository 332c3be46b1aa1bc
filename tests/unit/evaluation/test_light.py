"""The pack `light` on the shipped part of LFW: the figures that were published with its weights, found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cordon.evaluation.calibrate import as_text, calibrate
from cordon.evaluation.calibration import NotSupported, from_json, threshold_for
from cordon.evaluation.protocol import Collected, collect, identity_folder
from cordon.evaluation.rates import rates_at, search, threshold_at_fpir
from cordon.vision.packs import load_pack, manifest_of

pytestmark = [pytest.mark.weights, pytest.mark.faces]


@pytest.fixture(scope="module")
def measured(models_folder: Path, faces_folder: Path) -> Collected:
    return collect(load_pack("light", threads=2), identity_folder(faces_folder))


@pytest.fixture(scope="module")
def published(models_folder: Path) -> dict[str, list[float]]:
    manifest = json.loads((models_folder / "manifest.json").read_text())
    embedder = next(model for model in manifest["models"] if model["role"] == "face_embedder")
    found: dict[str, list[float]] = embedder["measured"]["shipped_subset_1toN"]
    return found


def test_the_published_figures_are_found_again(measured: Collected, published: dict[str, list[float]]) -> None:
    searches = search(measured)
    assert searches.list_size == published["gallery"]
    assert searches.mated_probes == published["mated_probes"]
    assert searches.non_mated_probes == published["nonmated_probes"]
    assert searches.rank1 == pytest.approx(published["rank1"], abs=0.003)
    assert sum(measured.not_counted.counts().values()) == 0
    for fpir in (0.1, 0.01):
        tpir, threshold = published[f"TPIR@FPIR{fpir:g}"]
        point = rates_at(searches, threshold_at_fpir(searches, fpir))
        assert point.tpir_low <= tpir <= point.tpir_high
        assert point.tpir == pytest.approx(tpir, abs=0.005)
        assert point.threshold == pytest.approx(threshold, abs=0.005)
        assert point.fpir_low <= fpir <= point.fpir_high


def test_the_committed_calibration_is_this_measurement(measured: Collected) -> None:
    committed = from_json(manifest_of("light").calibration)
    now = calibrate(
        measured, search(measured), data=committed.data, limits=committed.limits, measured_on=committed.measured_on
    )
    for budget in (0.1, 0.01):
        here, there = threshold_for(now, 450, budget), threshold_for(committed, 450, budget)
        # Another processor rounds the networks' sums differently.
        assert here.threshold == pytest.approx(there.threshold, abs=0.003)
        assert here.tpir == pytest.approx(there.tpir, abs=0.005)


def test_the_committed_calibration_supports_no_operational_budget() -> None:
    """The largest budget that a deployment may have is 1 in 1,000: these photographs are too few for it."""
    committed = from_json(manifest_of("light").calibration)
    with pytest.raises(NotSupported) as refused:
        threshold_for(committed, 450, 0.001)
    assert refused.value.smallest_budget == pytest.approx(3 / 700, rel=0.01)
    assert refused.value.longest_list == 0


def test_nobody_is_named_in_a_calibration(measured: Collected) -> None:
    text = as_text(from_json(manifest_of("light").calibration))
    assert not any(identity in text for identity in (*measured.identities, *measured.non_mated_identities))
