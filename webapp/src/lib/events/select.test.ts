import { expect, test } from 'vitest';
import { adjudicationQueue, board, count, feed } from './select';
import { sampleAlert } from './samples';

const at = (minute: number): string => `2026-11-23T10:${String(minute).padStart(2, '0')}:00Z`;

test('the feed puts live alerts first, mine before newer ones, and the closed ones apart', () => {
  const mine = sampleAlert({ id: 'mine', state: 'claimed', claimed_by: { id: 'me' }, last_seen_at: at(1) });
  const newer = sampleAlert({ id: 'newer', last_seen_at: at(9) });
  const older = sampleAlert({ id: 'older', last_seen_at: at(5) });
  const closed = sampleAlert({ id: 'closed', state: 'closed', last_seen_at: at(10) });
  const lists = feed([older, closed, newer, mine], 'me');
  expect(lists.live.map((one) => one.id)).toEqual(['mine', 'newer', 'older']);
  expect(lists.earlier.map((one) => one.id)).toEqual(['closed']);
});

test('a test subject is never in an officer’s feed nor in the counts', () => {
  const seeded = sampleAlert({ kind: 'test_subject' });
  expect(feed([seeded], 'me').live).toEqual([]);
  expect(count([seeded]).total).toBe(0);
});

test('the queue holds what waits for a decision, the nearest deadline first', () => {
  const later = sampleAlert({ id: 'later', state: 'raised', verified: false, deadline_at: at(9) });
  const sooner = sampleAlert({ id: 'sooner', state: 'raised', verified: false, deadline_at: at(2) });
  const sent = sampleAlert({ id: 'sent', state: 'dispatched', verified: true });
  expect(adjudicationQueue([later, sent, sooner], 'op').map((one) => one.id)).toEqual(['sooner', 'later']);
});

test('an alert that I could not tell about waits for somebody else, not for me', () => {
  const unsure = sampleAlert({
    state: 'raised',
    verified: false,
    adjudications: [{ by: { id: 'op' }, decision: 'cannot_tell', at: at(1) }],
  });
  expect(adjudicationQueue([unsure], 'op')).toEqual([]);
  expect(adjudicationQueue([unsure], 'other')).toHaveLength(1);
});

test('an unverified alert that officers already see still waits for the operator', () => {
  const parallel = sampleAlert({ state: 'dispatched', verified: false });
  expect(adjudicationQueue([parallel], 'op')).toHaveLength(1);
});

test('the board counts each state and lists live alerts before closed ones', () => {
  const closed = sampleAlert({ id: 'closed', state: 'closed', last_seen_at: at(9) });
  const live = sampleAlert({ id: 'live', state: 'engaged', last_seen_at: at(1) });
  expect(board([closed, live]).map((one) => one.id)).toEqual(['live', 'closed']);
  expect(count([closed, live])).toMatchObject({ live: 1, engaged: 1, closed: 1, total: 2 });
});
