"""What goes in and out at the alert's edge."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from cordon.alerts.model import Action


class EntryInAlertSchema(Schema):
    id = fields.String()
    reference_number = fields.String()
    display_name = fields.String()
    category = fields.String()
    category_label = fields.String()
    action = fields.String()
    action_label = fields.String()
    reason = fields.String()
    risk_warning = fields.String()
    image_taken_on = fields.String(allow_none=True)
    vulnerable = fields.Boolean()
    under_18 = fields.Boolean()


class ClaimantSchema(Schema):
    id = fields.String(required=True)
    display_name = fields.String(required=True)
    callsign = fields.String(required=True)


class AlertSchema(Schema):
    id = fields.String(required=True)
    number = fields.Integer(required=True)
    kind = fields.String(required=True)
    state = fields.String(required=True)
    result = fields.String(required=True, allow_none=True)
    verified = fields.Boolean(required=True)
    camera_id = fields.String(required=True)
    camera_name = fields.String(required=True)
    position = fields.List(fields.Float(), required=True, allow_none=True)
    direction = fields.String(required=True)
    score = fields.Float(required=True)
    threshold = fields.Float(required=True)
    hits = fields.Integer(required=True)
    first_seen_at = fields.String(required=True)
    last_seen_at = fields.String(required=True)
    raised_at = fields.String(required=True)
    deadline_at = fields.String(required=True)
    expires_at = fields.String(required=True)
    entry = fields.Nested(EntryInAlertSchema, required=True)
    quality = fields.Dict(required=True)
    adjudications = fields.List(fields.Dict(), required=True)
    claimed_by = fields.Nested(ClaimantSchema, required=True, allow_none=True)
    seen_by = fields.List(fields.String(), required=True)
    declined_by = fields.List(fields.String(), required=True)
    outcome = fields.String(required=True, allow_none=True)
    outcome_label = fields.String(required=True, allow_none=True)
    note = fields.String(required=True, allow_none=True)
    corrections = fields.List(fields.Dict(), required=True)
    last_seq = fields.Integer(required=True)


class AlertsSchema(Schema):
    alerts = fields.List(fields.Nested(AlertSchema), required=True)
    last_seq = fields.Integer(required=True)


class PicturesSchema(Schema):
    reference_urls = fields.List(fields.String(), required=True)
    probe_url = fields.String(required=True, allow_none=True)
    context_url = fields.String(required=True, allow_none=True)
    view_urls = fields.List(fields.String(), required=True)
    expires_at = fields.String(required=True)


class ActionSchema(Schema):
    action = fields.String(required=True, validate=validate.OneOf([action.value for action in Action]))
    made_at = fields.AwareDateTime(required=True)
    outcome = fields.String(allow_none=True)
    note = fields.String(allow_none=True, validate=validate.Length(max=2_000))
    reason = fields.String(allow_none=True, validate=validate.Length(max=500))
    user_id = fields.String(allow_none=True)


class EventSchema(Schema):
    seq = fields.Integer(required=True)
    deployment_id = fields.String(required=True)
    alert_id = fields.String(required=True, allow_none=True)
    kind = fields.String(required=True)
    at = fields.String(required=True)
    made_at = fields.String(required=True)
    actor = fields.Nested(ClaimantSchema, required=True, allow_none=True)
    data = fields.Dict(required=True)


class ActionTakenSchema(Schema):
    event = fields.Nested(EventSchema, required=True, allow_none=True)
    alert = fields.Nested(AlertSchema, required=True)


class EventsSchema(Schema):
    events = fields.List(fields.Nested(EventSchema), required=True)
    last_seq = fields.Integer(required=True)


class AfterSchema(Schema):
    after = fields.Integer(load_default=0, validate=validate.Range(min=0))
    limit = fields.Integer(load_default=500, validate=validate.Range(1, 1_000))
