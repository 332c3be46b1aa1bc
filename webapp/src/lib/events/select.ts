/** Questions that screens ask of the folded alerts. All pure. */
import type { Alert } from '../api/types';

const newestFirst = (a: Alert, b: Alert): number => Date.parse(b.last_seen_at) - Date.parse(a.last_seen_at);

export const isLive = (alert: Alert): boolean => alert.state !== 'closed';

/** The officer's feed: live ones first (mine before others'), then today's others. */
export function feed(alerts: Iterable<Alert>, userId: string): { live: Alert[]; earlier: Alert[] } {
  const all = [...alerts].filter((alert) => alert.kind === 'subject');
  const mine = (alert: Alert): number => (alert.claimed_by?.id === userId ? 0 : 1);
  return {
    live: all.filter(isLive).sort((a, b) => mine(a) - mine(b) || newestFirst(a, b)),
    earlier: all.filter((alert) => !isLive(alert)).sort(newestFirst),
  };
}

const undecided = (alert: Alert): boolean =>
  alert.state === 'raised' || (isLive(alert) && !alert.verified && alert.adjudications.length === 0);

/** The operator's queue: what waits for a decision, the nearest deadline first. */
export function adjudicationQueue(alerts: Iterable<Alert>, userId: string): Alert[] {
  const at = (alert: Alert): number => (alert.deadline_at ? Date.parse(alert.deadline_at) : Number.MAX_SAFE_INTEGER);
  return [...alerts]
    .filter((alert) => undecided(alert) && !alert.adjudications.some((given) => given.by.id === userId))
    .sort((a, b) => at(a) - at(b) || a.number - b.number);
}

export interface Counters {
  live: number;
  raised: number;
  dispatched: number;
  claimed: number;
  engaged: number;
  closed: number;
  total: number;
}

export function count(alerts: Iterable<Alert>): Counters {
  const counters: Counters = { live: 0, raised: 0, dispatched: 0, claimed: 0, engaged: 0, closed: 0, total: 0 };
  for (const alert of alerts) {
    if (alert.kind !== 'subject') continue;
    counters[alert.state] += 1;
    counters.total += 1;
    if (isLive(alert)) counters.live += 1;
  }
  return counters;
}

/** The coordinator's list: live by age of state, then closed, newest first. */
export function board(alerts: Iterable<Alert>): Alert[] {
  return [...alerts].sort((a, b) => Number(isLive(b)) - Number(isLive(a)) || newestFirst(a, b));
}
