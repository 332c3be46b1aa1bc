/**
 * The one door to the server's REST side. It refuses to guess: a failed call is either an `ApiRefusal` (the server
 * answered, in a sentence fit for a person) or an `Unreachable` (nobody answered, so it may be tried again).
 */
import type { Problem } from './types';

export class ApiRefusal extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail || problem.title);
    this.name = 'ApiRefusal';
  }

  get status(): number {
    return this.problem.status;
  }

  get code(): string {
    return this.problem.code;
  }
}

export class Unreachable extends Error {
  constructor() {
    super('The server cannot be reached.');
    this.name = 'Unreachable';
  }
}

export interface RequestOptions {
  body?: unknown;
  form?: FormData;
  idempotencyKey?: string;
  signal?: AbortSignal;
}

type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';

/** A hung connection must not hold up the outbox behind it. */
const ANSWER_WITHIN_MS = 15_000;

async function asProblem(response: Response): Promise<Problem> {
  const fallback: Problem = {
    title: response.statusText,
    status: response.status,
    detail: `The server refused (${response.status}).`,
    code: `http_${response.status}`,
  };
  try {
    const given = (await response.json()) as Partial<Problem>;
    return { ...fallback, ...given, status: response.status };
  } catch {
    return fallback; // not problem+json: a proxy's own page, say
  }
}

export class ApiClient {
  csrfToken: string | null = null;
  /** Called when the session is over by the server's word. */
  onSignedOut: (() => void) | null = null;
  /** Called with the server's clock (ms since 1970) as each answer arrives. */
  onServerTime: ((serverMs: number) => void) | null = null;

  constructor(
    private readonly prefix = '/api/v1',
    private readonly fetcher: typeof fetch = (input, init) => fetch(input, init),
  ) {}

  async request<T>(method: Method, path: string, options: RequestOptions = {}): Promise<T> {
    const response = await this.send(method, this.prefix + path, options);
    if (response.status === 204) return undefined as T;
    return (await response.json()) as T;
  }

  /** A picture by the short-lived address that the server gave. */
  async blob(url: string): Promise<Blob> {
    return (await this.send('GET', url, {})).blob();
  }

  private async send(method: Method, url: string, options: RequestOptions): Promise<Response> {
    const headers: Record<string, string> = { Accept: 'application/json, */*' };
    if (method !== 'GET' && this.csrfToken) headers['X-CSRF-Token'] = this.csrfToken;
    if (options.idempotencyKey) headers['Idempotency-Key'] = options.idempotencyKey;
    const init: RequestInit = { method, headers, credentials: 'same-origin' };
    if (options.form) init.body = options.form;
    else if (options.body !== undefined) {
      headers['Content-Type'] = 'application/json';
      init.body = JSON.stringify(options.body);
    }
    init.signal = options.signal ?? AbortSignal.timeout(ANSWER_WITHIN_MS);
    let response: Response;
    try {
      response = await this.fetcher(url, init);
    } catch {
      throw new Unreachable();
    }
    const date = response.headers.get('Date');
    if (date) this.onServerTime?.(Date.parse(date));
    if (response.ok) return response;
    const problem = await asProblem(response);
    // A gateway without its server behind it is the same to a phone as no signal.
    if (problem.status === 502 || problem.status === 503 || problem.status === 504) throw new Unreachable();
    if (problem.status === 401 && !url.endsWith('/session') && !url.endsWith('/step-up')) this.onSignedOut?.();
    throw new ApiRefusal(problem);
  }
}
