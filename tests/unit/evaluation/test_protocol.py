"""Which picture is what, and that none goes missing without a word."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from cordon.evaluation.protocol import NotEvaluable, central_face, collect, identity_folder
from cordon.vision.faces import Detections
from made_templates import made_pack


def photograph(path: Path, seed: int | None) -> None:
    """Coloured fields that differ by seed; None: dark, without a face."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = np.zeros((4, 4, 3)) if seed is None else np.random.default_rng(seed).integers(40, 255, (4, 4, 3))
    cv2.imwrite(str(path), np.kron(fields, np.ones((20, 20, 1))).astype(np.uint8))


def test_first_pictures_are_the_list_others_its_probes_and_single_ones_the_strangers(tmp_path: Path) -> None:
    for number in (10, 9, 2):
        photograph(tmp_path / "Ada" / f"{number}.jpg", number)
    photograph(tmp_path / "Bea" / "1.jpg", 50)
    (tmp_path / "Ada" / "notes.txt").write_text("no picture")
    found = collect(made_pack(), tmp_path)
    assert found.identities == ("Ada",)
    assert found.non_mated_identities == ("Bea",)
    assert len(found.mated) == 2
    assert not any(found.not_counted.counts().values())
    photograph(tmp_path / "Alone" / "2.jpg", 2)
    alone = collect(made_pack(), tmp_path)
    # The list's picture of Ada is 2.jpg: by number, not by name.
    assert np.allclose(alone.gallery[0], alone.non_mated[0], atol=1e-3)


def test_every_picture_that_cannot_be_used_is_counted_where_it_belongs(tmp_path: Path) -> None:
    photograph(tmp_path / "Ada" / "1.jpg", None)
    photograph(tmp_path / "Ada" / "2.jpg", 1)
    photograph(tmp_path / "Ada" / "3.jpg", None)
    photograph(tmp_path / "Ada" / "4.jpg", 2)
    (tmp_path / "Ada" / "5.jpg").write_bytes(b"\xff\xd8\xff cut short")
    photograph(tmp_path / "Bea" / "1.jpg", None)
    photograph(tmp_path / "Cat" / "1.jpg", 3)
    photograph(tmp_path / "Dot" / "1.jpg", None)
    photograph(tmp_path / "Dot" / "2.jpg", None)
    found = collect(made_pack(), tmp_path)
    assert found.not_counted.unreadable == ("Ada/5.jpg",)
    assert found.not_counted.no_face_reference == ("Ada/1.jpg",)
    assert found.not_counted.no_face_mated == ("Ada/3.jpg",)
    assert found.not_counted.no_face_non_mated == ("Bea/1.jpg",)
    assert found.not_counted.not_enrolled == ("Dot",)
    # The probe without a face is still a probe.
    assert len(found.mated) == 2
    assert np.isnan(found.mated[0]).all()


def test_an_identity_whose_second_picture_is_unreadable_is_a_stranger(tmp_path: Path) -> None:
    for number in (1, 2):
        photograph(tmp_path / "Ada" / f"{number}.jpg", number)
    photograph(tmp_path / "Bea" / "1.jpg", 7)
    (tmp_path / "Bea" / "2.jpg").write_bytes(b"")
    assert collect(made_pack(), tmp_path).non_mated_identities == ("Bea",)


@pytest.mark.parametrize("layout", ["missing", "empty", "empty identities", "only strangers", "only listed"])
def test_photographs_that_support_no_evaluation_are_refused(tmp_path: Path, layout: str) -> None:
    folder = tmp_path / "faces"
    if layout != "missing":
        folder.mkdir()
    if layout == "empty identities":
        (folder / "Ada").mkdir()
    if layout == "only strangers":
        photograph(folder / "Ada" / "1.jpg", 1)
    if layout == "only listed":
        photograph(folder / "Ada" / "1.jpg", 1)
        photograph(folder / "Ada" / "2.jpg", 2)
    with pytest.raises(NotEvaluable):
        collect(made_pack(), folder)


def test_the_folder_above_lfw_is_as_good(tmp_path: Path) -> None:
    assert identity_folder(tmp_path) == tmp_path
    (tmp_path / "lfw").mkdir()
    assert identity_folder(tmp_path) == tmp_path / "lfw"


def test_the_subject_is_large_and_central_and_a_doubtful_face_is_none() -> None:
    boxes = np.asarray([[0, 0, 60, 60], [100, 100, 150, 150], [90, 90, 160, 160]], np.float32)
    landmarks = np.zeros((3, 5, 2), np.float32)
    sure = Detections(boxes, np.asarray([0.9, 0.9, 0.5], np.float32), landmarks)
    assert central_face(sure, 250, 250) == 1
    assert central_face(sure.select(np.asarray([2])), 250, 250) is None
