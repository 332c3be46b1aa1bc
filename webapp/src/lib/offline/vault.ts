/**
 * What a phone keeps for reading without signal, encrypted at rest. The AES-256-GCM key is made here and cannot be
 * exported; erasing it makes everything sealed under it unreadable, whatever remains of the files.
 * It refuses to return what was sealed under a key since erased: that reads as absent.
 */
import type { Database, Sealed } from './database';

const KEY_NAME = 'vault';

export class Vault {
  constructor(private readonly database: Promise<Database>) {}

  async seal(value: unknown): Promise<Sealed> {
    return this.sealBytes(new TextEncoder().encode(JSON.stringify(value)));
  }

  async open<T>(sealed: Sealed): Promise<T | null> {
    const bytes = await this.openBytes(sealed);
    return bytes ? (JSON.parse(new TextDecoder().decode(bytes)) as T) : null;
  }

  async put(name: string, value: unknown): Promise<void> {
    const sealed = await this.seal(value);
    await (await this.database).put('sealed', sealed, name);
  }

  async get<T>(name: string): Promise<T | null> {
    const sealed = await (await this.database).get('sealed', name);
    return sealed ? this.open<T>(sealed) : null;
  }

  async putBlob(name: string, blob: Blob): Promise<void> {
    const sealed = await this.sealBytes(new Uint8Array(await blob.arrayBuffer()));
    await (await this.database).put('sealed', sealed, name);
  }

  async getBlob(name: string, type = 'image/jpeg'): Promise<Blob | null> {
    const sealed = await (await this.database).get('sealed', name);
    const bytes = sealed ? await this.openBytes(sealed) : null;
    return bytes ? new Blob([bytes], { type }) : null;
  }

  async names(prefix: string): Promise<string[]> {
    return (await (await this.database).getAllKeys('sealed')).filter((name) => name.startsWith(prefix));
  }

  async drop(prefix: string): Promise<void> {
    const database = await this.database;
    for (const name of await this.names(prefix)) await database.delete('sealed', name);
  }

  /** Sign-out: the key first, then what it sealed. */
  async erase(): Promise<void> {
    const database = await this.database;
    await database.delete('keys', KEY_NAME);
    await Promise.all([database.clear('sealed'), database.clear('outbox')]);
  }

  private async key(): Promise<CryptoKey> {
    const database = await this.database;
    const known = await database.get('keys', KEY_NAME);
    if (known) return known;
    const made = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
    // Two tabs may get here together: the first to write wins, and both use what was written.
    const transaction = database.transaction('keys', 'readwrite');
    const meanwhile = await transaction.store.get(KEY_NAME);
    if (!meanwhile) await transaction.store.put(made, KEY_NAME);
    await transaction.done;
    return meanwhile ?? made;
  }

  private async sealBytes(bytes: Uint8Array<ArrayBuffer>): Promise<Sealed> {
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const data = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, await this.key(), bytes);
    return { iv, data };
  }

  private async openBytes(sealed: Sealed): Promise<ArrayBuffer | null> {
    try {
      return await crypto.subtle.decrypt({ name: 'AES-GCM', iv: sealed.iv }, await this.key(), sealed.data);
    } catch (error) {
      if (error instanceof DOMException && error.name === 'OperationError') return null; // sealed under an erased key
      throw error;
    }
  }
}
