/** The deployments that this person may open, and the one last opened on this device. */
import { Unreachable } from '../api/client';
import { api } from '../api/endpoints';
import type { DeploymentSummary } from '../api/types';
import { live } from './live.svelte';
import { vault } from './local';
import { session } from './session.svelte';

const LAST = 'cordon.deployment';

class DeploymentsStore {
  list = $state.raw<DeploymentSummary[]>([]);
  loaded = $state(false);
  /** The person asked to choose: do not choose for them. */
  choosing = $state(false);

  async load(): Promise<void> {
    try {
      this.list = await api.deployments();
      await vault.put('deployments', this.list);
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      this.list = (await vault.get<DeploymentSummary[]>('deployments')) ?? [];
    }
    // Those who oversee see every deployment; the others see theirs.
    if (!session.has('authoriser', 'auditor')) this.list = this.list.filter((one) => one.member);
    this.loaded = true;
  }

  /** The only open one, or the one last opened: no question is asked that has one answer. */
  get obvious(): string | null {
    const last = localStorage.getItem(LAST);
    if (this.list.some((one) => one.id === last)) return last;
    const open = this.list.filter((one) => one.state === 'open');
    if (open.length === 1) return open[0]?.id ?? null;
    return this.list.length === 1 ? (this.list[0]?.id ?? null) : null;
  }

  async choose(id: string): Promise<void> {
    localStorage.setItem(LAST, id);
    this.choosing = false;
    try {
      await live.open(id);
    } catch (error) {
      live.close();
      localStorage.removeItem(LAST);
      this.choosing = true; // the choice is the person's again, instead of an empty screen
      throw error;
    }
  }

  forget(): void {
    localStorage.removeItem(LAST);
    this.list = [];
    this.loaded = false;
    this.choosing = false;
  }
}

export const deployments = new DeploymentsStore();
