/**
 * A new alert is felt and heard as well as seen. Patterns differ by urgency, so that a hand on the phone knows which.
 * Sound is made here, no file: browsers allow it only after a touch, which `unlock` waits for.
 */
import type { Alert } from '../api/types';

export type Urgency = 'urgent' | 'normal';

/** A risk warning makes an alert urgent: two officers may need to read it before either moves. */
export const urgencyOf = (alert: Alert): Urgency => (alert.entry.risk_warning ? 'urgent' : 'normal');

const VIBRATION: Record<Urgency, number[]> = { urgent: [260, 90, 260, 90, 500], normal: [220, 120, 220] };
const TONES: Record<Urgency, number[]> = { urgent: [880, 660, 880, 660], normal: [660, 880] };
const TONE_S = 0.16;

let context: AudioContext | null = null;

export function unlock(): void {
  context ??= new AudioContext();
  if (context.state === 'suspended') void context.resume();
}

export function signal(urgency: Urgency): void {
  if ('vibrate' in navigator) navigator.vibrate(VIBRATION[urgency]);
  if (!context || context.state !== 'running') return;
  let at = context.currentTime;
  for (const frequency of TONES[urgency]) {
    const tone = context.createOscillator();
    const volume = context.createGain();
    tone.frequency.value = frequency;
    tone.type = 'triangle';
    volume.gain.setValueAtTime(0.0001, at);
    volume.gain.exponentialRampToValueAtTime(0.5, at + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, at + TONE_S);
    tone.connect(volume).connect(context.destination);
    tone.start(at);
    tone.stop(at + TONE_S);
    at += TONE_S + 0.03;
  }
}
