import 'fake-indexeddb/auto';
import { beforeEach, expect, test } from 'vitest';
import { ApiRefusal, Unreachable } from '../api/client';
import type { ActionResponse, AlertAction } from '../api/types';
import { openDatabase, type Database } from './database';
import { Outbox, type QueuedAction, type Refused } from './outbox';
import { Vault } from './vault';

let database: Promise<Database>;
let vault: Vault;
let sends: string[];
let answers: (() => ActionResponse)[];
let waiting: readonly QueuedAction[];
let refusals: Refused[];
let outbox: Outbox;
let names = 0;

const accepted: ActionResponse = { event: null, alert: null };
const refusal = (status: number, code: string): (() => never) => () => {
  throw new ApiRefusal({ title: code, status, detail: `because ${code}`, code });
};
const noSignal = (): never => {
  throw new Unreachable();
};

function makeOutbox(): Outbox {
  return new Outbox(
    database,
    vault,
    (action) => {
      sends.push(action.key);
      const answer = answers.shift();
      return Promise.resolve().then(() => (answer ? answer() : accepted));
    },
    {
      waiting: (actions) => (waiting = actions),
      sent: () => undefined,
      refused: (one) => refusals.push(one),
    },
  );
}

const action = (key: string, name: AlertAction = 'claim'): QueuedAction => ({
  key,
  deploymentId: 'd1',
  alertId: 'a1',
  alertNumber: 1,
  request: { action: name, made_at: '2026-11-23T10:00:00Z', note: 'a very personal note' },
});

beforeEach(async () => {
  database = openDatabase(`test-${names++}`);
  vault = new Vault(database);
  sends = [];
  answers = [];
  waiting = [];
  refusals = [];
  outbox = makeOutbox();
  await outbox.use('amy');
});

test('without signal actions wait, and go in the order made once there is signal', async () => {
  answers = [noSignal, noSignal];
  await outbox.add(action('k1'));
  await outbox.add(action('k2', 'engage'));
  expect(waiting.map((one) => one.key)).toEqual(['k1', 'k2']);
  sends = [];
  expect(await outbox.flush()).toBe(true);
  expect(sends).toEqual(['k1', 'k2']);
  expect(waiting).toEqual([]);
});

test('an action waits under the key it was made with, so that sending twice is harmless', async () => {
  answers = [noSignal];
  await outbox.add(action('k1'));
  await outbox.flush();
  expect(sends).toEqual(['k1', 'k1']);
});

test('a refusal is told and taken out, and what is behind it is still sent', async () => {
  answers = [noSignal, noSignal];
  await outbox.add(action('k1'));
  await outbox.add(action('k2', 'decline'));
  answers = [refusal(409, 'already_claimed')];
  await outbox.flush();
  expect(refusals.map((one) => one.problem.code)).toEqual(['already_claimed']);
  expect(refusals[0]?.action.key).toBe('k1');
  expect(waiting).toEqual([]);
  expect(sends.at(-1)).toBe('k2');
});

test('a fault of the server keeps an action waiting, and keeps its place', async () => {
  answers = [refusal(500, 'fault'), refusal(429, 'too_many')];
  await outbox.add(action('k1'));
  await outbox.add(action('k2'));
  expect(sends).toEqual(['k1', 'k1']);
  expect(waiting.map((one) => one.key)).toEqual(['k1', 'k2']);
  expect(refusals).toEqual([]);
});

test('an app that was killed still has its queue, and only for the same person', async () => {
  answers = [noSignal];
  await outbox.add(action('k1'));
  const reopened = makeOutbox();
  await reopened.use('ben');
  expect(waiting).toEqual([]);
  await reopened.use('amy');
  expect(waiting.map((one) => one.key)).toEqual(['k1']);
});

test('what waits is not readable in the store', async () => {
  answers = [noSignal];
  await outbox.add(action('k1'));
  const rows = await (await database).getAll('outbox');
  const bytes = new TextDecoder().decode(rows[0]?.sealed.data);
  expect(bytes.length).toBeGreaterThan(0);
  expect(bytes).not.toContain('personal');
  expect(bytes).not.toContain('a1');
});

test('what the vault keeps comes back, sealed under a key that cannot be exported', async () => {
  await vault.put('live/d1', { name: 'A Person' });
  expect(await vault.get('live/d1')).toEqual({ name: 'A Person' });
  const key = await (await database).get('keys', 'vault');
  expect(key?.extractable).toBe(false);
  const sealed = await (await database).get('sealed', 'live/d1');
  expect(new TextDecoder().decode(sealed?.data)).not.toContain('Person');
});

test('pictures come back byte for byte', async () => {
  await vault.putBlob('picture/a1/probe', new Blob([new Uint8Array([1, 2, 3, 250])]));
  const blob = await vault.getBlob('picture/a1/probe');
  expect([...new Uint8Array((await blob?.arrayBuffer()) ?? new ArrayBuffer(0))]).toEqual([1, 2, 3, 250]);
});

test('after erasing, what was sealed is unreadable even if its bytes were kept', async () => {
  await vault.put('live/d1', 'secret');
  const kept = await (await database).get('sealed', 'live/d1');
  await vault.erase();
  expect(await vault.get('live/d1')).toBeNull();
  if (!kept) throw new Error('nothing was sealed');
  expect(await vault.open(kept)).toBeNull();
});
