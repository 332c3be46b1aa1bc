"""The registry pack, on the group photograph that the insightface package carries."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from insightface.data import get_image

from cordon.vision.packs import Pack, load_pack, registry_pack_installed

pytestmark = pytest.mark.skipif(
    not registry_pack_installed(), reason="needs the registry pack: pip install 'cordon[registry-pack]'"
)


@pytest.fixture(scope="module")
def pack() -> Pack:
    return load_pack("registry")


@pytest.fixture(scope="module")
def group() -> np.ndarray:
    return np.asarray(get_image("t1"), np.uint8)


def test_it_is_for_exercises_only(pack: Pack) -> None:
    assert pack.manifest.licence_scope == "exercise"
    assert "CC0" in pack.manifest.licence


def test_all_six_people_of_the_group_photograph_are_found(pack: Pack, group: np.ndarray) -> None:
    found = pack.detector.detect(group)
    assert len(found) == 6
    assert (np.diff(found.scores) <= 0).all()
    left_eye, right_eye, nose = found.landmarks[:, 0], found.landmarks[:, 1], found.landmarks[:, 2]
    assert (left_eye[:, 0] < right_eye[:, 0]).all()
    assert (left_eye[:, 1] < nose[:, 1]).all()


def test_templates_have_length_one(pack: Pack, group: np.ndarray) -> None:
    found = pack.detector.detect(group)
    templates = pack.embedder.embed_crops(pack.embedder.align(group, found.landmarks))
    assert templates.shape == (6, 128)
    np.testing.assert_allclose(np.linalg.norm(templates, axis=1), 1, atol=1e-5)


def test_the_same_people_in_a_darker_enlarged_picture_score_above_the_threshold_and_others_below(
    pack: Pack, group: np.ndarray
) -> None:
    other = cv2.convertScaleAbs(cv2.resize(group, None, fx=1.15, fy=1.15), alpha=0.85)
    first, second = pack.detector.detect(group), pack.detector.detect(other)
    assert len(second) == 6
    first = first.select(np.argsort(first.boxes[:, 0]))
    second = second.select(np.argsort(second.boxes[:, 0]))
    scores = (
        pack.embedder.embed_crops(pack.embedder.align(group, first.landmarks))
        @ pack.embedder.embed_crops(pack.embedder.align(other, second.landmarks)).T
    )
    same, different = np.diag(scores), scores[~np.eye(6, dtype=bool)]
    assert same.min() > pack.manifest.suggested_threshold
    assert different.max() < pack.manifest.suggested_threshold


def test_an_empty_picture_has_no_faces_and_no_templates(pack: Pack) -> None:
    found = pack.detector.detect(np.full((240, 320, 3), 127, np.uint8))
    assert len(found) == 0
    assert pack.embedder.embed_crops(np.zeros((0, 150, 150, 3), np.uint8)).shape == (0, 128)
