"""How a deployment's record leaves Cordon."""

from __future__ import annotations

from marshmallow import Schema, fields


class SpreadSchema(Schema):
    median = fields.Float(required=True)
    max = fields.Float(required=True)


class RateSchema(Schema):
    false_alerts = fields.Integer(required=True)
    faces = fields.Integer(required=True)
    rate = fields.Float(required=True)
    low = fields.Float(required=True)
    high = fields.Float(required=True)
    confidence = fields.Float(required=True)


class CategorySchema(Schema):
    code = fields.String(required=True)
    label = fields.String(required=True)
    entries = fields.Integer(required=True)


class CameraFiguresSchema(Schema):
    id = fields.String(required=True)
    name = fields.String(required=True)
    faces_seen = fields.Integer(required=True)


class ReferencesSchema(Schema):
    dpia = fields.String(required=True)
    policy = fields.String(required=True)
    community = fields.String(required=True)


class CertificateSchema(Schema):
    id = fields.String(required=True)
    holding = fields.String(required=True)
    deadline = fields.String(required=True)
    purged_at = fields.String(required=True)
    counts = fields.Dict(required=True)


class PurgeSchema(Schema):
    complete = fields.Boolean(required=True)
    certificates = fields.List(fields.Nested(CertificateSchema), required=True)


class ChainStandingSchema(Schema):
    records = fields.Integer(required=True)
    intact = fields.Boolean(required=True)


class RecordSchema(Schema):
    id = fields.String(required=True)
    reference = fields.String(required=True)
    name = fields.String(required=True)
    state = fields.String(required=True)
    marked_exercise = fields.Boolean(required=True)
    purpose = fields.String(required=True)
    purpose_label = fields.String(required=True)
    legal_basis = fields.String(required=True)
    necessity = fields.String(required=True)
    place_name = fields.String(required=True)
    location_reason_label = fields.String(required=True)
    categories_sought = fields.List(fields.String(), required=True)
    references = fields.Nested(ReferencesSchema, required=True)
    window_starts_at = fields.String(required=True)
    window_ends_at = fields.String(required=True)
    signed_at = fields.String(required=True, allow_none=True)
    signed_terms_hash = fields.String(required=True, allow_none=True)
    notice_published_at = fields.String(required=True, allow_none=True)
    signs_confirmed_at = fields.String(required=True, allow_none=True)
    opened_at = fields.String(required=True, allow_none=True)
    closed_at = fields.String(required=True, allow_none=True)
    threshold = fields.Float(required=True)
    false_alert_budget = fields.Float(required=True)
    watchlist_retention_h = fields.Integer(required=True)
    alert_retention_d = fields.Integer(required=True)
    list_size = fields.Integer(required=True)
    list_make_up = fields.List(fields.Nested(CategorySchema), required=True)
    test_subjects = fields.Integer(required=True)
    removed_while_live = fields.Integer(required=True)
    refused_pictures = fields.Integer(required=True)
    faces_seen = fields.Integer(required=True)
    cameras = fields.List(fields.Nested(CameraFiguresSchema), required=True)
    alerts = fields.Integer(required=True)
    test_subject_alerts = fields.Integer(required=True)
    true_alerts = fields.Integer(required=True)
    confirmed_true_alerts = fields.Integer(required=True)
    false_alerts = fields.Integer(required=True)
    confirmed_false_alerts = fields.Integer(required=True)
    undetermined_alerts = fields.Integer(required=True)
    by_result = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    by_outcome = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    fpir = fields.Nested(RateSchema, required=True, allow_none=True)
    adjudication_s = fields.Nested(SpreadSchema, required=True, allow_none=True)
    dispatch_to_claim_s = fields.Nested(SpreadSchema, required=True, allow_none=True)
    purge = fields.Nested(PurgeSchema, required=True, allow_none=True)
    audit = fields.Nested(ChainStandingSchema, required=True)
