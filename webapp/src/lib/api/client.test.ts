import { expect, test } from 'vitest';
import { ApiClient, ApiRefusal, Unreachable } from './client';

interface Sent {
  url: string;
  init: RequestInit;
}

function clientAnswering(answer: () => Response): { client: ApiClient; sent: Sent[] } {
  const sent: Sent[] = [];
  const client = new ApiClient('/api/v1', (input, init) => {
    sent.push({ url: String(input), init: init ?? {} });
    try {
      return Promise.resolve(answer());
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
  });
  return { client, sent };
}

const json = (status: number, body: unknown): Response => new Response(JSON.stringify(body), { status });
const header = (one: Sent | undefined, name: string): string | null => new Headers(one?.init.headers).get(name);

test('a change carries the CSRF token and its idempotency key; a read carries neither', async () => {
  const { client, sent } = clientAnswering(() => json(200, {}));
  client.csrfToken = 'token';
  await client.request('POST', '/deployments/d1/duty', { body: { on: true }, idempotencyKey: 'k1' });
  await client.request('GET', '/deployments');
  expect(header(sent[0], 'X-CSRF-Token')).toBe('token');
  expect(header(sent[0], 'Idempotency-Key')).toBe('k1');
  expect(header(sent[1], 'X-CSRF-Token')).toBeNull();
});

test('a refusal speaks in the server’s own sentence', async () => {
  const { client } = clientAnswering(() => json(409, { detail: 'Sierra 22 is already going.', code: 'already_claimed' }));
  const error = await client.request('POST', '/x').catch((problem: unknown) => problem);
  expect(error).toBeInstanceOf(ApiRefusal);
  expect((error as ApiRefusal).message).toBe('Sierra 22 is already going.');
  expect((error as ApiRefusal).code).toBe('already_claimed');
});

test('no answer, and a gateway with nobody behind it, are the same: unreachable', async () => {
  const silent = clientAnswering(() => {
    throw new TypeError('failed to fetch');
  });
  await expect(silent.client.request('GET', '/x')).rejects.toBeInstanceOf(Unreachable);
  const gateway = clientAnswering(() => new Response('<h1>Bad gateway</h1>', { status: 502 }));
  await expect(gateway.client.request('GET', '/x')).rejects.toBeInstanceOf(Unreachable);
});

test('an ended session is noticed anywhere but at sign-in', async () => {
  const { client } = clientAnswering(() => json(401, { detail: 'Sign in first.', code: 'not_signed_in' }));
  let ended = 0;
  client.onSignedOut = () => (ended += 1);
  await client.request('POST', '/session').catch(() => undefined);
  expect(ended).toBe(0);
  await client.request('GET', '/deployments').catch(() => undefined);
  expect(ended).toBe(1);
});
