import { describe, expect, test } from 'vitest';
import type { Alert, DeploymentEvent } from '../api/types';
import { EMPTY, fold, fromSnapshot, hasGap, withAnswer } from './fold';
import { sampleAlert, sampleEvent } from './samples';

const alert = (state: Alert['state'], lastSeq: number): Alert => sampleAlert({ state, last_seq: lastSeq });
const event = (seq: number, over?: Alert): DeploymentEvent => sampleEvent(seq, over);

describe('the fold over events', () => {
  test('shows each change of an alert in the order of the numbers', () => {
    const { state, applied } = fold(EMPTY, [event(1, alert('raised', 1)), event(2, alert('dispatched', 2))]);
    expect(state.lastSeq).toBe(2);
    expect(state.alerts.get('a1')?.state).toBe('dispatched');
    expect(applied.map((one) => one.seq)).toEqual([1, 2]);
  });

  test('applies an event that arrives twice only once', () => {
    const first = fold(EMPTY, [event(1, alert('raised', 1))]).state;
    const again = fold(first, [event(1, alert('raised', 1))]);
    expect(again.applied).toEqual([]);
    expect(again.state).toBe(first);
  });

  test('holds back what lies beyond a gap, and says that there is one', () => {
    const { state, applied } = fold(EMPTY, [event(1, alert('raised', 1)), event(3, alert('claimed', 3))]);
    expect(applied.map((one) => one.seq)).toEqual([1]);
    expect(state.alerts.get('a1')?.state).toBe('raised');
    expect(hasGap(state)).toBe(true);
  });

  test('applies what was held back as soon as the gap closes', () => {
    const gap = fold(EMPTY, [event(3, alert('claimed', 3)), event(1, alert('raised', 1))]).state;
    const { state, applied } = fold(gap, [event(2, alert('dispatched', 2))]);
    expect(applied.map((one) => one.seq)).toEqual([2, 3]);
    expect(state.alerts.get('a1')?.state).toBe('claimed');
    expect(hasGap(state)).toBe(false);
  });

  test('lets a withheld event use up its number and show nothing', () => {
    const hidden: DeploymentEvent = { ...sampleEvent(1), kind: 'withheld', alert_id: null, data: {} };
    const { state } = fold(EMPTY, [hidden, event(2, alert('dispatched', 2))]);
    expect(state.lastSeq).toBe(2);
    expect([...state.alerts.values()].map((one) => one.state)).toEqual(['dispatched']);
  });

  test('starts from a snapshot and keeps what already waits beyond it', () => {
    const early = fold(EMPTY, [event(6, alert('engaged', 6))]).state;
    const { state, applied } = fromSnapshot([alert('claimed', 5)], 5, early);
    expect(state.lastSeq).toBe(6);
    expect(state.alerts.get('a1')?.state).toBe('engaged');
    expect(applied.map((one) => one.seq)).toEqual([6]);
  });

  test('does not go back to a snapshot older than what is shown', () => {
    const now = fromSnapshot([alert('engaged', 9)], 9).state;
    expect(fromSnapshot([alert('raised', 4)], 4, now).state).toBe(now);
  });

  test('does not let an old event undo what an action’s answer has already shown', () => {
    const start = fromSnapshot([alert('dispatched', 3)], 3).state;
    const answered = withAnswer(start, alert('claimed', 5));
    expect(answered.alerts.get('a1')?.state).toBe('claimed');
    expect(answered.lastSeq).toBe(3);
    const { state } = fold(answered, [event(4, alert('dispatched', 4))]);
    expect(state.alerts.get('a1')?.state).toBe('claimed');
    expect(state.lastSeq).toBe(4);
  });

  test('never changes the state it was given', () => {
    const before = fold(EMPTY, [event(1, alert('raised', 1))]).state;
    fold(before, [event(2, alert('closed', 2))]);
    expect(before.alerts.get('a1')?.state).toBe('raised');
    expect(before.lastSeq).toBe(1);
  });
});
