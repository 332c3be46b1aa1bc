/**
 * Similarity in words, beside its number. The words say where a score lies between the threshold in force and a
 * perfect 1.0: they compare two pictures and never say who somebody is.
 */
import type { MessageKey } from '../messages';

/** Shares of the way from the threshold to 1.0; display only, no decision hangs on them. */
const ABOVE_FROM = 0.12;
const WELL_ABOVE_FROM = 0.35;

export type Similarity = 'below' | 'just' | 'above' | 'well';

export function similarity(score: number, threshold: number): Similarity {
  if (score < threshold) return 'below';
  const share = (score - threshold) / Math.max(1 - threshold, 1e-6);
  if (share < ABOVE_FROM) return 'just';
  return share < WELL_ABOVE_FROM ? 'above' : 'well';
}

export const similarityKey = (level: Similarity): MessageKey => `similarity.${level}`;
