"""The simulated camera: what it renders is what its truth says, and a detector and an embedder take it for people."""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from cordon.simulate import DemoPerson, GroundTruth, SceneSettings, Walker, faces_for_demo, render_scene
from cordon.simulate.people import LIKENESS, NotEnoughFaces
from cordon.simulate.truth import FaceBox, intervals_in_view
from cordon.vision.enrol import enrol_reference
from cordon.vision.images import encode_jpeg
from cordon.vision.packs import Pack, load_pack
from cordon.vision.yunet import overlaps

needs_weights = pytest.mark.skipif(
    not os.environ.get("CORDON_MODELS"), reason="needs a model pack: CORDON_MODELS=<folder> make test"
)
needs_faces = pytest.mark.skipif(
    not os.environ.get("CORDON_FACES"), reason="needs photographs: CORDON_FACES=<folder> make test"
)
SETTINGS = SceneSettings(seconds=8, seed=5, across=0.0)
LEAST_FACE_PX = 30
# What the issue asks of a face near the camera; a possible match needs two such views.
MATCHES_ABOVE, VIEWS = 0.45, 2


def plain_walkers(count: int) -> list[Walker]:
    """Ovals of skin on grey: enough for what needs no likeness."""
    import cv2

    photo = np.full((250, 250, 3), 90, np.uint8)
    cv2.ellipse(photo, (125, 125), (55, 75), 0, 0, 360, (120, 150, 200), -1)
    return [Walker(f"person-{n}", photo, (75.0, 65.0, 175.0, 190.0), listed=n == 0) for n in range(count)]


def frames_of(video: Path) -> list[np.ndarray]:
    with av.open(str(video)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def pack() -> Pack:
    return load_pack("light")


@pytest.fixture(scope="module")
def street(
    pack: Pack, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[DemoPerson], GroundTruth, list[np.ndarray]]:
    people = faces_for_demo(pack.detector, people=6, listed=3, seed=2, embedder=pack.embedder)
    video = tmp_path_factory.mktemp("street") / "street.mp4"
    truth = render_scene([one.walker for one in people], SETTINGS, video)
    return people, truth, frames_of(video)


def test_the_loop_has_the_length_size_and_codec_that_were_asked_for(tmp_path: Path) -> None:
    settings = SceneSettings(width=640, height=360, fps=10, seconds=2.5)
    truth = render_scene(plain_walkers(2), settings, tmp_path / "out.mp4")
    assert (truth.frames, truth.loop_s) == (25, 2.5)
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == 10
    frames = frames_of(tmp_path / "out.mp4")
    assert len(frames) == 25
    assert frames[0].shape == (360, 640, 3)


def test_the_same_seed_gives_the_same_truth_and_pictures_and_another_seed_others(tmp_path: Path) -> None:
    settings = SceneSettings(width=320, height=180, seconds=2, seed=1)
    made = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        truth = render_scene(plain_walkers(3), replace(settings, seed=seed), tmp_path / f"{name}.mp4")
        made[name] = (truth.people, np.array(frames_of(tmp_path / f"{name}.mp4"), np.float32))
    assert made["a"][0] == made["b"][0]
    assert made["a"][0] != made["c"][0]
    # What x264 rounds differently is far below the picture's own noise of three grey levels.
    assert np.abs(made["a"][1] - made["b"][1]).mean() < 0.5
    assert np.abs(made["a"][1] - made["c"][1]).mean() > 3


def test_the_loop_has_no_seam(tmp_path: Path) -> None:
    render_scene(plain_walkers(4), SceneSettings(width=640, height=360, seconds=10), tmp_path / "out.mp4")
    frames = [frame.astype(np.float32) for frame in frames_of(tmp_path / "out.mp4")]
    steps = [float(np.abs(one - two).mean()) for one, two in itertools.pairwise(frames)]
    assert float(np.abs(frames[-1] - frames[0]).mean()) < 1.5 * max(steps)


def test_the_truth_is_the_same_after_writing_and_reading_it(tmp_path: Path) -> None:
    truth = render_scene(plain_walkers(2), SceneSettings(width=320, height=180, seconds=2), tmp_path / "out.mp4")
    truth.save(tmp_path / "out.json")
    assert GroundTruth.load(tmp_path / "out.json") == truth
    written = json.loads(truth.to_json())
    assert (written["fps"], written["width"], written["height"], written["loop_s"]) == (12, 320, 180, 2.0)
    assert [person["listed"] for person in written["people"]] == [True, False]


def test_people_come_out_of_a_door_and_leave_past_the_camera(tmp_path: Path) -> None:
    """Nobody vanishes in the middle of the picture: a face's last whole box is at the edge of it."""
    settings = SceneSettings(width=640, height=360, seconds=30, across=0.0, seed=3)
    truth = render_scene(plain_walkers(1), settings, tmp_path / "out.mp4")
    (person,) = truth.people
    by_width = sorted(face.box[2] - face.box[0] for face in person.faces)
    assert by_width[0] < 20
    assert by_width[-1] > 60
    largest = max(person.faces, key=lambda face: face.box[2] - face.box[0])
    assert largest.visible < 0.5
    assert largest.box[0] < 0 or largest.box[2] > 640


def test_a_covered_face_is_not_in_view() -> None:
    shares = [1.0, 0.9, 0.3, 0.8]
    faces = [FaceBox(frame, (0.0, 0.0, 10.0, 10.0), visible) for frame, visible in enumerate(shares)]
    assert intervals_in_view(faces, 4) == ((0.0, 0.5), (0.75, 1.0))


def test_a_crowd_is_as_dense_as_was_asked_for_and_nobody_is_in_two_places(tmp_path: Path) -> None:
    settings = SceneSettings(width=320, height=180, seconds=40, people_in_view=4)
    truth = render_scene(plain_walkers(3), settings, tmp_path / "out.mp4")
    alone = render_scene(plain_walkers(3), replace(settings, people_in_view=None), tmp_path / "alone.mp4")
    crowd, few = (sum(len(person.faces) for person in one.people) for one in (truth, alone))
    assert crowd > 1.2 * few
    for person in truth.people:
        assert len({face.frame for face in person.faces}) == len(person.faces)


def test_an_odd_size_and_an_empty_loop_are_refused(tmp_path: Path) -> None:
    for settings in (SceneSettings(width=641, height=360), SceneSettings(seconds=0)):
        with pytest.raises(ValueError, match=r"The (width|video)"):
            render_scene([], settings, tmp_path / "out.mp4")


@needs_weights
def test_faces_grow_from_far_to_near(street: tuple) -> None:
    _, truth, _ = street
    widths = [face.box[2] - face.box[0] for person in truth.people for face in person.faces]
    assert min(widths) < 40
    assert 110 < max(widths) < 200


@needs_weights
def test_rendered_faces_are_found_where_the_truth_has_them(street: tuple, pack: Pack) -> None:
    _, truth, frames = street
    found = sought = strays = 0
    for number in range(0, truth.frames, 4):
        detected = pack.detector.detect(frames[number])
        here = [face for person in truth.people for face in person.faces if face.frame == number]
        for face in here:
            # Smaller than any deployment's least face.
            if face.visible >= 0.95 and face.box[2] - face.box[0] >= LEAST_FACE_PX:
                sought += 1
                found += bool((overlaps(np.array(face.box, np.float32), detected.boxes) > 0.5).any())
        every = np.array([face.box for face in here], np.float32).reshape(-1, 4)
        strays += sum(not (overlaps(box, every) > 0.3).any() for box in detected.boxes)
    assert sought > 50
    assert found / sought > 0.95
    # The street itself holds no face.
    assert strays <= 0.02 * sought


@needs_weights
@needs_faces
def test_listed_people_resemble_their_other_photograph_and_not_each_others(street: tuple, pack: Pack) -> None:
    people, truth, frames = street
    references = []
    views = dict.fromkeys((person.walker.id for person in people), 0)
    strangers = np.zeros((len(people), len(people)), np.int64)
    for person in people:
        face = pack.detector.detect(person.reference)
        references.append(pack.embedder.embed_crops(pack.embedder.align(person.reference, face.landmarks[:1]))[0])
    own, others = [], []
    for number, person in enumerate(truth.people):
        for face in person.faces:
            if face.visible < 0.95 or face.box[2] - face.box[0] < 80:
                continue
            detected = pack.detector.detect(frames[face.frame])
            at = overlaps(np.array(face.box, np.float32), detected.boxes)
            if not len(at) or at.max() < 0.5:
                continue
            best = detected.select(np.array([int(at.argmax())]))
            probe = pack.embedder.embed_crops(pack.embedder.align(frames[face.frame], best.landmarks))[0]
            scores = np.array(references) @ probe
            own.append(float(scores[number]))
            views[person.id] += int(scores[number] > MATCHES_ABOVE)
            if not person.listed:
                strangers[number] += scores > MATCHES_ABOVE
            others.extend(float(score) for other, score in enumerate(scores) if other != number)
    assert all(views[person.id] >= VIEWS for person in truth.people if person.listed)
    assert strangers[:, [person.walker.listed for person in people]].max() < VIEWS
    assert len(own) > 20
    assert np.mean(np.array(own) > 0.4) > 0.75
    assert np.mean(np.array(others) > 0.4) < 0.02


@needs_weights
@needs_faces
def test_with_an_embedder_only_those_are_listed_whose_photographs_resemble_each_other(pack: Pack) -> None:
    def likeness(people: list[DemoPerson]) -> list[float]:
        found = []
        for person in people:
            templates = []
            for picture in (person.walker.photo, person.reference):
                face = pack.detector.detect(picture)
                templates.append(pack.embedder.embed_crops(pack.embedder.align(picture, face.landmarks[:1]))[0])
            found.append(float(templates[0] @ templates[1]))
        return found

    any_people = faces_for_demo(pack.detector, people=10, listed=5, seed=7)
    chosen = faces_for_demo(pack.detector, people=10, listed=5, seed=7, embedder=pack.embedder)
    assert min(likeness(any_people)[:5]) < LIKENESS
    assert min(likeness(chosen)[:5]) >= LIKENESS
    assert [person.walker.listed for person in chosen] == [True] * 5 + [False] * 5


@needs_weights
@needs_faces
def test_every_reference_can_be_enrolled(street: tuple, pack: Pack) -> None:
    people, _, _ = street
    for person in people:
        enrolled = enrol_reference(pack, encode_jpeg(person.reference, longest_side=1000, quality=95))
        assert np.isfinite(enrolled.template).all()


@needs_weights
@needs_faces
def test_the_reference_is_another_photograph_than_the_one_that_walks(street: tuple) -> None:
    people, _, _ = street
    for person in people:
        same = person.walker.photo.shape == person.reference.shape and (person.walker.photo == person.reference).all()
        assert not same
    assert [person.walker.listed for person in people] == [True] * 3 + [False] * 3


@needs_weights
def test_without_photographs_the_people_come_from_the_group_picture(
    pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CORDON_FACES", raising=False)
    people = faces_for_demo(pack.detector, people=6, listed=6, embedder=pack.embedder)
    assert len({person.walker.face_box for person in people}) == 6
    for person in people:
        assert len(pack.detector.detect(person.reference)) >= 1
    with pytest.raises(NotEnoughFaces, match="7 people were asked for, but only 6"):
        faces_for_demo(pack.detector, people=7, listed=2)
