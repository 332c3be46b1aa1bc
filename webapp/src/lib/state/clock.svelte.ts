/** The present, once a second, by the server's clock: ages and deadlines must not depend on a phone set wrongly. */
class Clock {
  now = $state(Date.now());
  private offsetMs = 0;

  constructor() {
    setInterval(() => this.tick(), 1000);
  }

  /** HTTP dates have whole seconds, so small differences are noise, and are ignored. */
  serverSays(serverMs: number): void {
    const offset = serverMs - Date.now();
    const next = Math.abs(offset) > 2_000 ? offset : 0;
    if (Math.abs(next - this.offsetMs) > 1_500) {
      this.offsetMs = next;
      this.tick();
    }
  }

  /** The moment an action is made, for `made_at`. */
  stamp(): string {
    return new Date(Date.now() + this.offsetMs).toISOString();
  }

  private tick(): void {
    this.now = Date.now() + this.offsetMs;
  }
}

export const clock = new Clock();
