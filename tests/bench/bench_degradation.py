"""What poor pictures do: each degradation's share refused, TPIR and FPIR, of probes, of references, and of both.

The list is the first picture of each of LFW's identities with two or more (450), the mated probes are their other
pictures, the non-mated ones the pictures of the 700 others. Each picture is spoilt (tests/degradations.py), its face found, judged as
the engine judges probes and as the watchlist judges references, and searched one picture at a time: tracks, which need
several views to agree, are not in these figures. Under `of` is what is poor: the probe, the list, or both, and only
there is the gate in force: whom else it would refuse stands in the lines `as taken`. Rates are shares of all pictures
shown, a refused one being a miss; what the gate does is the difference to the columns `ungated`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import SHORT, THREADS, begin, clopper_pearson, missing, report, say

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cordon.evaluation.protocol import central_face, identity_folder
from cordon.vision.enrol import why_no_reference, why_unreliable
from cordon.vision.faces import Detections
from cordon.vision.images import decode_image
from cordon.vision.packs import Pack, load_pack
from cordon.vision.quality import (
    PROBE_LEAST_SHARPNESS,
    REFERENCE_LEAST_FACE_PX,
    REFERENCE_LEAST_SHARPNESS,
    FaceQuality,
    assess,
    why_not_comparable,
)
from degradations import DEGRADATIONS, Degradation

# A deployment's default (`minimum_face_px`).
PROBE_LEAST_FACE_PX = 40
DETECTED_FROM_PX = 20
FPIR_POINT = 0.01
SHORT_IDENTITIES = 30


@dataclass(frozen=True)
class Views:
    """N pictures. templates: (N, D), NaN without a face. as_probe, as_reference: (N,) whether the gate lets it pass.
    reasons: (N,) why not, as a probe. yaw: (N,) degrees, NaN without a face."""

    templates: np.ndarray
    as_probe: np.ndarray
    as_reference: np.ndarray
    reasons: list[str]
    yaw: np.ndarray


@dataclass(frozen=True)
class Rates:
    """accepted: share of the pictures that pass the gate. tpir, fpir: of all shown. false_alerts: non-mated probes, and
    mated ones for whom somebody else was alerted."""

    accepted: float
    tpir: float
    fpir: float
    fpir_high: float
    fpir_of_accepted: float
    false_alerts: int


@dataclass(frozen=True)
class Photograph:
    person: int
    role: str
    picture: np.ndarray
    box: np.ndarray
    landmarks: np.ndarray


def main() -> None:
    begin()
    if names := missing("CORDON_MODELS", "CORDON_FACES"):
        raise SystemExit(f"NOT RUN: set {' and '.join(names)}.")
    pack = load_pack("light", threads=THREADS)
    photographs = photographed(pack, identity_folder(Path(os.environ["CORDON_FACES"])))
    gallery = np.array([one.role == "reference" for one in photographs])
    mated = np.array([one.role == "mated" for one in photographs])
    non_mated = np.array([one.role == "non-mated" for one in photographs])
    person = np.array([one.person for one in photographs])
    clean = views_of(pack, photographs, DEGRADATIONS[0])
    strangers = best_of(clean.templates[non_mated], clean.templates[gallery])[0]
    points = {f"{pack.manifest.suggested_threshold:g}": pack.manifest.suggested_threshold}
    points["1 %"] = float(np.quantile(strangers, 1 - FPIR_POINT, method="higher"))
    say(f"{gallery.sum()} on the list, {mated.sum()} mated and {non_mated.sum()} non-mated probes; points {points}")
    rows = []
    for degradation in DEGRADATIONS:
        poor = clean if degradation is DEGRADATIONS[0] else views_of(pack, photographs, degradation)
        for arm in ("probe", "reference", "both"):
            probes = poor if arm in {"probe", "both"} else clean
            references = poor if arm in {"reference", "both"} else clean
            for point, threshold in points.items():
                ungated, gated = (
                    rates(probes, references, gallery, mated, non_mated, person, threshold, gate) for gate in ("", arm)
                )
                shown = gallery if arm == "reference" else mated | non_mated
                passed = poor.as_reference if arm == "reference" else poor.as_probe
                rows.append(
                    {
                        "degradation": degradation.name,
                        "of": arm,
                        "point": point,
                        "refused": 1 - float(passed[shown].mean()),
                        "tpir": gated.tpir,
                        "fpir": gated.fpir,
                        "fpir_high": gated.fpir_high,
                        "fpir_of_accepted": gated.fpir_of_accepted,
                        "false_alerts": gated.false_alerts,
                        "tpir_ungated": ungated.tpir,
                        "fpir_ungated": ungated.fpir,
                        "false_ungated": ungated.false_alerts,
                        "mostly": mostly(poor.reasons, shown) if arm == "probe" else None,
                    }
                )
        latest = next(row for row in reversed(rows) if row["of"] in {"probe"})
        say(
            f"{degradation.name}: {latest['refused']:.1%} refused, TPIR {latest['tpir']:.3f}, FPIR {latest['fpir']:.4f}"
        )
    rows += really_turned(clean, gallery, mated, non_mated, person, points)
    report(
        "degradation",
        {
            "faces": "LFW",
            "pack": pack.label,
            "list": int(gallery.sum()),
            "mated": int(mated.sum()),
            "non_mated": int(non_mated.sum()),
            "points": points,
            "probe_least_face_px": PROBE_LEAST_FACE_PX,
            "probe_least_sharpness": PROBE_LEAST_SHARPNESS,
            "reference_least_face_px": REFERENCE_LEAST_FACE_PX,
            "reference_least_sharpness": REFERENCE_LEAST_SHARPNESS,
        },
        rows,
    )


def photographed(pack: Pack, folder: Path) -> list[Photograph]:
    """Every picture with the face that is meant; the box and landmarks are those found in the picture as it was taken."""
    detector = pack.detector.accepting(smallest_face_px=DETECTED_FROM_PX, score=0.6)
    taken = []
    counts = {"several": 0, "one": 0}
    for number, person in enumerate(sorted(folder.iterdir())):
        files = sorted(person.glob("*.jpg"), key=lambda path: int(path.stem))
        kind = "several" if len(files) > 1 else "one"
        counts[kind] += 1
        if SHORT and counts[kind] > SHORT_IDENTITIES:
            continue
        for at, path in enumerate(files):
            picture = decode_image(path.read_bytes())
            found = detector.detect(picture)
            chosen = central_face(found, *picture.shape[:2])
            if chosen is None:
                continue
            role = "non-mated" if len(files) == 1 else "mated" if at else "reference"
            taken.append(Photograph(number, role, picture, found.boxes[chosen], found.landmarks[chosen]))
    return taken


def views_of(pack: Pack, photographs: list[Photograph], degradation: Degradation) -> Views:
    detector = pack.detector.accepting(smallest_face_px=DETECTED_FROM_PX, score=0.6)
    crops, qualities = [], []
    for one in photographs:
        picture = degradation.spoil(one.picture, one.box, one.landmarks)
        found: Detections = detector.detect(picture)
        chosen = central_face(found, *picture.shape[:2])
        if chosen is None:
            crops.append(None)
            qualities.append(None)
            continue
        crop = pack.embedder.align(picture, found.landmarks[chosen : chosen + 1])[0]
        crops.append(crop)
        qualities.append(assess(crop, found.boxes[chosen], found.landmarks[chosen], float(found.scores[chosen])))
    templates = np.full((len(photographs), pack.embedder.dimension), np.nan, np.float32)
    seen = np.array([crop is not None for crop in crops])
    if seen.any():
        templates[seen] = pack.embedder.embed_crops(np.stack([crop for crop in crops if crop is not None]))
    as_probe = [reason_against_probe(quality) for quality in qualities]
    as_reference = [
        one.role == "reference" and is_reference(pack, crop, template, quality)
        for one, crop, template, quality in zip(photographs, crops, templates, qualities, strict=True)
    ]
    return Views(
        templates,
        np.array([not reason for reason in as_probe]),
        np.array(as_reference),
        as_probe,
        np.array([np.nan if quality is None else quality.yaw_deg for quality in qualities]),
    )


def reason_against_probe(quality: FaceQuality | None) -> str:
    """Its code; empty if the view is good enough."""
    if quality is None:
        return "no_face"
    reason = why_not_comparable(quality, least_face_px=PROBE_LEAST_FACE_PX, least_sharpness=PROBE_LEAST_SHARPNESS)
    return reason[0] if reason else ""


def is_reference(pack: Pack, crop: np.ndarray | None, template: np.ndarray, quality: FaceQuality | None) -> bool:
    if crop is None or quality is None or why_no_reference(quality) is not None:
        return False
    return why_unreliable(pack, crop, template) is None


def best_of(probes: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The highest cosine of each probe and its row in the gallery; what has no template scores −1."""
    cosines = probes @ gallery.T
    cosines = np.where(np.isfinite(cosines), cosines, -1)
    return cosines.max(axis=1), cosines.argmax(axis=1)


def rates(
    probes: Views,
    references: Views,
    gallery: np.ndarray,
    mated: np.ndarray,
    non_mated: np.ndarray,
    person: np.ndarray,
    threshold: float,
    gate: str,
) -> Rates:
    """`gate`: whose gate is in force: of the "probe", the "reference", "both", or none: then everybody with a face."""
    held = references.templates[gallery].copy()
    if gate in {"reference", "both"}:
        held[~references.as_reference[gallery]] = np.nan
    best, at = best_of(probes.templates, held)
    passed = probes.as_probe if gate in {"probe", "both"} else np.isfinite(probes.templates[:, 0])
    alert = passed & (best >= threshold)
    right = alert & (person[gallery][at] == person)
    false_alerts, shown = int((alert & non_mated).sum()), int(non_mated.sum())
    accepted = int((passed & non_mated).sum())
    return Rates(
        float(passed[mated | non_mated].mean()),
        float(right[mated].mean()),
        false_alerts / shown,
        clopper_pearson(false_alerts, shown)[1],
        false_alerts / accepted if accepted else float("nan"),
        false_alerts + int((alert & ~right & mated).sum()),
    )


def mostly(reasons: list[str], shown: np.ndarray) -> str | None:
    """The commonest reason of those refused."""
    given = [reason for reason, one in zip(reasons, shown, strict=True) if one and reason]
    return max(set(given), key=given.count) if given else None


def really_turned(
    clean: Views, gallery: np.ndarray, mated: np.ndarray, non_mated: np.ndarray, person: np.ndarray, points: dict
) -> list[dict]:
    """LFW's own faces by how far they look to the side, without the gate."""
    rows = []
    for low, high in ((0, 15), (15, 25), (25, 35), (35, 90)):
        within = (clean.yaw >= low) & (clean.yaw < high)
        if not (within & mated).any() or not (within & non_mated).any():
            continue
        for point, threshold in points.items():
            found = rates(clean, clean, gallery, mated & within, non_mated & within, person, threshold, "")
            rows.append(
                {
                    "degradation": f"real, {low}–{high}° ({(mated & within).sum()} + {(non_mated & within).sum()})",
                    "of": "probe",
                    "point": point,
                    "tpir_ungated": found.tpir,
                    "fpir_ungated": found.fpir,
                    "false_ungated": found.false_alerts,
                }
            )
    return rows


if __name__ == "__main__":
    main()
