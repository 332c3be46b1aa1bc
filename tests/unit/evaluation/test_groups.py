"""Rates of labelled groups and of bins of quality; labels come from a file, and a bad file is refused by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cordon.evaluation.groups import by_group, by_quality, read_labels
from cordon.evaluation.protocol import NotEvaluable
from cordon.evaluation.rates import rates_at, search
from made_templates import collected

DATA = collected(80, 120)
SEARCHES = search(DATA)
THRESHOLD = 0.6


def labels(small: int = 5) -> dict[str, str]:
    names = [*DATA.identities, *DATA.non_mated_identities]
    return {name: "small" if at % 80 < small else ("even" if at % 2 else "odd") for at, name in enumerate(names)}


def test_groups_together_come_to_the_whole() -> None:
    results = by_group(DATA, SEARCHES, labels(0), THRESHOLD)
    assert [part.name for part in results.parts] == ["even", "odd"]
    shares = [part.tpir for part in results.parts]
    assert all(share is not None for share in shares)
    whole = sum(share.rate * share.probes for share in shares if share) / len(DATA.mated)
    assert whole == pytest.approx(rates_at(SEARCHES, THRESHOLD).tpir)
    assert all(share.low <= share.rate <= share.high for share in shares if share)


def test_a_group_that_is_too_small_is_named_without_a_figure() -> None:
    small = next(part for part in by_group(DATA, SEARCHES, labels(), THRESHOLD).parts if part.name == "small")
    assert small.too_small
    assert (small.tpir, small.fpir) == (None, None)
    assert small.mated_identities == 5


def test_who_has_no_label_and_whose_label_names_nobody_is_counted() -> None:
    some = {name: "known" for name in DATA.identities[:60]} | {"someone else": "unknown"}
    results = by_group(DATA, SEARCHES, some, THRESHOLD)
    assert (results.unlabelled, results.unknown) == (140, 1)
    assert [part.name for part in results.parts] == ["known"]


def test_every_probe_with_a_face_is_in_one_bin_of_each_measure() -> None:
    for quality in by_quality(DATA, SEARCHES, THRESHOLD, least_identities=1):
        assert sum(part.tpir.probes for part in quality.parts if part.tpir) in {0, len(DATA.mated)}
    assert len(by_quality(DATA, SEARCHES, THRESHOLD)[0].parts) == 4


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "must begin with the line identity,group"),
        (b"name,group\nA,x\n", "must begin with the line identity,group"),
        (b"identity,group\n", "labels nobody"),
        (b"identity,group\nA\n", "line 2: an identity and a group are needed"),
        (b"identity,group\nA,x\nB,\n", "line 3: an identity and a group are needed"),
        (b"identity,group\nA,x,1\n", "line 2"),
        (b"identity,group\nA,x\nA,y\n", "line 3: A has two groups, x and y"),
        (b'identity,group\n"A,x\n', "not a CSV file"),
        (b"\xff\xfe\x00", "cannot be read as text in UTF-8"),
    ],
)
def test_a_malformed_file_of_labels_is_refused_with_its_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "groups.csv"
    path.write_bytes(content)
    with pytest.raises(NotEvaluable, match=said):
        read_labels(path)


def test_labels_are_read_with_a_byte_order_mark_spaces_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_bytes("\ufeffidentity, group\nA, x\n\nB,y\nB,y\n".encode())
    assert read_labels(path) == {"A": "x", "B": "y"}


def test_a_missing_file_of_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotEvaluable, match="cannot be read"):
        read_labels(tmp_path / "none.csv")
