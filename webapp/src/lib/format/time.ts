/** Times as people say them. Pure: the present moment is always given. */
import { t, type MessageKey } from '../messages';

const LOCALE = 'en-GB';

/** "12 s ago", "3 min ago", "2 h ago". A clock that runs ahead never shows a negative age. */
export function age(at: string, nowMs: number): string {
  const seconds = Math.max(0, Math.floor((nowMs - Date.parse(at)) / 1000));
  if (seconds < 60) return t('age.seconds', { n: seconds });
  if (seconds < 3600) return t('age.minutes', { n: Math.floor(seconds / 60) });
  if (seconds < 86_400) return t('age.hours', { n: Math.floor(seconds / 3600) });
  return t('age.days', { n: Math.floor(seconds / 86_400) });
}

/** "0:42" left of a deadline; "overdue" is the caller's word. Whole seconds, never below zero. */
export function countdown(deadline: string, nowMs: number): { text: string; overdue: boolean; seconds: number } {
  const seconds = Math.ceil((Date.parse(deadline) - nowMs) / 1000);
  const left = Math.max(0, seconds);
  const text = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`;
  return { text, overdue: seconds <= 0, seconds: left };
}

export const clockTime = (at: string): string =>
  new Date(at).toLocaleTimeString(LOCALE, { hour: '2-digit', minute: '2-digit' });

export const clockSeconds = (at: string): string =>
  new Date(at).toLocaleTimeString(LOCALE, { hour: '2-digit', minute: '2-digit', second: '2-digit' });

export const dateTime = (at: string): string =>
  new Date(at).toLocaleString(LOCALE, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });

export const longDate = (at: string): string =>
  new Date(at).toLocaleDateString(LOCALE, { day: 'numeric', month: 'short', year: 'numeric' });

/** How old a reference picture is, in the words that warn of ageing; null when its date is unknown. */
export function pictureAge(takenOn: string | null, nowMs: number): string | null {
  if (!takenOn) return null;
  const years = (nowMs - Date.parse(takenOn)) / (365.25 * 86_400_000);
  if (Number.isNaN(years)) return null;
  if (years < 1) return t('picture.age_months', { n: Math.max(0, Math.floor(years * 12)) });
  return t('picture.age_years', { n: Math.floor(years) });
}

export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds < 90) return t('duration.seconds', { n: Math.round(seconds * 10) / 10 });
  return t('duration.minutes', { n: Math.round(seconds / 6) / 10 });
}

export const directionKey = (direction: string): MessageKey =>
  direction === 'left' || direction === 'right' || direction === 'towards' || direction === 'away'
    ? `direction.${direction}`
    : 'direction.unknown';
