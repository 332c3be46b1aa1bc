/** Complete alerts and events for tests, so that a test names only what it is about. */
import type { Alert, DeploymentEvent } from '../api/types';

export function sampleAlert(over: Partial<Alert> = {}): Alert {
  return {
    id: 'a1',
    number: 1,
    kind: 'subject',
    state: 'dispatched',
    result: null,
    verified: true,
    camera_id: 'c1',
    camera_name: 'North End 1',
    position: [-0.1, 51.4],
    direction: 'left',
    score: 0.6,
    threshold: 0.42,
    hits: 1,
    first_seen_at: '2026-11-23T10:00:00Z',
    last_seen_at: '2026-11-23T10:00:05Z',
    raised_at: '2026-11-23T10:00:05Z',
    deadline_at: '2026-11-23T10:00:35Z',
    expires_at: '2026-11-23T10:30:05Z',
    entry: {
      id: 'e1',
      reference_number: 'CRO/1',
      display_name: 'A Person',
      category: 'wanted_arrest',
      category_label: 'Wanted on suspicion of an offence',
      action: 'arrest',
      action_label: 'Arrest',
      reason: 'Robbery',
      risk_warning: '',
      image_taken_on: null,
      vulnerable: false,
      under_18: false,
    },
    quality: { face_px: 90, sharpness: 100, yaw_deg: 5, detector_score: 0.9 },
    adjudications: [],
    claimed_by: null,
    seen_by: [],
    declined_by: [],
    outcome: null,
    outcome_label: null,
    note: null,
    corrections: [],
    last_seq: 1,
    ...over,
  };
}

export function sampleEvent(seq: number, alert: Alert = sampleAlert({ last_seq: seq })): DeploymentEvent {
  return {
    seq,
    deployment_id: 'd1',
    alert_id: alert.id,
    kind: 'dispatched',
    at: '2026-11-23T10:00:05Z',
    made_at: null,
    actor: null,
    data: { alert },
  };
}
