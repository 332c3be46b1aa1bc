import { describe, expect, it } from 'vitest';
import type { Position } from '../api/types';
import { areaOf, cornersFromText, isInside, polygonOf, textFromCorners } from './zone';

const SQUARE: Position[] = [
  [-0.1, 51.5],
  [-0.0986, 51.5],
  [-0.0986, 51.5009],
  [-0.1, 51.5009],
];

describe('a zone that is being drawn', () => {
  it('is the same as text and back', () => {
    expect(cornersFromText(textFromCorners(SQUARE))).toEqual(SQUARE);
    expect(cornersFromText('51.5, -0.1; 51.5 -0.0986\n\n51.5009,-0.0986')).toEqual(SQUARE.slice(0, 3));
  });

  it.each(['51.5', 'here, there', '51.5, -0.1, 3', '95, 0', '51.5, 181'])('refuses %s', (line) => {
    expect(cornersFromText(line)).toBeNull();
  });

  it('is a closed polygon from three corners on', () => {
    expect(polygonOf(SQUARE.slice(0, 2))).toBeNull();
    expect(polygonOf(SQUARE)?.coordinates[0]).toHaveLength(5);
  });

  it('has the area of its ground', () => {
    expect(areaOf(SQUARE)).toBeGreaterThan(9_500);
    expect(areaOf(SQUARE)).toBeLessThan(10_000);
    expect(areaOf([])).toBe(0);
  });

  it('knows what stands in it', () => {
    expect(isInside(SQUARE, [-0.0993, 51.5004])).toBe(true);
    expect(isInside(SQUARE, [-0.0985, 51.5004])).toBe(false);
  });
});
