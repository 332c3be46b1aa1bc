/**
 * Actions made on this device, kept until the server has answered. They are sent in the order made, each with the
 * key it was made with, so that sending twice does no harm. An answer in words (409, 422 …) ends an action: it is
 * taken out and shown. Silence, a fault of the server (5xx) or "too many" (429) keeps it, and all behind it, waiting.
 */
import { ApiRefusal, Unreachable } from '../api/client';
import type { ActionRequest, ActionResponse, Problem } from '../api/types';
import type { Database } from './database';
import type { Vault } from './vault';

export interface QueuedAction {
  key: string;
  deploymentId: string;
  alertId: string;
  alertNumber: number;
  request: ActionRequest;
}

export interface Refused {
  action: QueuedAction;
  problem: Problem;
}

export type Send = (action: QueuedAction) => Promise<ActionResponse>;

export interface OutboxListener {
  waiting(actions: readonly QueuedAction[]): void;
  sent(action: QueuedAction, answer: ActionResponse): void;
  refused(refusal: Refused): void;
}

const keeps = (problem: Problem): boolean =>
  problem.status >= 500 || problem.status === 429 || problem.status === 401;

export class Outbox {
  private userId: string | null = null;
  private flushing: Promise<boolean> | null = null;
  private again = false;

  constructor(
    private readonly database: Promise<Database>,
    private readonly vault: Vault,
    private readonly send: Send,
    private readonly listener: OutboxListener,
  ) {}

  /** Whose actions these are. Another person's waiting actions are neither shown nor sent. */
  async use(userId: string | null): Promise<void> {
    this.userId = userId;
    await this.tell();
  }

  async add(action: QueuedAction): Promise<void> {
    if (!this.userId) throw new Error('nobody is signed in');
    await (await this.database).add('outbox', { userId: this.userId, sealed: await this.vault.seal(action) });
    await this.tell();
    await this.flush();
  }

  /** Sends what waits. True when nothing is left waiting. */
  flush(): Promise<boolean> {
    if (this.flushing) {
      this.again = true; // something was added while the last pass was already past it
      return this.flushing;
    }
    this.flushing = this.passes().finally(() => {
      this.flushing = null;
    });
    return this.flushing;
  }

  private async passes(): Promise<boolean> {
    let emptied: boolean;
    do {
      this.again = false;
      emptied = await this.pass();
    } while (this.again && emptied);
    return emptied;
  }

  private async pass(): Promise<boolean> {
    for (const { order, action } of await this.rows()) {
      let answer: ActionResponse;
      try {
        answer = await this.send(action);
      } catch (error) {
        if (error instanceof Unreachable) return false;
        if (!(error instanceof ApiRefusal)) throw error;
        if (keeps(error.problem)) return false;
        await this.remove(order);
        this.listener.refused({ action, problem: error.problem });
        continue;
      }
      await this.remove(order);
      this.listener.sent(action, answer);
    }
    return true;
  }

  private async rows(): Promise<{ order: number; action: QueuedAction }[]> {
    const rows = await (await this.database).getAll('outbox');
    const mine = rows.filter((row) => row.userId === this.userId);
    const opened = await Promise.all(
      mine.map(async (row) => ({ order: row.order ?? 0, action: await this.vault.open<QueuedAction>(row.sealed) })),
    );
    return opened.filter((row): row is { order: number; action: QueuedAction } => row.action !== null);
  }

  private async remove(order: number): Promise<void> {
    await (await this.database).delete('outbox', order);
    await this.tell();
  }

  private async tell(): Promise<void> {
    this.listener.waiting((await this.rows()).map((row) => row.action));
  }
}
