/** What the server sends and takes: the REST and Socket.IO contract, in the field's words. */

export type Role =
  | 'officer'
  | 'operator'
  | 'coordinator'
  | 'authoriser'
  | 'watchlist_manager'
  | 'auditor'
  | 'administrator';

export interface User {
  id: string;
  username: string;
  display_name: string;
  callsign: string | null;
  roles: Role[];
}

export interface Session {
  user: User;
  csrf_token: string;
  expires_at: string;
}

export interface Installation {
  name: string;
  version: string;
  pack: { name: string; licence: string; licence_scope: string; notice: string | null };
}

export interface Term {
  code: string;
  label: string;
}

export interface OutcomeTerm extends Term {
  truth: 'true' | 'false' | 'none';
}

export interface Vocabulary {
  purposes: Term[];
  categories: Term[];
  actions: Term[];
  outcomes: OutcomeTerm[];
  location_reasons: Term[];
  roles: Term[];
  bounds: { cameras: number; zone_m2: number; window_h: number; list_entries: number };
}

/** Terms as they were signed, or as somebody proposes them. */
export interface TermsVersion {
  number: number;
  status: 'proposed' | 'in_force' | 'replaced' | 'withdrawn';
  reason: string;
  widens: string[];
  terms_hash: string;
  proposed_by: Person | null;
  proposed_at: string;
  signed_by: Person | null;
  signed_at: string | null;
}

export interface DeploymentSummary {
  id: string;
  name: string;
  reference: string;
  state: string;
  window_starts_at: string;
  window_ends_at: string;
  purpose: string;
  member: boolean;
  marked_exercise: boolean;
}

/** Longitude, latitude in WGS84 degrees. */
export type Position = [number, number];

export interface PolygonGeometry {
  type: 'Polygon';
  coordinates: Position[][];
}

export interface PointFeature {
  type: 'Feature';
  geometry: { type: 'Point'; coordinates: Position };
  properties: { name?: string; [key: string]: unknown } | null;
}

export interface PointCollection {
  type: 'FeatureCollection';
  features: PointFeature[];
}

export type CameraState = 'not_started' | 'connecting' | 'live' | 'lost' | 'refused';

export interface CameraHealth {
  state: CameraState;
  detail: string | null;
  fps: number | null;
  faces_seen: number;
  frames_dropped: number;
  median_face_px: number | null;
  brightness: number | null;
  last_frame_at: string | null;
}

export interface Camera {
  id: string;
  name: string;
  position: Position;
  heading_deg: number;
  fov_deg: number;
  range_m: number;
  source_kind?: string;
  health: CameraHealth;
}

export interface Person {
  id: string;
  display_name?: string;
  callsign?: string | null;
}

/** What searches the list and why, and what the live check against exact search found. */
export interface SearchReport {
  engine: 'annoy' | 'exact';
  reason: string;
  kernel: string;
  size: number;
  missed_upper95: number;
  probe_ms: number;
  shadow_checked: number;
  shadow_disagreed: number;
}

/** The threshold that the pack's calibration supports for a list and a budget, or why there is none. */
export interface OperatingPoint {
  pack: string;
  scope: string;
  /** What an authorising officer acknowledges, word for word. */
  statement: string;
  list_limit: number;
  false_alert_budget: number;
  threshold: number | null;
  tpir: number | null;
  tpir_low: number | null;
  tpir_high: number | null;
  fpir_high: number | null;
  refusal: string | null;
}

export interface Deployment extends DeploymentSummary {
  legal_basis: string;
  necessity: string;
  proportionality: string;
  intelligence_case: string;
  place_name: string;
  location_reason: string;
  zone: PolygonGeometry | null;
  cordon_points: PointCollection | null;
  categories_sought: string[];
  list_limit: number;
  threshold: number;
  false_alert_budget: number;
  adjudication: 'adjudicate_first' | 'parallel';
  adjudication_deadline_s: number;
  re_alert_s: number;
  watchlist_retention_h: number;
  alert_retention_d: number;
  dpia_reference: string;
  policy_reference: string;
  community_reference: string;
  community_notices: string[];
  suspended_by_authoriser: boolean;
  notice_published_at: string | null;
  signs_confirmed_at: string | null;
  author: Person | null;
  signed_by: Person | null;
  signed_at: string | null;
  version: number;
  members: string[];
  cameras: Camera[];
  watchlist: { entries: number; ready: number; refused: number; revision: number };
  faces_seen: number;
  search: SearchReport | null;
  last_seq: number;
  operating_point: OperatingPoint;
}

export interface Fix {
  lon: number;
  lat: number;
  accuracy_m: number | null;
  at?: string;
}

export interface TeamMember {
  user_id: string;
  display_name: string;
  callsign: string | null;
  roles: Role[];
  on_duty: boolean;
  last_seen_at: string | null;
  position: Fix | null;
}

export type AlertState = 'raised' | 'dispatched' | 'claimed' | 'engaged' | 'closed';
export type AlertResult = 'dismissed' | 'not_the_person' | 'outcome' | 'expired';
export type Decision = 'confirm' | 'dismiss' | 'cannot_tell';
export type Direction = 'left' | 'right' | 'towards' | 'away' | 'unknown';

export interface AlertEntry {
  id: string;
  reference_number: string;
  display_name: string;
  category: string;
  category_label: string;
  action: string;
  action_label: string;
  reason: string;
  risk_warning: string | null;
  image_taken_on: string | null;
  vulnerable: boolean;
  under_18: boolean;
}

export interface Alert {
  id: string;
  number: number;
  kind: 'subject' | 'test_subject';
  state: AlertState;
  result: AlertResult | null;
  verified: boolean;
  camera_id: string;
  camera_name: string;
  position: Position | null;
  direction: Direction;
  score: number;
  threshold: number;
  hits: number;
  first_seen_at: string;
  last_seen_at: string;
  raised_at: string;
  deadline_at: string | null;
  expires_at: string | null;
  entry: AlertEntry;
  quality: { face_px?: number; sharpness?: number; yaw_deg?: number; detector_score?: number };
  adjudications: { by: Person; decision: Decision; at: string }[];
  claimed_by: Person | null;
  seen_by: string[];
  declined_by: string[];
  outcome: string | null;
  outcome_label: string | null;
  note: string | null;
  corrections: { by: Person; at: string; outcome: string; reason: string }[];
  last_seq: number;
}

export interface DeploymentEvent {
  seq: number;
  deployment_id: string;
  alert_id: string | null;
  kind: string;
  at: string;
  made_at: string | null;
  actor: Person | null;
  data: { alert?: Alert; [key: string]: unknown };
}

export interface Pictures {
  reference_urls: string[];
  probe_url: string | null;
  context_url: string | null;
  view_urls: string[];
  expires_at: string;
}

export type AlertAction =
  | Decision
  | 'seen'
  | 'claim'
  | 'decline'
  | 'lost_sight'
  | 'engage'
  | 'not_the_person'
  | 'outcome'
  | 'correct'
  | 'assign';

export interface ActionRequest {
  action: AlertAction;
  made_at: string;
  note?: string;
  outcome?: string;
  reason?: string;
  user_id?: string;
}

export interface ActionResponse {
  event: DeploymentEvent | null;
  alert: Alert | null;
}

export interface WatchlistEntry {
  id: string;
  reference_number: string;
  display_name: string;
  category: string;
  action: string;
  reason: string;
  risk_warning: string | null;
  kind: 'subject' | 'test_subject';
  status: 'enrolling' | 'ready' | 'refused' | 'removed';
  refusal: string | null;
  image_taken_on: string | null;
  picture_url: string | null;
}

export interface Spread {
  median: number | null;
  max: number | null;
}

export interface PurgeCertificate {
  id: string;
  holding: string;
  deadline: string;
  purged_at: string;
  counts: Record<string, number>;
}

/** A rate over faces seen, with its interval at the given confidence. */
export interface Rate {
  false_alerts: number;
  faces: number;
  rate: number;
  low: number;
  high: number;
  confidence: number;
}

export interface DeploymentRecord {
  list_size: number;
  list_make_up: { code: string; label: string; entries: number }[];
  faces_seen: number;
  alerts: number;
  true_alerts: number;
  false_alerts: number;
  undetermined_alerts: number;
  by_outcome: Record<string, number>;
  by_result: Record<string, number>;
  fpir: Rate | null;
  adjudication_s: Spread | null;
  dispatch_to_claim_s: Spread | null;
  cameras: { id: string; name: string; faces_seen: number }[];
  purge: { complete: boolean; certificates: PurgeCertificate[] } | null;
  audit: { records: number; intact: boolean };
}

export interface AuditRecord {
  number: number;
  at: string;
  actor: string;
  action: string;
  object: string | null;
  detail: unknown;
  hash: string;
}

export interface AuditTrail {
  records: AuditRecord[];
  intact: boolean;
  broken_at?: number | null;
  reason?: string | null;
}

export interface Problem {
  title: string;
  status: number;
  detail: string;
  code: string;
  errors?: Record<string, unknown>;
}

export interface PresenceMessage {
  deployment_id: string;
  user_id: string;
  callsign: string | null;
  display_name: string;
  on_duty: boolean;
  position: Fix | null;
  at: string;
}

export interface HealthMessage {
  deployment_id: string;
  cameras: (CameraHealth & { id: string })[];
  faces_seen: number;
  search: SearchReport | null;
}

export interface JoinReply {
  ok: boolean;
  last_seq: number;
}

export interface NewUser {
  username: string;
  display_name: string;
  callsign: string;
  password: string;
  roles: Role[];
}
