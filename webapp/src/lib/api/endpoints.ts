/** Each call by name and type; views and stores use these, never addresses. */
import { ApiClient } from './client';
import type {
  ActionRequest,
  ActionResponse,
  Alert,
  AuditTrail,
  Deployment,
  DeploymentEvent,
  DeploymentRecord,
  DeploymentSummary,
  Fix,
  Installation,
  NewUser,
  OperatingPoint,
  Pictures,
  Session,
  TeamMember,
  TermsVersion,
  User,
  Vocabulary,
  WatchlistEntry,
} from './types';

export const client = new ApiClient();

const under = (id: string, rest = ''): string => `/deployments/${encodeURIComponent(id)}${rest}`;

/** Lists come bare or under their own name; both are read, so that paging can be added without breaking old phones. */
function listOf<T>(answer: T[] | Record<string, unknown>, name: string): T[] {
  if (Array.isArray(answer)) return answer;
  const inner = answer[name];
  return Array.isArray(inner) ? (inner as T[]) : [];
}

export type Transition = 'publish-notice' | 'confirm-signs' | 'open' | 'suspend' | 'resume' | 'close';

export const api = {
  installation: () => client.request<Installation>('GET', '/installation'),
  session: () => client.request<Session>('GET', '/session'),
  signIn: (username: string, password: string) =>
    client.request<Session>('POST', '/session', { body: { username, password } }),
  signOut: () => client.request<void>('DELETE', '/session'),
  stepUp: (password: string) => client.request<void>('POST', '/session/step-up', { body: { password } }),
  vocabulary: () => client.request<Vocabulary>('GET', '/vocabulary'),

  deployments: async () =>
    listOf<DeploymentSummary>(await client.request<DeploymentSummary[]>('GET', '/deployments'), 'deployments'),
  deployment: (id: string) => client.request<Deployment>('GET', under(id)),
  createDeployment: (terms: Record<string, unknown>) =>
    client.request<Deployment>('POST', '/deployments', { body: terms }),
  operatingPoint: (listLimit: number, falseAlertBudget: number, signal?: AbortSignal) =>
    client.request<OperatingPoint>(
      'GET',
      `/deployments/operating-point?list_limit=${listLimit}&false_alert_budget=${falseAlertBudget}`,
      signal ? { signal } : {},
    ),
  /** `acknowledged`: the statement on the model pack that the officer agreed to; null in an exercise. */
  sign: (id: string, acknowledged: string | null) =>
    client.request<unknown>('POST', under(id, '/sign'), { body: { acknowledged_statement: acknowledged } }),
  versions: (id: string) => client.request<TermsVersion[]>('GET', under(id, '/versions')),
  propose: (id: string, changes: Record<string, unknown>, reason: string) =>
    client.request<TermsVersion>('POST', under(id, '/versions'), { body: { changes, reason } }),
  signVersion: (id: string, number: number, acknowledged: string | null) =>
    client.request<unknown>('POST', under(id, `/versions/${number}/sign`), {
      body: { acknowledged_statement: acknowledged },
    }),
  withdrawVersion: (id: string, number: number, reason: string) =>
    client.request<unknown>('POST', under(id, `/versions/${number}/withdraw`), { body: { reason } }),
  addCamera: (id: string, camera: Record<string, unknown>) =>
    client.request<{ token?: string }>('POST', under(id, '/cameras'), { body: camera }),
  removeCamera: (id: string, cameraId: string) =>
    client.request<void>('DELETE', under(id, `/cameras/${encodeURIComponent(cameraId)}`)),
  setMembers: (id: string, userIds: string[]) =>
    client.request<unknown>('PUT', under(id, '/members'), { body: { user_ids: userIds } }),
  transition: (id: string, step: Transition, reason?: string) =>
    client.request<unknown>('POST', under(id, `/${step}`), { body: reason === undefined ? {} : { reason } }),

  team: async (id: string) => listOf<TeamMember>(await client.request<TeamMember[]>('GET', under(id, '/team')), 'team'),
  setDuty: (id: string, on: boolean) => client.request<unknown>('POST', under(id, '/duty'), { body: { on } }),
  sendPosition: (id: string, fix: Fix) => client.request<unknown>('POST', under(id, '/position'), { body: fix }),

  alerts: (id: string) => client.request<{ alerts: Alert[]; last_seq: number }>('GET', under(id, '/alerts')),
  events: (id: string, after: number, limit = 500) =>
    client.request<{ events: DeploymentEvent[]; last_seq: number }>(
      'GET',
      under(id, `/events?after=${after}&limit=${limit}`),
    ),
  pictures: (id: string, alertId: string) =>
    client.request<Pictures>('GET', under(id, `/alerts/${encodeURIComponent(alertId)}/pictures`)),
  act: (id: string, alertId: string, body: ActionRequest, idempotencyKey: string) =>
    client.request<ActionResponse>('POST', under(id, `/alerts/${encodeURIComponent(alertId)}/actions`), {
      body,
      idempotencyKey,
    }),

  watchlist: (id: string) =>
    client.request<{ revision: number; entries: WatchlistEntry[] }>('GET', under(id, '/watchlist')),
  addEntry: (id: string, form: FormData) =>
    client.request<WatchlistEntry>('POST', under(id, '/watchlist'), { form }),
  removeEntry: (id: string, entryId: string, reason: string) =>
    client.request<void>('DELETE', under(id, `/watchlist/${encodeURIComponent(entryId)}`), { body: { reason } }),

  record: (id: string) => client.request<DeploymentRecord>('GET', under(id, '/record')),
  deploymentAudit: (id: string) => client.request<AuditTrail>('GET', under(id, '/audit')),
  audit: () => client.request<AuditTrail>('GET', '/audit'),

  users: async () => listOf<User>(await client.request<User[]>('GET', '/users'), 'users'),
  createUser: (user: NewUser) => client.request<User>('POST', '/users', { body: user }),
};
