/**
 * The pictures of an alert, fetched once by their short-lived addresses and shown from memory, so that the card opens
 * at once and still opens without signal. Sealed copies are kept only while `keep` is on (an officer on duty).
 */
import { api, client } from '../api/endpoints';
import { vault } from './local';

export interface PictureSet {
  reference: string[];
  probe: string | null;
  context: string | null;
  views: string[];
}

interface Names {
  reference: number;
  views: number;
  context: boolean;
}

const prefix = (alertId: string): string => `picture/${alertId}/`;

class PictureStore {
  sets = $state.raw<ReadonlyMap<string, PictureSet>>(new Map());
  failed = $state.raw<ReadonlySet<string>>(new Set());
  keep = false;
  private readonly loading = new Map<string, Promise<void>>();

  of(alertId: string): PictureSet | null {
    return this.sets.get(alertId) ?? null;
  }

  load(deploymentId: string, alertId: string): Promise<void> {
    if (this.sets.has(alertId)) return Promise.resolve();
    const running = this.loading.get(alertId);
    if (running) return running;
    const started = this.fetch(deploymentId, alertId).finally(() => this.loading.delete(alertId));
    this.loading.set(alertId, started);
    return started;
  }

  /** Everything out of memory; sealed copies go with the vault. */
  async clear(): Promise<void> {
    for (const set of this.sets.values()) {
      for (const url of [...set.reference, ...set.views, set.probe, set.context]) if (url) URL.revokeObjectURL(url);
    }
    this.sets = new Map();
    this.failed = new Set();
    await vault.drop('picture/');
  }

  private async fetch(deploymentId: string, alertId: string): Promise<void> {
    try {
      if (this.keep && (await this.fromVault(alertId))) return;
      const at = await api.pictures(deploymentId, alertId);
      const blobs = (urls: string[]): Promise<Blob[]> => Promise.all(urls.map((url) => client.blob(url)));
      const [reference, [probe], [context], views] = await Promise.all([
        blobs(at.reference_urls),
        blobs(at.probe_url ? [at.probe_url] : []),
        blobs(at.context_url ? [at.context_url] : []),
        blobs(at.view_urls),
      ]);
      this.show(alertId, reference, probe ?? null, context ?? null, views);
      if (this.keep) await this.toVault(alertId, reference, probe ?? null, context ?? null, views);
    } catch {
      this.failed = new Set(this.failed).add(alertId); // the card says so and offers to try again
    }
  }

  private show(alertId: string, reference: Blob[], probe: Blob | null, context: Blob | null, views: Blob[]): void {
    const url = (blob: Blob): string => URL.createObjectURL(blob);
    const set: PictureSet = {
      reference: reference.map(url),
      probe: probe && url(probe),
      context: context && url(context),
      views: views.map(url),
    };
    this.sets = new Map(this.sets).set(alertId, set);
    const failed = new Set(this.failed);
    failed.delete(alertId);
    this.failed = failed;
  }

  private async toVault(
    alertId: string,
    reference: Blob[],
    probe: Blob | null,
    context: Blob | null,
    views: Blob[],
  ): Promise<void> {
    const at = prefix(alertId);
    await Promise.all([
      ...reference.map((blob, index) => vault.putBlob(`${at}reference/${index}`, blob)),
      ...views.map((blob, index) => vault.putBlob(`${at}view/${index}`, blob)),
      probe && vault.putBlob(`${at}probe`, probe),
      context && vault.putBlob(`${at}context`, context),
    ]);
    const names: Names = { reference: reference.length, views: views.length, context: context !== null };
    await vault.put(`${at}names`, names);
  }

  private async fromVault(alertId: string): Promise<boolean> {
    const at = prefix(alertId);
    const names = await vault.get<Names>(`${at}names`);
    if (!names) return false;
    const several = async (kind: string, n: number): Promise<Blob[]> => {
      const found = await Promise.all(Array.from({ length: n }, (_, index) => vault.getBlob(`${at}${kind}/${index}`)));
      return found.filter((blob): blob is Blob => blob !== null);
    };
    const [reference, views, probe, context] = await Promise.all([
      several('reference', names.reference),
      several('view', names.views),
      vault.getBlob(`${at}probe`),
      names.context ? vault.getBlob(`${at}context`) : null,
    ]);
    if (!probe || reference.length === 0) return false;
    this.show(alertId, reference, probe, context, views);
    return true;
  }
}

export const pictures = new PictureStore();
