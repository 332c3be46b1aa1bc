/** This phone's place, told to the coordinator while its officer is on duty, and shown to be told. */
import { clock } from './clock.svelte';
import { live } from './live.svelte';

const EVERY_MS = 5_000;

class PositionShare {
  shared = $state(false);
  private coords: GeolocationCoordinates | null = null;

  /** Shares until the returned function is called. */
  watch(): () => void {
    if (!('geolocation' in navigator)) return () => undefined;
    const watching = navigator.geolocation.watchPosition(
      ({ coords }) => {
        const first = this.coords === null;
        this.coords = coords;
        if (first) void this.send();
      },
      () => this.stop(),
      { enableHighAccuracy: true, maximumAge: 10_000 },
    );
    const timer = setInterval(() => void this.send(), EVERY_MS);
    return () => {
      navigator.geolocation.clearWatch(watching);
      clearInterval(timer);
      this.stop();
    };
  }

  private async send(): Promise<void> {
    if (!this.coords) return;
    const { longitude: lon, latitude: lat, accuracy } = this.coords;
    this.shared = await live.sharePosition({ lon, lat, accuracy_m: accuracy, at: clock.stamp() });
  }

  private stop(): void {
    this.coords = null;
    this.shared = false;
  }
}

export const position = new PositionShare();
