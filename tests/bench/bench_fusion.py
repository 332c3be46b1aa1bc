"""`make bench-fusion`: does a track that agrees with itself find more people at the same rate of false alerts?

Simulated streets with known truth, a third of the walkers listed, the rest measuring false alerts. Rules that decide on
the same detections and tracks of the same frames:

  every_frame   each face of each frame is embedded; one view at the threshold raises
  any_view      the views that the product chooses are embedded; one of them at the threshold raises
  best_view     of those, the one view of the highest quality decides alone: one frame of a passage
  two_of_three  as Cordon confirmed before: four views at once, then better ones; two of the three best and their
                weighted mean at the threshold
  mean_template two views whose mean template reaches the threshold, each near it
  fused         cordon.vision.fusion: any two views of the track at the threshold on average, each near it

Tracker, view quality, choice of views and fusion are the product's. What each rule would have raised at each threshold is
worked out from the views, so all thresholds are of one pass: a rule's score of a person and an entry is the highest
threshold at which it would raise that entry with this person in the picture that the operator is shown.

Nobody here walked in the streets on which the rule was chosen (seeds 100 to 111), except, for want of people with three
photographs, in the streets of two photographs: there each walker has another photograph every other second.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np
from common import SHORT, THREADS, begin, clopper_pearson, missing, report, say, table
from footage import (
    Cast,
    Footage,
    Gallery,
    Picture,
    Whereabouts,
    choose_cast,
    choose_two_photographs,
    film,
    frames_of,
    gallery_of,
)
from numpy.typing import NDArray

from cordon.simulate import SceneSettings
from cordon.vision.faces import Detections
from cordon.vision.fusion import MOST_VIEWS, SAME_PICTURE, SUPPORT, Chosen, choose_view, strength, worth_a_look
from cordon.vision.packs import Pack, load_pack
from cordon.vision.quality import PROBE_LEAST_SHARPNESS, assess, why_not_comparable
from cordon.vision.track import Tracker

STREETS, TWO_PHOTOGRAPH_STREETS, SECONDS, FPS = (2, 1, 8, 8) if SHORT else (12, 7, 30, 8)
CHOSEN_ON, FRESH, TWO_PHOTOGRAPHS = 100, 200, 300
PEOPLE_A_SECOND = 1.0
LISTED_SHARE = 1 / 3
LIST_SIZE = 300 if SHORT else 800
FPIRS = (0.01, 0.02, 0.05, 0.1)
RULES = ("every_frame", "any_view", "best_view", "two_of_three", "mean_template", "fused")
RESAMPLES = 200 if SHORT else 2000
BEGAN = datetime(2026, 11, 23, 10, tzinfo=UTC)

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Condition:
    """How bad the picture is. blur: sigma in pixels of what the lens adds; least_face_px: what the deployment accepts;
    photographs: of each walker."""

    name: str
    noise: float
    crf: int
    blur: float
    least_face_px: int
    photographs: int = 1


CONDITIONS = (
    Condition("fair", 3.0, 23, 0.0, 40),
    Condition("poor", 10.0, 32, 1.2, 32),
    Condition("fair, two photographs", 3.0, 23, 0.0, 40, photographs=2),
)


@dataclass(frozen=True)
class Street:
    """One film for each photograph of the walkers: the same walks before the same houses; every second the next."""

    films: tuple[Footage, ...]

    def at(self, number: int) -> int:
        return number // FPS % len(self.films)

    def frames(self) -> Iterator[tuple[int, Picture]]:
        for together in zip(*(frames_of(footage.path) for footage in self.films), strict=True):
            number = together[0][0]
            yield together[self.at(number)]

    def widths(self, person: str, visible: float = 0.7) -> list[float]:
        """Of the person's face, wherever it can really be seen."""
        return [
            face.box[2] - face.box[0]
            for which, footage in enumerate(self.films)
            for one in footage.truth.people
            if one.id == person
            for face in one.faces
            if face.visible >= visible and self.at(face.frame) == which
        ]


@dataclass
class Seen:
    """What one person's walk gave: the best score of each rule for each entry (E,), and how often was embedded."""

    scores: dict[str, Vector]
    embeddings: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RULES, 0))


@dataclass
class Views:
    """Of one track under one choice of views: templates (D,), cosines with every entry (E,), weights, and whose."""

    chosen: Chosen = field(default_factory=Chosen)
    templates: list[Vector] = field(default_factory=list)
    cosines: list[Vector] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    people: list[str | None] = field(default_factory=list)

    def add(self, template: Vector, cosines: Vector, weight: float, at: datetime, person: str | None) -> None:
        self.chosen = self.chosen.with_view(weight, at)
        self.templates.append(template)
        self.cosines.append(cosines)
        self.weights.append(weight)
        self.people.append(person)

    def shown(self) -> NDArray[np.intp]:
        """Which view an alert on each entry would show: the one most like it."""
        return np.asarray(np.stack(self.cosines).argmax(axis=0), np.intp)


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

    def found_at(self, fpir: float) -> NDArray[np.bool_] | None:
        threshold = self.threshold_for(fpir)
        return None if threshold is None else self.mated >= threshold

    def again(self, mated: NDArray[np.intp], others: NDArray[np.intp]) -> Outcome:
        return Outcome(self.mated[mated], self.non_mated[others], self.embeddings)


def main() -> None:
    begin()
    lacking = missing("CORDON_MODELS", "CORDON_FACES")
    if lacking:
        sys.exit(f"Needs folders in {', '.join(lacking)}.")
    pack = load_pack("light", threads=THREADS)
    people = round(PEOPLE_A_SECOND * SECONDS)
    listed = round(people * LISTED_SHARE)
    fresh = casts_of(pack, FRESH, people, listed, set().union(*map(names, casts_of(pack, CHOSEN_ON, people, listed))))
    results: list[dict[str, Any]] = []
    compared: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    for condition in CONDITIONS:
        casts = fresh if condition.photographs == 1 else pairs_of(pack, people, listed)
        gallery = gallery_of(pack, [both[0] for both in casts], LIST_SIZE)
        outcomes, width = measured(pack, casts, gallery, condition)
        results += rates(outcomes, condition, pack.manifest.suggested_threshold)
        compared += paired(outcomes, condition)
        shown.append({"condition": condition.name, "median_face_px": width, "list": gallery.describe()})
    say("\n" + markdown(results) + "\n\nfused against the others, paired\n\n" + table(compared))
    report(
        "fusion",
        {
            "video": f"{STREETS} simulated streets ({TWO_PHOTOGRAPH_STREETS} of two photographs) of {SECONDS} s, {FPS} "
            "frames a second, 1280×720 H.264, faces of LFW; nobody walks in two streets of a condition",
            "conditions": [vars(condition) for condition in CONDITIONS],
            "seen": shown,
            "fused": f"two views of at most {MOST_VIEWS}, each at the threshold less {SUPPORT}",
            "unit": "one person walking by once, under whatever tracks; only those whose face is wide enough and 70 % "
            "uncovered in three frames or more",
            "fpir_is": "share of the people who are not listed for whom anything on the list is raised",
            "paired": f"{RESAMPLES} bootstrap samples of people, listed and others, the thresholds set anew in each; "
            "McNemar's exact test of the listed people at the thresholds of the whole sample",
            "limits": "a walker is one photograph, or two in turn: the views of a track differ in size, blur, noise and a "
            "slight turn, so their errors are less independent than in a street, and a lookalike stays one in all of them",
            "embeddings_are": "per person who walks by; tracks that were confirmed cost fewer in service",
            "compared": compared,
        },
        results,
    )


Casts = Sequence[tuple[Cast, ...]]


def names(casts: tuple[Cast, ...]) -> set[str]:
    return casts[0].identities


def casts_of(pack: Pack, seed: int, people: int, listed: int, not_these: set[str] | None = None) -> list[tuple[Cast]]:
    casts: list[tuple[Cast]] = []
    for number in range(STREETS):
        taken = sorted((not_these or set()).union(*map(names, casts)))
        casts.append((choose_cast(pack.detector, seed + number, people, listed, not_these=taken),))
    return casts


def pairs_of(pack: Pack, people: int, listed: int) -> list[tuple[Cast, Cast]]:
    casts: list[tuple[Cast, Cast]] = []
    for number in range(TWO_PHOTOGRAPH_STREETS):
        taken = sorted(set().union(*map(names, casts)))
        casts.append(choose_two_photographs(pack.detector, TWO_PHOTOGRAPHS + number, people, listed, not_these=taken))
    return casts


def measured(pack: Pack, casts: Casts, gallery: Gallery, condition: Condition) -> tuple[dict[str, Outcome], float]:
    rows = {owner: row for row, owner in enumerate(gallery.owners)}
    mated: dict[str, list[float]] = {rule: [] for rule in RULES}
    others: dict[str, list[float]] = {rule: [] for rule in RULES}
    embedded: dict[str, list[int]] = {rule: [] for rule in RULES}
    widths: list[float] = []
    first = FRESH if condition.photographs == 1 else TWO_PHOTOGRAPHS
    for number, both in enumerate(casts):
        settings = SceneSettings(
            seconds=SECONDS, fps=FPS, seed=first + number, noise=condition.noise, crf=condition.crf, across=0.4
        )
        street = Street(tuple(film(cast, settings) for cast in both))
        seen = walked(pack, street, gallery, condition)
        for walker in both[0].walkers:
            large = [width for width in street.widths(walker.id) if width >= condition.least_face_px]
            if len(large) < 3:
                continue
            widths += large
            for rule in RULES:
                scores = seen[walker.id].scores[rule]
                (mated if walker.listed else others)[rule].append(
                    float(scores[rows[walker.id]] if walker.listed else scores.max())
                )
                embedded[rule].append(seen[walker.id].embeddings[rule])
        say(f"{condition.name}, street {number + 1} of {len(casts)}: {len(mated['fused'])} listed people so far")
    outcomes = {
        rule: Outcome(
            np.array(mated[rule], np.float32), np.array(others[rule], np.float32), float(np.mean(embedded[rule]))
        )
        for rule in RULES
    }
    return outcomes, float(np.median(widths))


def walked(pack: Pack, street: Street, gallery: Gallery, condition: Condition) -> dict[str, Seen]:
    least = condition.least_face_px
    where = [Whereabouts(footage.truth) for footage in street.films]
    seen = {
        walker.id: Seen({rule: np.full(len(gallery.owners), -1, np.float32) for rule in RULES})
        for walker in street.films[0].cast.walkers
    }
    detector, tracker = pack.detector.accepting(smallest_face_px=least, score=0.6), Tracker()
    of_tracks: list[Views] = []
    for number, decoded in street.frames():
        image = np.asarray(cv2.GaussianBlur(decoded, (0, 0), condition.blur), np.uint8) if condition.blur else decoded
        at = BEGAN + timedelta(seconds=number / FPS)
        found = detector.detect(image)
        tracks = tracker.update(found, at)
        large = np.flatnonzero(found.boxes[:, 2] - found.boxes[:, 0] >= least)
        if not len(large):
            continue
        crops = pack.embedder.align(image, found.landmarks[large])
        templates = pack.embedder.embed_crops(crops)
        for face, crop, template in zip(large, crops, templates, strict=True):
            cosines = gallery.templates @ template
            person = where[street.at(number)].person_at(number, found.boxes[face])
            note(seen, "every_frame", [person], np.zeros(len(cosines), np.intp), cosines)
            if person is not None:
                seen[person].embeddings["every_frame"] += 1
            weight = weight_of(crop, found, int(face), least)
            if weight is None:
                continue
            memory = tracks[face].memory
            for name, wants, decides in CHOICES:
                views = memory.setdefault(name, Views())
                assert isinstance(views, Views)
                if name == "product":
                    # Judged above for everybody; the product judges only what is worth a look.
                    looks = worth_a_look(views.chosen, at)
                    views.chosen = views.chosen.after_a_look(at) if looks else views.chosen
                    if not looks:
                        continue
                if not wants(views, weight, at):
                    continue
                if name == "product" and not views.people:
                    of_tracks.append(views)
                views.add(template, cosines, weight, at, person)
                for rule, decide in decides:
                    note(seen, rule, views.people, views.shown(), decide(views))
                    if person is not None:
                        seen[person].embeddings[rule] += 1
    for views in of_tracks:
        best = int(np.argmax(views.weights))
        note(seen, "best_view", [views.people[best]], np.zeros(len(gallery.owners), np.intp), views.cosines[best])
        if (shown := views.people[best]) is not None:
            seen[shown].embeddings["best_view"] += 1
    return seen


def weight_of(crop: Picture, found: Detections, face: int, least_face_px: int) -> float | None:
    """None where the product would not compare this view."""
    quality = assess(crop, found.boxes[face], found.landmarks[face], float(found.scores[face]))
    poor = why_not_comparable(quality, least_face_px=least_face_px, least_sharpness=PROBE_LEAST_SHARPNESS)
    return None if poor else quality.weight


def note(seen: dict[str, Seen], rule: str, people: list[str | None], shown: NDArray[np.intp], scores: Vector) -> None:
    """To each person, what the entries reach for which the person would be shown."""
    for number, person in enumerate(people):
        if person is not None and person in seen:
            theirs = np.where(shown == number, scores, np.float32(-1))
            seen[person].scores[rule] = np.maximum(seen[person].scores[rule], theirs)


def as_the_product(views: Views, weight: float, at: datetime) -> bool:
    return choose_view(views.chosen, weight, at)


def as_before(views: Views, weight: float, at: datetime) -> bool:
    count = len(views.weights)
    return count < 12 and (count < 4 or weight >= 1.15 * max(views.weights))


def any_view(views: Views) -> Vector:
    return np.stack(views.cosines).max(axis=0)


def fused(views: Views) -> Vector:
    return strength(np.stack(views.cosines), np.stack(views.templates))


def mean_template(views: Views) -> Vector:
    """As `fused`, by the cosine of the mean template, which is higher than the mean of the cosines."""
    cosines, templates = np.stack(views.cosines), np.stack(views.templates)
    best = np.full(cosines.shape[1], -1, np.float32)
    for one, other in itertools.combinations(range(len(templates)), 2):
        alike = float(templates[one] @ templates[other])
        if -0.99 < alike <= SAME_PICTURE:
            together = (cosines[one] + cosines[other]) / np.float32(np.sqrt(2 + 2 * alike))
            alone = np.minimum(cosines[one], cosines[other]) + np.float32(SUPPORT)
            np.maximum(best, np.minimum(together, alone), out=best)
    return best


def two_of_three(views: Views) -> Vector:
    best = np.argsort(-np.array(views.weights), kind="stable")[:3]
    cosines = np.stack(views.cosines)[best]
    if len(best) < 2:
        return np.full(cosines.shape[1], -1, np.float32)
    weights = np.array(views.weights)[best]
    mean = np.average(np.stack(views.templates)[best], axis=0, weights=weights)
    together = np.average(cosines, axis=0, weights=weights) / np.linalg.norm(mean)
    return np.asarray(np.minimum(together, np.sort(cosines, axis=0)[-2]), np.float32)


Wants = Callable[[Views, float, datetime], bool]
Decide = Callable[[Views], Vector]
# Each choice of views, and the rules that decide on them.
CHOICES: tuple[tuple[str, Wants, tuple[tuple[str, Decide], ...]], ...] = (
    ("product", as_the_product, (("any_view", any_view), ("mean_template", mean_template), ("fused", fused))),
    ("before", as_before, (("two_of_three", two_of_three),)),
)


def rates(outcomes: dict[str, Outcome], condition: Condition, suggested: float) -> list[dict[str, Any]]:
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


def paired(outcomes: dict[str, Outcome], condition: Condition) -> list[dict[str, Any]]:
    """By how much `fused` finds more of the same listed people than each other rule at the same FPIR."""
    from scipy.stats import binomtest

    rng = np.random.default_rng(20261123)
    ours = outcomes["fused"]
    samples = [
        (
            rng.integers(len(ours.mated), size=len(ours.mated)),
            rng.integers(len(ours.non_mated), size=len(ours.non_mated)),
        )
        for _ in range(RESAMPLES)
    ]
    rows = []
    for rule in RULES[:-1]:
        other = outcomes[rule]
        for fpir in FPIRS:
            here, there = ours.found_at(fpir), other.found_at(fpir)
            if here is None or there is None:
                continue
            more, fewer = int((here & ~there).sum()), int((there & ~here).sum())
            gains = [gain(ours.again(*sample), other.again(*sample), fpir) for sample in samples]
            low, high = np.percentile(gains, [2.5, 97.5])
            rows.append(
                {
                    "condition": condition.name,
                    "against": rule,
                    "at": f"FPIR {fpir:g}",
                    "gain": float(here.mean() - there.mean()),
                    "gain_low": float(low),
                    "gain_high": float(high),
                    "only_fused": more,
                    "only_other": fewer,
                    "mcnemar_p": float(binomtest(more, more + fewer).pvalue) if more + fewer else 1.0,
                }
            )
    return rows


def gain(ours: Outcome, other: Outcome, fpir: float) -> float:
    here, there = ours.found_at(fpir), other.found_at(fpir)
    return 0.0 if here is None or there is None else float(here.mean() - there.mean())


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
