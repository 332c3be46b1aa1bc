/** The outbox as screens see it: what waits, for which alert, and why something was refused. */
import { ApiRefusal, Unreachable } from '../api/client';
import { api, client } from '../api/endpoints';
import type { ActionRequest, ActionResponse, Alert, AlertAction } from '../api/types';
import { t } from '../messages';
import { Outbox, type QueuedAction } from '../offline/outbox';
import { clock } from './clock.svelte';
import { database, vault } from './local';
import { notices } from './notices.svelte';
import { session } from './session.svelte';

const RETRY_MS = 4_000;

class OutboxStore {
  waiting = $state.raw<readonly QueuedAction[]>([]);
  /** Set by the open deployment, which folds the answers. */
  onAnswer: ((answer: ActionResponse, action: QueuedAction) => void) | null = null;

  private readonly outbox = new Outbox(
    database,
    vault,
    (action) => this.send(action),
    {
      waiting: (actions) => (this.waiting = actions),
      sent: (action, answer) => this.onAnswer?.(answer, action),
      refused: ({ action, problem }) =>
        notices.refuse(t('outbox.refused', { number: action.alertNumber, detail: problem.detail })),
    },
  );

  /** After a start without signal the session's token comes first: a change without it would be refused for good. */
  private async send(action: QueuedAction): Promise<ActionResponse> {
    if (!client.csrfToken) await session.refresh();
    if (!client.csrfToken) throw new Unreachable();
    try {
      return await api.act(action.deploymentId, action.alertId, action.request, action.key);
    } catch (error) {
      if (!(error instanceof ApiRefusal) || error.code !== 'csrf') throw error;
      client.csrfToken = null; // another tab signed in anew: the next try asks for the present token
      throw new Unreachable();
    }
  }

  constructor() {
    addEventListener('online', () => void this.flush());
    setInterval(() => this.waiting.length > 0 && void this.flush(), RETRY_MS);
  }

  use(userId: string | null): Promise<void> {
    return this.outbox.use(userId);
  }

  flush(): Promise<boolean> {
    return this.outbox.flush();
  }

  /** What the person did and still waits; a read receipt is not something that anybody did. */
  get visible(): readonly QueuedAction[] {
    return this.waiting.filter((action) => action.request.action !== 'seen');
  }

  waitingFor(alertId: string): readonly QueuedAction[] {
    return this.visible.filter((action) => action.alertId === alertId);
  }

  act(
    deploymentId: string,
    alert: Alert,
    action: AlertAction,
    extra: Omit<ActionRequest, 'action' | 'made_at'> = {},
  ): Promise<void> {
    return this.outbox.add({
      key: crypto.randomUUID(),
      deploymentId,
      alertId: alert.id,
      alertNumber: alert.number,
      request: { action, made_at: clock.stamp(), ...extra },
    });
  }
}

export const outbox = new OutboxStore();
