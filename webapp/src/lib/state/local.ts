/** The device's own store and its vault, shared by all that keeps something for reading without signal. */
import { openDatabase } from '../offline/database';
import { Vault } from '../offline/vault';

export const database = openDatabase();
export const vault = new Vault(database);
