import { expect, test } from 'vitest';
import type { OperatingPoint } from '../api/types';
import { isTooLow, operatingPointSentence } from './operatingPoint';

const point: OperatingPoint = {
  pack: 'light 1',
  scope: 'operational',
  statement: '',
  list_limit: 20_000,
  false_alert_budget: 0.0001,
  threshold: 0.453,
  tpir: 0.906,
  tpir_low: 0.879,
  tpir_high: 0.928,
  fpir_high: 0.0001,
  refusal: null,
};

test('a budget is told by its threshold and what that finds', () => {
  expect(operatingPointSentence(point)).toBe(
    'At most 1 false alert in 10,000 faces, list of 20,000: threshold 0.453, finds about 91 % (88 % to 93 %)',
  );
});

test('a budget that the calibration cannot support is refused in the server’s sentence', () => {
  const refused = { ...point, threshold: null, tpir: null, tpir_low: null, tpir_high: null, refusal: 'It cannot.' };
  expect(operatingPointSentence(refused)).toBe('It cannot.');
  expect(isTooLow(refused, 0.2)).toBe(false);
});

test('a threshold below the derived one is too low, and the derived one is not', () => {
  expect(isTooLow(point, 0.452)).toBe(true);
  expect(isTooLow(point, 0.453)).toBe(false);
  expect(isTooLow(point, null)).toBe(false);
});
