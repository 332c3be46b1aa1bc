"""What goes in and out at people's edge."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from cordon.people.model import Role


class SignInSchema(Schema):
    username = fields.String(required=True, validate=validate.Length(1, 80))
    password = fields.String(required=True, validate=validate.Length(1, 200))


class StepUpSchema(Schema):
    password = fields.String(required=True, validate=validate.Length(1, 200))


class UserSchema(Schema):
    id = fields.String(required=True)
    username = fields.String(required=True)
    display_name = fields.String(required=True)
    callsign = fields.String(required=True)
    roles = fields.List(fields.String(), required=True)


class SessionSchema(Schema):
    user = fields.Nested(UserSchema, required=True)
    csrf_token = fields.String(required=True)
    expires_at = fields.String(required=True)


class NewUserSchema(Schema):
    username = fields.String(required=True, validate=validate.Regexp(r"^[a-z0-9][a-z0-9._-]{1,78}$"))
    display_name = fields.String(required=True, validate=validate.Length(1, 120))
    callsign = fields.String(required=True, validate=validate.Length(1, 40))
    password = fields.String(required=True, validate=validate.Length(12, 200))
    roles = fields.List(
        fields.String(validate=validate.OneOf([role.value for role in Role])),
        required=True,
        validate=validate.Length(min=1),
    )


class PositionSchema(Schema):
    lon = fields.Float(required=True)
    lat = fields.Float(required=True)
    accuracy_m = fields.Float(required=True)
    at = fields.String(required=True)


class NewPositionSchema(Schema):
    lon = fields.Float(required=True, allow_nan=False)
    lat = fields.Float(required=True, allow_nan=False)
    accuracy_m = fields.Float(required=True, allow_nan=False)
    at = fields.AwareDateTime(required=True)


class DutySchema(Schema):
    on = fields.Boolean(required=True)


class TeamMemberSchema(Schema):
    user_id = fields.String(required=True)
    display_name = fields.String(required=True)
    callsign = fields.String(required=True)
    roles = fields.List(fields.String(), required=True)
    on_duty = fields.Boolean(required=True)
    last_seen_at = fields.String(required=True, allow_none=True)
    position = fields.Nested(PositionSchema, required=True, allow_none=True)
    received_seq = fields.Integer(required=True)
