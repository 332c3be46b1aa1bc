/** Markers are ordinary elements, kept by key: moved when they move, removed when gone, never rebuilt for a tick. */
import type { Map as MapLibre, Marker } from 'maplibre-gl';
import type { Position } from '../api/types';

export interface Pin {
  key: string;
  at: Position;
  /** Classes that the map's style sheet knows. */
  look: string;
  text: string;
  /** Spoken, and shown on hover. */
  label: string;
  testid: string;
  state?: string;
  onclick?: () => void;
}

interface Standing {
  marker: Marker;
  element: HTMLElement;
  pin: Pin;
}

type MakeMarker = (element: HTMLElement) => Marker;

export class Markers {
  private readonly standing = new Map<string, Standing>();

  constructor(
    private readonly map: MapLibre,
    private readonly make: MakeMarker,
  ) {}

  show(pins: readonly Pin[]): void {
    const wanted = new Set(pins.map((pin) => pin.key));
    for (const [key, { marker }] of this.standing) {
      if (wanted.has(key)) continue;
      marker.remove();
      this.standing.delete(key);
    }
    for (const pin of pins) this.place(pin);
  }

  private place(pin: Pin): void {
    const known = this.standing.get(pin.key);
    if (known) {
      known.marker.setLngLat(pin.at);
      this.dress(known.element, pin);
      known.pin = pin;
      return;
    }
    const element = document.createElement(pin.onclick ? 'button' : 'div');
    const body = document.createElement('span');
    element.append(body);
    this.dress(element, pin);
    const marker = this.make(element).setLngLat(pin.at).addTo(this.map);
    const standing: Standing = { marker, element, pin };
    element.addEventListener('click', () => standing.pin.onclick?.());
    this.standing.set(pin.key, standing);
  }

  private dress(element: HTMLElement, pin: Pin): void {
    // MapLibre keeps its own classes on the element: only ours change.
    const body = element.firstElementChild as HTMLElement;
    if (body.className !== pin.look) body.className = pin.look;
    if (body.textContent !== pin.text) body.textContent = pin.text;
    element.setAttribute('aria-label', pin.label);
    element.title = pin.label;
    element.dataset['testid'] = pin.testid;
    element.classList.add('pin');
    if (pin.state) element.dataset['state'] = pin.state;
  }
}
