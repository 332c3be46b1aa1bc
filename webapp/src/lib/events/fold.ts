/**
 * What a screen shows is a fold over a deployment's numbered events; nothing depends on having been connected.
 * Events may arrive twice, late or out of order: each number is applied once, in order, and a gap is kept visible
 * (`waiting` is not empty) until the missing numbers have been fetched.
 */
import type { Alert, DeploymentEvent } from '../api/types';

export interface FoldState {
  /** Every event up to this number has been applied. */
  readonly lastSeq: number;
  readonly alerts: ReadonlyMap<string, Alert>;
  /** Events that arrived ahead of a missing number, by number. */
  readonly waiting: ReadonlyMap<number, DeploymentEvent>;
}

export interface FoldStep {
  readonly state: FoldState;
  /** The events that this step applied, in order. */
  readonly applied: readonly DeploymentEvent[];
}

export const EMPTY: FoldState = { lastSeq: 0, alerts: new Map(), waiting: new Map() };

function withAlert(alerts: ReadonlyMap<string, Alert>, alert: Alert): ReadonlyMap<string, Alert> {
  const known = alerts.get(alert.id);
  if (known && known.last_seq >= alert.last_seq) return alerts;
  return new Map(alerts).set(alert.id, alert);
}

/** Start from the server's own fold. What already waits beyond it is kept, and applied where it now fits. */
export function fromSnapshot(alerts: readonly Alert[], lastSeq: number, earlier: FoldState = EMPTY): FoldStep {
  if (lastSeq < earlier.lastSeq) return { state: earlier, applied: [] };
  const base: FoldState = { lastSeq, alerts: new Map(alerts.map((alert) => [alert.id, alert])), waiting: new Map() };
  return fold(base, [...earlier.waiting.values()]);
}

export function fold(state: FoldState, events: readonly DeploymentEvent[]): FoldStep {
  const waiting = new Map(state.waiting);
  for (const event of events) if (event.seq > state.lastSeq) waiting.set(event.seq, event);

  let { lastSeq, alerts } = state;
  const applied: DeploymentEvent[] = [];
  for (let next = waiting.get(lastSeq + 1); next; next = waiting.get(lastSeq + 1)) {
    waiting.delete(next.seq);
    lastSeq = next.seq;
    // A withheld event says only that a number was used: it closes the gap and shows nothing.
    if (next.kind !== 'withheld' && next.data.alert) alerts = withAlert(alerts, next.data.alert);
    applied.push(next);
  }
  const unchanged = applied.length === 0 && waiting.size === state.waiting.size;
  return { state: unchanged ? state : { lastSeq, alerts, waiting }, applied };
}

/** An alert that an action's answer brought along, ahead of its event: shown at once, without moving the number. */
export function withAnswer(state: FoldState, alert: Alert): FoldState {
  const alerts = withAlert(state.alerts, alert);
  return alerts === state.alerts ? state : { ...state, alerts };
}

export const hasGap = (state: FoldState): boolean => state.waiting.size > 0;
