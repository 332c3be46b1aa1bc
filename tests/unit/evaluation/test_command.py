"""`cordon models evaluate` as it is called: its JSON, its report, its calibration, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cordon.cli.models import models
from cordon.evaluation.calibration import from_json
from cordon.vision.packs import describe_pack

LISTED, STRANGERS = 40, 40


def evaluate(*arguments: str) -> Result:
    return CliRunner().invoke(models, ["evaluate", *arguments])


def test_a_folder_that_is_not_there_is_refused_in_a_sentence(models_folder: Path, tmp_path: Path) -> None:
    answer = evaluate(str(tmp_path / "none"), "--pack", "light")
    assert answer.exit_code == 1
    assert "is not a folder" in answer.output


def test_a_pack_that_is_not_there_is_refused_in_a_sentence(tmp_path: Path) -> None:
    answer = evaluate(str(tmp_path), "--pack", "no-such-pack")
    assert answer.exit_code == 1
    assert "There is no folder no-such-pack" in answer.output


def test_labels_are_read_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("who,what\n")
    answer = evaluate(str(tmp_path), "--groups", str(tmp_path / "groups.csv"))
    assert answer.exit_code == 1
    assert "must begin with the line identity,group" in answer.output


@pytest.fixture(scope="module")
def some_faces(faces_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    people = sorted((faces_folder / "lfw").iterdir())
    several = [person for person in people if len(list(person.glob("*.jpg"))) > 1][:LISTED]
    single = [person for person in people if len(list(person.glob("*.jpg"))) == 1][:STRANGERS]
    for person in (*several, *single):
        shutil.copytree(person, folder / person.name)
    (folder / single[0].name / "2.jpg").write_bytes(b"cut short")
    return folder


def test_the_json_has_exactly_the_agreed_keys_and_nothing_else_is_printed(
    models_folder: Path, some_faces: Path
) -> None:
    answer = evaluate(str(some_faces), "--pack", "light", "--list-size", "20", "--json")
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)
    assert list(told) == ["pack", "list_size", "mated", "non_mated", "rank1", "points"]
    assert (told["pack"], told["list_size"], told["non_mated"]) == ("light 1", 20, STRANGERS)
    names = ["threshold", "tpir", "tpir_low", "tpir_high", "fpir", "fpir_low", "fpir_high"]
    assert all(list(point) == names for point in told["points"])
    assert "unreadable: 1" in answer.stderr


def test_a_list_that_the_photographs_do_not_give_is_refused(models_folder: Path, some_faces: Path) -> None:
    answer = evaluate(str(some_faces), "--pack", "light", "--list-size", "20000")
    assert answer.exit_code == 1
    assert "A list of 20,000 cannot be evaluated: these photographs give 40 entries at most." in answer.output


def test_report_and_calibration_are_written_and_the_pack_takes_its_calibration(
    models_folder: Path, some_faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORDON_CALIBRATIONS", str(tmp_path / "calibrations"))
    labels = tmp_path / "groups.csv"
    people = sorted(person.name for person in some_faces.iterdir())
    labels.write_text(
        "identity,group\n" + "".join(f"{p},{'few' if at < 3 else 'many'}\n" for at, p in enumerate(people))
    )
    out = tmp_path / "report"
    answer = evaluate(
        str(some_faces),
        *("--pack", "light", "--out", str(out), "--groups", str(labels), "--write-calibration"),
        *("--data", "forty people", "--limits", "Forty are few & far between."),
    )
    assert answer.exit_code == 0, answer.output
    assert "Group few: too small to judge" in answer.stdout
    assert {path.name for path in out.iterdir()} == {"det.png", "tpir_at_fpir.png", "report.html"}
    page = (out / "report.html").read_text()
    assert "Too small to judge (fewer than 30 identities): few." in page
    assert "Forty are few &amp; far between." in page
    # One file, from nowhere else, and nobody in it.
    assert "http" not in page
    assert not any(person in page for person in people)
    kept = from_json(describe_pack("light").calibration)
    assert (kept.data, kept.list_size, kept.non_mated) == ("forty people", LISTED, STRANGERS)


def test_a_calibration_of_a_drawn_list_is_refused(models_folder: Path, some_faces: Path) -> None:
    answer = evaluate(str(some_faces), "--pack", "light", "--list-size", "20", "--write-calibration")
    assert answer.exit_code == 1
    assert "leave --list-size out" in answer.output
