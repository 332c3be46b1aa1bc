"""What the model pack in use may serve: its licence, its calibration, and the threshold that follows from a budget.

No operation without all three: a licence that allows one, a calibration that vouches for the threshold, and the
authoriser's acknowledgement, word for word, of what both of them say.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cordon.evaluation.calibration import (
    Calibration,
    CalibrationUnreadable,
    NotSupported,
    OperatingPoint,
    from_json,
    threshold_for,
)
from cordon.vision.packs import PackManifest

OPERATIONAL, EXERCISE = "operational", "exercise"


@dataclass(frozen=True)
class PackStanding:
    """trouble: why the calibration that is there cannot be used, a sentence; None where there is none or it can."""

    label: str
    licence: str
    licence_scope: str
    calibration: Calibration | None = None
    trouble: str | None = None

    @staticmethod
    def of(manifest: PackManifest) -> PackStanding:
        calibration: Calibration | None = None
        trouble: str | None = None
        if manifest.calibration is not None:
            try:
                calibration = from_json(manifest.calibration)
            except CalibrationUnreadable as unreadable:
                trouble = str(unreadable)
        if calibration is not None and calibration.pack != manifest.label:
            trouble = f"The calibration is one of {calibration.pack}, not of {manifest.label}."
            calibration = None
        return PackStanding(manifest.label, manifest.licence, manifest.licence_scope, calibration, trouble)

    @property
    def scope(self) -> str:
        """Operational only where the licence allows it and somebody has measured the pack (design.md, decision 5)."""
        licensed = self.licence_scope == OPERATIONAL
        return OPERATIONAL if licensed and self.calibration is not None else EXERCISE

    @property
    def statement(self) -> str:
        """What the authoriser reads and acknowledges before an operation."""
        measured = self.trouble or "It has not been calibrated here."
        if self.calibration is not None:
            measured = self.calibration.summary
        return f"Model pack {self.label}. Licence: {self.licence}. {measured}"

    def operating_point(self, list_limit: int, false_alert_budget: float) -> OperatingPoint:
        """Raises NotSupported, with the sentence, where there is no calibration or it does not reach that far."""
        if self.calibration is None:
            sentence = self.trouble or f"The model pack {self.label} is not calibrated: no threshold can be derived."
            raise NotSupported(sentence, 1.0, 0)
        return threshold_for(self.calibration, list_limit, false_alert_budget)

    def shown(self, list_limit: int, false_alert_budget: float) -> dict[str, Any]:
        """The operating point for a screen: a threshold and what it finds, or the refusal."""
        answer: dict[str, Any] = {
            "pack": self.label,
            "scope": self.scope,
            "statement": self.statement,
            "list_limit": list_limit,
            "false_alert_budget": false_alert_budget,
            "threshold": None,
            "tpir": None,
            "tpir_low": None,
            "tpir_high": None,
            "fpir_high": None,
            "refusal": None,
        }
        try:
            point = self.operating_point(list_limit, false_alert_budget)
        except NotSupported as refused:
            return {**answer, "refusal": refused.sentence}
        return {
            **answer,
            "threshold": point.threshold,
            "tpir": point.tpir,
            "tpir_low": point.tpir_low,
            "tpir_high": point.tpir_high,
            "fpir_high": point.fpir_high,
        }

    def signed(self, point: OperatingPoint | None, acknowledged: bool) -> dict[str, Any]:
        """What goes under the signature. The digest names the calibration, which may be replaced later."""
        digest = None
        if self.calibration is not None:
            digest = hashlib.sha256(json.dumps(self.calibration.to_json(), sort_keys=True).encode()).hexdigest()
        return {
            "label": self.label,
            "statement": self.statement,
            "acknowledged": acknowledged,
            "calibration_sha256": digest,
            "derived_threshold": None if point is None else point.threshold,
            "tpir": None if point is None else [point.tpir, point.tpir_low, point.tpir_high],
        }
