/** The phone's own small store. Everything personal in it is sealed by the vault before it is written. */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb';

export interface Sealed {
  iv: Uint8Array<ArrayBuffer>;
  data: ArrayBuffer;
}

export interface OutboxRow {
  /** The order in which actions were made; the server takes them in this order. */
  order?: number;
  userId: string;
  sealed: Sealed;
}

export interface CordonSchema extends DBSchema {
  keys: { key: string; value: CryptoKey };
  sealed: { key: string; value: Sealed };
  outbox: { key: number; value: OutboxRow };
}

export type Database = IDBPDatabase<CordonSchema>;

export function openDatabase(name = 'cordon'): Promise<Database> {
  return openDB<CordonSchema>(name, 1, {
    upgrade(db) {
      db.createObjectStore('keys');
      db.createObjectStore('sealed');
      db.createObjectStore('outbox', { keyPath: 'order', autoIncrement: true });
    },
  });
}
