/** Text by key. Another language is another file with the same keys; the compiler counts them. */
import { en } from './en';

export type MessageKey = keyof typeof en;
export type Messages = Readonly<Record<MessageKey, string>>;
export type Values = Readonly<Record<string, string | number>>;

const catalogues: Readonly<Record<string, Messages>> = { en };

const current: Messages = catalogues['en'] ?? en;

export function t(key: MessageKey, values: Values = {}): string {
  return current[key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

const plurals = new Intl.PluralRules('en-GB');

/** A counted sentence: `key.one` or `key.other`, with `{n}`. */
export function tn(key: 'outbox.waiting' | 'alert.hits', n: number): string {
  return t(plurals.select(n) === 'one' ? `${key}.one` : `${key}.other`, { n });
}
