"""What goes in and out at a deployment's edge."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from cordon.deployments.model import MAX_LIST_ENTRIES

_TEXT = validate.Length(1, 5_000)
_LINE = validate.Length(1, 200)


_NOTICES = validate.Length(1, 20)


class TermsSchema(Schema):
    reference = fields.String(required=True, validate=validate.Length(1, 40))
    name = fields.String(required=True, validate=validate.Length(1, 120))
    purpose = fields.String(required=True)
    legal_basis = fields.String(required=True, validate=_TEXT)
    necessity = fields.String(required=True, validate=_TEXT)
    proportionality = fields.String(required=True, validate=_TEXT)
    intelligence_case = fields.String(required=True, validate=_TEXT)
    place_name = fields.String(required=True, validate=_LINE)
    location_reason = fields.String(required=True)
    zone = fields.Dict(required=True)
    cordon_points = fields.Dict()
    window_starts_at = fields.AwareDateTime(required=True)
    window_ends_at = fields.AwareDateTime(required=True)
    categories_sought = fields.List(fields.String(), required=True)
    threshold = fields.Float(required=True, allow_nan=False)
    false_alert_budget = fields.Float(required=True, allow_nan=False)
    dpia_reference = fields.String(required=True, validate=validate.Length(1, 120))
    policy_reference = fields.String(required=True, validate=validate.Length(1, 120))
    community_reference = fields.String(required=True, validate=validate.Length(1, 120))
    community_notices = fields.List(fields.String(validate=_LINE), required=True, validate=_NOTICES)
    marked_exercise = fields.Boolean()
    list_limit = fields.Integer(strict=True)
    adjudication = fields.String()
    adjudication_deadline_s = fields.Integer(strict=True)
    re_alert_s = fields.Integer(strict=True)
    alert_expiry_s = fields.Integer(strict=True)
    minimum_face_px = fields.Integer(strict=True)
    watchlist_retention_h = fields.Integer(strict=True)
    alert_retention_d = fields.Integer(strict=True)


class NewCameraSchema(Schema):
    name = fields.String(required=True, validate=validate.Length(1, 80))
    source_url = fields.String(required=True, validate=validate.Length(1, 500))
    longitude = fields.Float(required=True, allow_nan=False)
    latitude = fields.Float(required=True, allow_nan=False)
    heading_deg = fields.Float(required=True, allow_nan=False, validate=validate.Range(0, 360))
    fov_deg = fields.Float(allow_nan=False, validate=validate.Range(1, 180))
    range_m = fields.Float(allow_nan=False, validate=validate.Range(1, 500))


class PlannedCameraSchema(NewCameraSchema):
    """`id`: that of a camera there is already. Its source stays as it is where none is given."""

    id = fields.String()
    source_url = fields.String(validate=validate.Length(1, 500))


class ChangedTermsSchema(TermsSchema):
    """Any of the terms that a version may change."""

    class Meta:
        exclude = ("reference", "marked_exercise", "cordon_points")


class ChangeSchema(Schema):
    """What is to be otherwise, and why. `cameras`, where given, are all the cameras."""

    changes = fields.Nested(ChangedTermsSchema(partial=True), load_default=dict)
    cameras = fields.List(fields.Nested(PlannedCameraSchema), validate=validate.Length(max=100))
    reason = fields.String(required=True, validate=validate.Length(1, 500))


class HealthSchema(Schema):
    state = fields.String(required=True)
    detail = fields.String(required=True)
    fps = fields.Float(required=True)
    faces_seen = fields.Integer(required=True)
    frames_dropped = fields.Integer(required=True)
    median_face_px = fields.Float(required=True, allow_none=True)
    brightness = fields.Float(required=True, allow_none=True)
    last_frame_at = fields.String(required=True, allow_none=True)


class CameraSchema(Schema):
    id = fields.String(required=True)
    name = fields.String(required=True)
    position = fields.List(fields.Float(), required=True)
    heading_deg = fields.Float(required=True)
    fov_deg = fields.Float(required=True)
    range_m = fields.Float(required=True)
    source_kind = fields.String(required=True)
    health = fields.Nested(HealthSchema, required=True)


class AddedCameraSchema(CameraSchema):
    token = fields.String(required=True)


class PersonSchema(Schema):
    id = fields.String(required=True)
    display_name = fields.String(required=True)
    callsign = fields.String(required=True)


class VersionSchema(Schema):
    """Terms as they were signed or proposed. Cameras without their source address and token."""

    number = fields.Integer(required=True)
    status = fields.String(required=True)
    reason = fields.String(required=True)
    widens = fields.List(fields.String(), required=True)
    terms = fields.Dict(required=True)
    terms_hash = fields.String(required=True)
    proposed_by = fields.Nested(PersonSchema, required=True, allow_none=True)
    proposed_at = fields.String(required=True)
    signed_by = fields.Nested(PersonSchema, required=True, allow_none=True)
    signed_at = fields.String(required=True, allow_none=True)
    ended_at = fields.String(required=True, allow_none=True)


class ProposedSchema(VersionSchema):
    """`tokens`: for each new camera's name what it pushes with, shown this once."""

    tokens = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class SummarySchema(Schema):
    id = fields.String(required=True)
    name = fields.String(required=True)
    reference = fields.String(required=True)
    state = fields.String(required=True)
    window_starts_at = fields.String(required=True)
    window_ends_at = fields.String(required=True)
    purpose = fields.String(required=True)
    place_name = fields.String(required=True)
    member = fields.Boolean(required=True)
    marked_exercise = fields.Boolean(required=True)


class WatchlistCountsSchema(Schema):
    entries = fields.Integer(required=True)
    ready = fields.Integer(required=True)
    refused = fields.Integer(required=True)
    revision = fields.Integer(required=True)


class OperatingPointQuerySchema(Schema):
    list_limit = fields.Integer(required=True, validate=validate.Range(1, MAX_LIST_ENTRIES))
    false_alert_budget = fields.Float(required=True, allow_nan=False, validate=validate.Range(1e-7, 1e-3))


class OperatingPointSchema(Schema):
    """The threshold that the pack's calibration supports for a list and a budget, or the sentence that refuses one."""

    pack = fields.String(required=True)
    scope = fields.String(required=True)
    statement = fields.String(required=True)
    list_limit = fields.Integer(required=True)
    false_alert_budget = fields.Float(required=True)
    threshold = fields.Float(required=True, allow_none=True)
    tpir = fields.Float(required=True, allow_none=True)
    tpir_low = fields.Float(required=True, allow_none=True)
    tpir_high = fields.Float(required=True, allow_none=True)
    fpir_high = fields.Float(required=True, allow_none=True)
    refusal = fields.String(required=True, allow_none=True)


class AcknowledgementSchema(Schema):
    """The statement on the model pack, word for word as it was shown to the authorising officer."""

    acknowledged_statement = fields.String(allow_none=True, validate=validate.Length(max=5_000))


class SearchSchema(Schema):
    """What searches the list and why, as the engine last said."""

    engine = fields.String(required=True)
    reason = fields.String(required=True)
    kernel = fields.String(required=True)
    size = fields.Integer(required=True)
    missed_upper95 = fields.Float(required=True)
    probe_ms = fields.Float(required=True)
    shadow_checked = fields.Integer(required=True)
    shadow_disagreed = fields.Integer(required=True)


class DeploymentSchema(SummarySchema):
    legal_basis = fields.String(required=True)
    necessity = fields.String(required=True)
    proportionality = fields.String(required=True)
    intelligence_case = fields.String(required=True)
    location_reason = fields.String(required=True)
    zone = fields.Dict(required=True)
    cordon_points = fields.Dict(required=True)
    categories_sought = fields.List(fields.String(), required=True)
    list_limit = fields.Integer(required=True)
    threshold = fields.Float(required=True)
    false_alert_budget = fields.Float(required=True)
    adjudication = fields.String(required=True)
    adjudication_deadline_s = fields.Integer(required=True)
    re_alert_s = fields.Integer(required=True)
    alert_expiry_s = fields.Integer(required=True)
    minimum_face_px = fields.Integer(required=True)
    watchlist_retention_h = fields.Integer(required=True)
    alert_retention_d = fields.Integer(required=True)
    dpia_reference = fields.String(required=True)
    policy_reference = fields.String(required=True)
    community_reference = fields.String(required=True)
    community_notices = fields.List(fields.String(), required=True)
    suspended_by_authoriser = fields.Boolean(required=True)
    version = fields.Integer(required=True)
    notice_published_at = fields.String(required=True, allow_none=True)
    signs_confirmed_at = fields.String(required=True, allow_none=True)
    author = fields.Nested(PersonSchema, required=True, allow_none=True)
    signed_by = fields.Nested(PersonSchema, required=True, allow_none=True)
    signed_at = fields.String(required=True, allow_none=True)
    members = fields.List(fields.String(), required=True)
    cameras = fields.List(fields.Nested(CameraSchema), required=True)
    watchlist = fields.Nested(WatchlistCountsSchema, required=True)
    faces_seen = fields.Integer(required=True)
    search = fields.Nested(SearchSchema, required=True, allow_none=True)
    last_seq = fields.Integer(required=True)
    operating_point = fields.Nested(OperatingPointSchema, required=True)


class ReasonSchema(Schema):
    reason = fields.String(required=True, validate=validate.Length(1, 500))


class MembersSchema(Schema):
    user_ids = fields.List(fields.String(), required=True, validate=validate.Length(max=2_000))


class ChoiceSchema(Schema):
    code = fields.String(required=True)
    label = fields.String(required=True)


class OutcomeChoiceSchema(ChoiceSchema):
    truth = fields.String(required=True)


class BoundsSchema(Schema):
    """How large a deployment of this installation may be."""

    cameras = fields.Integer(required=True)
    zone_m2 = fields.Float(required=True)
    window_h = fields.Float(required=True)
    list_entries = fields.Integer(required=True)


class VocabularySchema(Schema):
    bounds = fields.Nested(BoundsSchema, required=True)
    purposes = fields.List(fields.Nested(ChoiceSchema), required=True)
    categories = fields.List(fields.Nested(ChoiceSchema), required=True)
    actions = fields.List(fields.Nested(ChoiceSchema), required=True)
    location_reasons = fields.List(fields.Nested(ChoiceSchema), required=True)
    outcomes = fields.List(fields.Nested(OutcomeChoiceSchema), required=True)
    roles = fields.List(fields.Nested(ChoiceSchema), required=True)
