/**
 * Who is signed in. Without signal the last session's name and roles (never a password, never the cookie) let the
 * app open on what this phone already holds; the server still decides everything once it is reached.
 */
import { ApiRefusal, Unreachable } from '../api/client';
import { api, client } from '../api/endpoints';
import type { Installation, Role, Session, User, Vocabulary } from '../api/types';
import { clock } from './clock.svelte';
import { database, vault } from './local';

type Status = 'starting' | 'signed_out' | 'signed_in';

class SessionStore {
  status = $state<Status>('starting');
  user = $state.raw<User | null>(null);
  installation = $state.raw<Installation | null>(null);
  vocabulary = $state.raw<Vocabulary | null>(null);
  /** Signed in by memory only: the server has not been reached yet. */
  remembered = $state(false);
  private readonly onEnd: (() => Promise<void> | void)[] = [];

  constructor() {
    client.onSignedOut = () => void this.ended('expired');
    client.onServerTime = (ms) => clock.serverSays(ms);
  }

  whenEnded(action: () => Promise<void> | void): void {
    this.onEnd.push(action);
  }

  has(...roles: Role[]): boolean {
    return this.user?.roles.some((role) => roles.includes(role)) ?? false;
  }

  get notice(): string | null {
    return this.installation?.pack.notice ?? null;
  }

  async start(): Promise<void> {
    await Promise.all([this.loadInstallation(), this.resume()]);
  }

  async signIn(username: string, password: string): Promise<void> {
    await this.begin(await api.signIn(username, password));
  }

  async signOut(): Promise<void> {
    try {
      await api.signOut();
    } catch (error) {
      // Without signal the phone is emptied all the same; the server ends the session at its expiry.
      if (!(error instanceof Unreachable) && !(error instanceof ApiRefusal)) throw error;
    }
    await this.ended('wiped');
  }

  /**
   * The session is over. Nothing readable stays on the device; but when it merely expired, actions that still wait
   * to be sent stay sealed until the same person signs in again.
   */
  async ended(how: 'wiped' | 'expired'): Promise<void> {
    if (this.status === 'signed_out') return;
    this.status = 'signed_out';
    this.user = null;
    this.vocabulary = null;
    this.remembered = false;
    client.csrfToken = null;
    for (const action of this.onEnd) await action();
    if (how === 'wiped') await vault.erase();
    else {
      const owner = await vault.get<User>('session');
      await vault.drop('');
      if (owner) await vault.put('owner', owner.id);
    }
  }

  /** After a start without signal: the token that changes need, once the server is there. */
  async refresh(): Promise<void> {
    if (this.status === 'signed_in' && (this.remembered || !client.csrfToken)) await this.resume();
    if (this.status === 'signed_in' && !this.vocabulary) await this.loadVocabulary();
  }

  /** Asks the server whether the session still stands. True unless it says no. */
  async check(): Promise<boolean> {
    await this.resume();
    return this.status === 'signed_in';
  }

  private async resume(): Promise<void> {
    try {
      await this.begin(await api.session());
    } catch (error) {
      if (error instanceof ApiRefusal && error.status === 401) await this.ended('expired');
      else await this.remember();
    }
  }

  private async begin(session: Session): Promise<void> {
    client.csrfToken = session.csrf_token;
    this.remembered = false;
    const owner = (await vault.get<User>('session'))?.id ?? (await vault.get<string>('owner'));
    if (owner && owner !== session.user.id) await vault.erase();
    this.user = session.user;
    await vault.put('session', session.user);
    await this.loadVocabulary();
    this.status = 'signed_in';
  }

  private async remember(): Promise<void> {
    const user = (await (await database).count('sealed')) ? await vault.get<User>('session') : null;
    if (!user) {
      this.status = 'signed_out';
      return;
    }
    this.user = user;
    this.remembered = true;
    this.vocabulary = await vault.get<Vocabulary>('vocabulary');
    this.status = 'signed_in';
  }

  private async loadVocabulary(): Promise<void> {
    try {
      this.vocabulary = await api.vocabulary();
      await vault.put('vocabulary', this.vocabulary);
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      this.vocabulary = await vault.get<Vocabulary>('vocabulary');
    }
  }

  private async loadInstallation(): Promise<void> {
    try {
      this.installation = await api.installation();
      localStorage.setItem('cordon.installation', JSON.stringify(this.installation));
    } catch {
      // The exercise banner must not vanish with the signal.
      const known = localStorage.getItem('cordon.installation');
      this.installation = known ? (JSON.parse(known) as Installation) : null;
    }
  }
}

export const session = new SessionStore();
