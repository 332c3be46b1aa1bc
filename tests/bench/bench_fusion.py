"""`make bench-fusion`: does a track that agrees with itself find more people at the same rate of false alerts?

Simulated streets with known truth, a third of the walkers listed, the rest measuring false alerts. Three rules decide
on the same detections and tracks of the same frames:

  every_frame  each face of each frame is embedded; one view at the threshold raises
  any_view     the views that the product embeds; one of them at the threshold raises
  fused        as the product confirms: `agree` of the `of` best views and the fused template at the threshold

The product's own tracker, choice of views and fusion run with nothing on their list; what each rule would have raised
at each threshold is worked out afterwards from the views, so all thresholds are of one pass. A rule's score of a person
and an entry is the highest threshold at which it would raise that entry while the person walks by.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np
from common import SHORT, THREADS, begin, clopper_pearson, missing, report, say, table
from footage import Cast, Footage, Gallery, Whereabouts, choose_cast, film, frames_of, gallery_of
from numpy.typing import NDArray

from cordon.engine.backend import MatchingOrder
from cordon.engine.frames import Frame
from cordon.engine.matching import Matcher, Probe, fuse
from cordon.index.watchlist_index import WatchlistIndex
from cordon.simulate import SceneSettings
from cordon.vision.faces import Detections
from cordon.vision.packs import Pack, load_pack

SEEDS, SECONDS, FPS = (2, 8, 8) if SHORT else (12, 30, 8)
PEOPLE_A_SECOND = 1.0
LISTED_SHARE = 1 / 3
LIST_SIZE = 300 if SHORT else 800
AGREE, OF = 2, 3
FPIRS = (0.01, 0.02, 0.05, 0.1, 0.2)
RULES = ("every_frame", "any_view", "fused")
BEGAN = datetime(2026, 11, 23, 10, tzinfo=UTC)

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Condition:
    """How bad the picture is. blur: sigma in pixels of what the lens adds; least_face_px: what the deployment accepts."""

    name: str
    noise: float
    crf: int
    blur: float
    least_face_px: int


CONDITIONS = (Condition("fair", 3.0, 23, 0.0, 40), Condition("poor", 10.0, 32, 1.2, 32))


@dataclass
class Seen:
    """What one person's walk gave: the best score of each rule for each entry (E,), and how often was embedded."""

    scores: dict[str, Vector]
    embeddings: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RULES, 0))


class Views(Matcher):
    """The product's matcher, which tells what it would have confirmed with, and embeds each face of each frame beside."""

    def __init__(self, pack: Pack, templates: Vector, where: Whereabouts, people: dict[str, Seen]) -> None:
        super().__init__(pack, lambda hit, order: None)
        self._templates, self._where, self._people = templates, where, people

    def _worth_embedding(self, frame: Frame, found: Detections, tracks: Any, order: MatchingOrder) -> list[Probe]:
        large = np.flatnonzero(found.boxes[:, 2] - found.boxes[:, 0] >= order.minimum_face_px)
        if len(large):
            rows = self._pack.embedder.embed_crops(self._pack.embedder.align(frame.image, found.landmarks[large]))
            for at, row in zip(large, rows, strict=True):
                self._note("every_frame", frame.sequence, found.boxes[at], self._templates @ row, 1)
        return super()._worth_embedding(frame, found, tracks, order)

    def _confirm(self, probe: Probe, index: WatchlistIndex, order: MatchingOrder) -> None:
        views = probe.memory.views
        cosines = np.stack([self._templates @ view.template for view in views])
        # Embedded once more: better views may have pushed it out, and alone it would have raised.
        newest = self._templates @ self._pack.embedder.embed_crops(probe.crop[None])[0]
        self._note("any_view", probe.frame.sequence, probe.box, newest, 1)
        if len(views) < order.agree:
            self._note("fused", probe.frame.sequence, probe.box, np.full(len(newest), -1, np.float32), 1)
            return
        fused = self._templates @ fuse([view.template for view in views], [view.quality.weight for view in views])
        agreeing = np.sort(cosines, axis=0)[-order.agree]
        self._note("fused", probe.frame.sequence, probe.box, np.minimum(agreeing, fused), 1)

    def _note(self, rule: str, number: int, box: Vector, scores: Vector, embedded: int) -> None:
        person = self._where.person_at(number, box)
        if person is None:
            return
        seen = self._people[person]
        seen.scores[rule] = np.maximum(seen.scores[rule], scores)
        seen.embeddings[rule] += embedded


@dataclass(frozen=True)
class Outcome:
    """Of one rule in one condition. mated: the highest threshold at which each listed person is still found; non_mated:
    the highest at which each of the others still raises anything."""

    mated: Vector
    non_mated: Vector
    embeddings: float

    def rates(self, threshold: float) -> dict[str, float]:
        found, wrong = int((self.mated >= threshold).sum()), int((self.non_mated >= threshold).sum())
        tpir, fpir = clopper_pearson(found, len(self.mated)), clopper_pearson(wrong, len(self.non_mated))
        return {
            "threshold": round(threshold, 4),
            "fpir": wrong / len(self.non_mated),
            "fpir_low": fpir[0],
            "fpir_high": fpir[1],
            "tpir": found / len(self.mated),
            "tpir_low": tpir[0],
            "tpir_high": tpir[1],
        }

    def threshold_for(self, fpir: float) -> float | None:
        """The lowest at which no more than this share of the others raises anything; None where they are too few to
        tell."""
        allowed = int(fpir * len(self.non_mated) + 1e-9)
        if not allowed:
            return None
        return float(np.nextafter(np.sort(self.non_mated)[::-1][allowed], np.float32(2)))


def main() -> None:
    begin()
    lacking = missing("CORDON_MODELS", "CORDON_FACES")
    if lacking:
        sys.exit(f"Needs folders in {', '.join(lacking)}.")
    pack = load_pack("light", threads=THREADS)
    people = round(PEOPLE_A_SECOND * SECONDS)
    casts: list[Cast] = []
    for seed in range(SEEDS):
        before = sorted(set().union(*(cast.identities for cast in casts)))
        casts.append(choose_cast(pack.detector, 100 + seed, people, round(people * LISTED_SHARE), not_these=before))
    gallery = gallery_of(pack, casts, LIST_SIZE)
    results: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    for condition in CONDITIONS:
        outcomes, widths = measured(pack, casts, gallery, condition)
        rows = compared(outcomes, condition, pack.manifest.suggested_threshold)
        results += rows
        shown.append({"condition": condition.name, "median_face_px": widths})
    say("\n" + markdown(results))
    report(
        "fusion",
        {
            "video": f"{SEEDS} simulated streets of {SECONDS} s, {FPS} frames a second, 1280×720 H.264, faces of LFW; "
            "nobody walks in two of them",
            "people": SEEDS * people,
            "conditions": [vars(condition) for condition in CONDITIONS],
            "seen": shown,
            "list": gallery.describe(),
            "confirm": f"{AGREE} of {OF}, and the fused template",
            "unit": "one person walking by once, under whatever tracks; only those whose face is wide enough and 70 % "
            "uncovered in three frames or more",
            "fpir_is": "share of the people who are not listed for whom anything on the list is raised",
            "limits": "a walker is one photograph: the views of a track differ in size, blur, noise and a slight turn, not "
            "in pose or expression, so their errors are less independent than in a street, and a lookalike stays one in "
            "all of them",
            "embeddings_are": "per person who walks by; tracks that were confirmed cost fewer in service",
        },
        results,
    )


def measured(
    pack: Pack, casts: Sequence[Cast], gallery: Gallery, condition: Condition
) -> tuple[dict[str, Outcome], float]:
    rows = {owner: row for row, owner in enumerate(gallery.owners)}
    mated: dict[str, list[float]] = {rule: [] for rule in RULES}
    others: dict[str, list[float]] = {rule: [] for rule in RULES}
    embedded: dict[str, list[int]] = {rule: [] for rule in RULES}
    widths: list[float] = []
    for seed, cast in enumerate(casts):
        settings = SceneSettings(
            seconds=SECONDS, fps=FPS, seed=100 + seed, noise=condition.noise, crf=condition.crf, across=0.4
        )
        footage = film(cast, settings)
        seen = walked(pack, footage, gallery, condition)
        for person in footage.truth.people:
            large = [
                face.box[2] - face.box[0]
                for face in person.faces
                if face.visible >= 0.7 and face.box[2] - face.box[0] >= condition.least_face_px
            ]
            if len(large) < 3:
                continue
            widths += large
            for rule in RULES:
                scores = seen[person.id].scores[rule]
                (mated if person.listed else others)[rule].append(
                    float(scores[rows[person.id]] if person.listed else scores.max())
                )
                embedded[rule].append(seen[person.id].embeddings[rule])
        say(f"{condition.name}, street {seed + 1} of {len(casts)}: {len(mated['fused'])} listed people so far")
    outcomes = {
        rule: Outcome(
            np.array(mated[rule], np.float32), np.array(others[rule], np.float32), float(np.mean(embedded[rule]))
        )
        for rule in RULES
    }
    return outcomes, float(np.median(widths))


def walked(pack: Pack, footage: Footage, gallery: Gallery, condition: Condition) -> dict[str, Seen]:
    nothing = WatchlistIndex(pack.embedder.dimension, 1.0)
    order = MatchingOrder(
        "deployment",
        BEGAN,
        BEGAN + timedelta(hours=1),
        1.0,
        AGREE,
        OF,
        60.0,
        condition.least_face_px,
        1,
        b"",
        (),
    )
    people = {
        person.id: Seen({rule: np.full(len(gallery.owners), -1, np.float32) for rule in RULES})
        for person in footage.truth.people
    }
    matcher = Views(pack, gallery.templates, Whereabouts(footage.truth), people)
    for number, decoded in frames_of(footage.path):
        image = decoded
        if condition.blur:
            image = np.asarray(cv2.GaussianBlur(decoded, (0, 0), condition.blur), np.uint8)
        frame = Frame("deployment", "camera", number, BEGAN + timedelta(seconds=number / FPS), image)
        matcher.match_round([frame], {"deployment": order}, {"deployment": nothing}, lambda *_: None)
    return people


def compared(outcomes: dict[str, Outcome], condition: Condition, suggested: float) -> list[dict[str, Any]]:
    """Each rule at the suggested threshold, and where each has the same rate of false alerts."""
    rows = []
    for rule, outcome in outcomes.items():
        about = {
            "condition": condition.name,
            "rule": rule,
            "mated": len(outcome.mated),
            "non_mated": len(outcome.non_mated),
            "embeddings_a_person": outcome.embeddings,
        }
        rows.append({**about, "at": "suggested threshold", **outcome.rates(suggested)})
        for fpir in FPIRS:
            threshold = outcome.threshold_for(fpir)
            if threshold is not None:
                rows.append({**about, "at": f"FPIR {fpir:g}", **outcome.rates(threshold)})
    return rows


def markdown(results: Sequence[dict[str, Any]]) -> str:
    """One line for each condition and operating point, the rules beside each other."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for row in results:
        line = lines.setdefault((row["condition"], row["at"]), {"picture": row["condition"], "at": row["at"]})
        line[row["rule"]] = f"{100 * row['tpir']:.1f} % ({100 * row['tpir_low']:.1f}–{100 * row['tpir_high']:.1f})"
        if row["at"] == "suggested threshold":
            line[row["rule"]] += f", FPIR {100 * row['fpir']:.1f} %"
    return "TPIR with 95 % intervals\n\n" + table(list(lines.values()))


if __name__ == "__main__":
    main()
