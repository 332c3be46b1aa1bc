/**
 * The open deployment: its terms, team and cameras, and the fold of its events. Whatever arrives, by socket, by
 * catching up or with an action's answer, passes through `take`.
 */
import { ApiRefusal, Unreachable } from '../api/client';
import { api } from '../api/endpoints';
import type { Alert, Deployment, DeploymentEvent, Fix, HealthMessage, PresenceMessage, TeamMember } from '../api/types';
import { signal, urgencyOf } from '../alerting/signal';
import { EMPTY, fold, fromSnapshot, hasGap, withAnswer, type FoldState } from '../events/fold';
import { isLive } from '../events/select';
import { LiveSocket } from '../realtime/socket';
import { vault } from './local';
import { outbox } from './outbox.svelte';
import { pictures } from './pictures.svelte';
import { session } from './session.svelte';

export type Connection = 'connecting' | 'live' | 'offline';

interface Kept {
  deployment: Deployment;
  team: TeamMember[];
  alerts: Alert[];
  lastSeq: number;
}

const PAGE = 500;
const GAP_PATIENCE_MS = 400;
const KEPT = 'live';

class LiveDeployment {
  id = $state<string | null>(null);
  deployment = $state.raw<Deployment | null>(null);
  team = $state.raw<TeamMember[]>([]);
  connection = $state<Connection>('connecting');
  /** Alerts that came in while this screen was open and have not been looked at. */
  fresh = $state.raw<ReadonlySet<string>>(new Set());
  private folded = $state.raw<FoldState>(EMPTY);
  private catching: Promise<void> | null = null;
  private keepTimer: ReturnType<typeof setTimeout> | null = null;

  private readonly socket = new LiveSocket({
    joined: (id, lastSeq) => void this.joined(id, lastSeq),
    refused: () => session.check(),
    disconnected: () => (this.connection = 'offline'),
    event: (event) => this.take([event]),
    presence: (message) => this.presence(message),
    health: (message) => this.health(message),
    signedOut: () => void session.ended('wiped'),
  });

  constructor() {
    outbox.onAnswer = (answer, action) => {
      if (action.deploymentId !== this.id) return;
      if (answer.alert) this.folded = withAnswer(this.folded, answer.alert);
      if (answer.event) this.take([answer.event]);
    };
    session.whenEnded(async () => {
      this.close();
      await outbox.use(null);
      await pictures.clear();
    });
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') void this.catchUp();
    });
  }

  get alerts(): Alert[] {
    return [...this.folded.alerts.values()];
  }

  alert(id: string): Alert | null {
    return this.folded.alerts.get(id) ?? null;
  }

  get me(): TeamMember | null {
    return this.team.find((member) => member.user_id === session.user?.id) ?? null;
  }

  get onDuty(): boolean {
    return this.me?.on_duty ?? false;
  }

  name(userId: string): string {
    const member = this.team.find((one) => one.user_id === userId);
    return member?.callsign || member?.display_name || userId;
  }

  async open(id: string): Promise<void> {
    if (this.id === id) return;
    this.close();
    this.id = id;
    this.connection = 'connecting';
    try {
      await this.load(id);
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      this.connection = 'offline';
      await this.fromVault(id);
    }
    if (this.id !== id) return;
    if (this.follows) this.socket.join(id);
    else this.connection = 'live';
  }

  /** Events and alerts are for those in the street and at the desks; those who oversee read the records. */
  private get follows(): boolean {
    return session.has('officer', 'operator', 'coordinator');
  }

  close(): void {
    this.socket.leave();
    if (this.keepTimer) clearTimeout(this.keepTimer);
    this.keepTimer = null;
    this.id = null;
    this.deployment = null;
    this.team = [];
    this.folded = EMPTY;
    this.fresh = new Set();
  }

  /** Terms, counters and team again: after a change that this screen made. */
  async reload(): Promise<void> {
    const id = this.id;
    if (!id) return;
    const [deployment, team] = await Promise.all([api.deployment(id), this.loadTeam(id)]);
    if (this.id !== id) return;
    this.deployment = deployment;
    this.team = team;
  }

  async setDuty(on: boolean): Promise<void> {
    if (!this.id) return;
    await api.setDuty(this.id, on);
    this.team = this.team.map((one) => (one.user_id === session.user?.id ? { ...one, on_duty: on } : one));
    if (on) {
      await this.reload();
      this.keeping();
      this.prefetch(this.alerts.filter(isLive));
      this.keepSoon();
    } else {
      await pictures.clear();
      await vault.drop(KEPT);
    }
    this.keeping();
  }

  /** The last position only, and only on duty. One that cannot be sent now is dropped: an old place misleads. */
  async sharePosition(fix: Fix): Promise<boolean> {
    if (!this.id || !this.onDuty || this.connection !== 'live') return false;
    try {
      await api.sendPosition(this.id, fix);
      return true;
    } catch (error) {
      if (error instanceof Unreachable || error instanceof ApiRefusal) return false;
      throw error;
    }
  }

  looked(alertId: string): void {
    if (!this.fresh.has(alertId)) return;
    const fresh = new Set(this.fresh);
    fresh.delete(alertId);
    this.fresh = fresh;
  }

  private async load(id: string): Promise<void> {
    const [deployment, team, snapshot] = await Promise.all([
      api.deployment(id),
      this.loadTeam(id),
      this.follows ? api.alerts(id) : { alerts: [], last_seq: 0 },
    ]);
    if (this.id !== id) return;
    this.deployment = deployment;
    this.team = team;
    this.folded = fromSnapshot(snapshot.alerts, snapshot.last_seq, this.folded).state;
    this.keeping();
    this.prefetch(this.alerts.filter(isLive));
    this.keepSoon();
  }

  private loadTeam(id: string): Promise<TeamMember[]> {
    return this.follows ? api.team(id) : Promise.resolve([]);
  }

  private async joined(id: string, lastSeq: number): Promise<void> {
    if (this.id !== id) return;
    this.connection = 'live';
    await session.refresh();
    if (!this.deployment || session.remembered) await this.load(id);
    if (lastSeq > this.folded.lastSeq) await this.catchUp();
    else this.socket.received(id, this.folded.lastSeq);
    void outbox.flush();
  }

  private catchUp(): Promise<void> {
    this.catching ??= this.fetchMissed().finally(() => (this.catching = null));
    return this.catching;
  }

  private async fetchMissed(): Promise<void> {
    const id = this.id;
    if (!id || !this.deployment) return;
    try {
      for (;;) {
        const page = await api.events(id, this.folded.lastSeq, PAGE);
        if (this.id !== id) return;
        const before = this.folded.lastSeq;
        this.take(page.events);
        if (this.folded.lastSeq >= page.last_seq || this.folded.lastSeq === before) return;
      }
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error; // the next reconnection asks again
    }
  }

  private take(events: readonly DeploymentEvent[]): void {
    const ours = events.filter((event) => event.deployment_id === this.id);
    const step = fold(this.folded, ours);
    this.folded = step.state;
    for (const event of step.applied) this.consequences(event);
    if (step.applied.length > 0 && this.id) {
      this.socket.received(this.id, this.folded.lastSeq);
      this.keepSoon();
    }
    if (hasGap(this.folded)) setTimeout(() => hasGap(this.folded) && void this.catchUp(), GAP_PATIENCE_MS);
  }

  private consequences(event: DeploymentEvent): void {
    const alert = event.data.alert;
    if (alert && isLive(alert)) this.announce(event, alert);
    if (event.kind === 'duty') {
      const { user_id: userId, on } = event.data;
      this.team = this.team.map((one) => (one.user_id === userId ? { ...one, on_duty: on === true } : one));
    }
    if (event.kind === 'deployment' || event.kind === 'watchlist') void this.reload().catch(() => undefined);
  }

  private announce(event: DeploymentEvent, alert: Alert): void {
    const first = event.kind === 'dispatched' || event.kind === 'raised';
    const forMe = session.has('operator') ? first : session.has('officer') && this.onDuty && first;
    if (forMe && alert.kind === 'subject') {
      this.fresh = new Set(this.fresh).add(alert.id);
      signal(urgencyOf(alert));
    }
    if (first) this.prefetch([alert]);
  }

  private prefetch(alerts: readonly Alert[]): void {
    const id = this.id;
    if (!id || !(session.has('operator') || (session.has('officer') && this.onDuty))) return;
    for (const alert of alerts.slice(0, 12)) void pictures.load(id, alert.id);
  }

  private presence(message: PresenceMessage): void {
    if (message.deployment_id !== this.id) return;
    const known = this.team.some((one) => one.user_id === message.user_id);
    const change = {
      on_duty: message.on_duty,
      last_seen_at: message.at,
      position: message.position,
      callsign: message.callsign,
      display_name: message.display_name,
    };
    this.team = known
      ? this.team.map((one) => (one.user_id === message.user_id ? { ...one, ...change } : one))
      : [...this.team, { user_id: message.user_id, roles: ['officer'], ...change }];
  }

  private health(message: HealthMessage): void {
    if (message.deployment_id !== this.id || !this.deployment) return;
    const byId = new Map(message.cameras.map((camera) => [camera.id, camera]));
    this.deployment = {
      ...this.deployment,
      faces_seen: message.faces_seen,
      search: message.search,
      cameras: this.deployment.cameras.map((camera) => {
        const health = byId.get(camera.id);
        return health ? { ...camera, health: { ...camera.health, ...health } } : camera;
      }),
    };
  }

  /** Only an officer on duty carries alerts about; desks read them from the server. */
  private keeping(): void {
    pictures.keep = session.has('officer') && this.onDuty;
  }

  private keepSoon(): void {
    this.keeping();
    if (!pictures.keep || this.keepTimer) return;
    this.keepTimer = setTimeout(() => {
      this.keepTimer = null;
      const { id, deployment } = this;
      if (!id || !deployment || !pictures.keep) return;
      const kept: Kept = { deployment, team: this.team, alerts: this.alerts, lastSeq: this.folded.lastSeq };
      void vault.put(`${KEPT}/${id}`, kept);
    }, 600);
  }

  private async fromVault(id: string): Promise<void> {
    const kept = await vault.get<Kept>(`${KEPT}/${id}`);
    if (!kept || this.id !== id) return;
    if (Date.parse(kept.deployment.window_ends_at) < Date.now()) {
      // The deployment is over: what this phone kept of it goes, signal or none.
      await vault.drop(KEPT);
      await pictures.clear();
      return;
    }
    this.deployment = kept.deployment;
    this.team = kept.team;
    this.folded = fromSnapshot(kept.alerts, kept.lastSeq).state;
    this.keeping();
    this.prefetch(this.alerts.filter(isLive));
  }
}

export const live = new LiveDeployment();
