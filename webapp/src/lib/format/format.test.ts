import { expect, test } from 'vitest';
import { en } from '../messages/en';
import { t, tn } from '../messages';
import { similarity } from './similarity';
import { age, countdown, duration, pictureAge } from './time';

const NOW = Date.parse('2026-11-23T10:00:00Z');

test('an age is said in the unit that a person would use', () => {
  expect(age('2026-11-23T09:59:48Z', NOW)).toBe('12 s ago');
  expect(age('2026-11-23T09:57:00Z', NOW)).toBe('3 min ago');
  expect(age('2026-11-23T08:00:00Z', NOW)).toBe('2 h ago');
});

test('a phone whose clock is behind never shows an age below zero', () => {
  expect(age('2026-11-23T10:00:30Z', NOW)).toBe('0 s ago');
});

test('a deadline counts down to zero and is then overdue', () => {
  expect(countdown('2026-11-23T10:01:05Z', NOW)).toEqual({ text: '1:05', overdue: false, seconds: 65 });
  expect(countdown('2026-11-23T10:00:00Z', NOW)).toEqual({ text: '0:00', overdue: true, seconds: 0 });
});

test('similarity is said relative to the threshold in force, not by the number alone', () => {
  expect(similarity(0.41, 0.42)).toBe('below');
  expect(similarity(0.42, 0.42)).toBe('just');
  expect(similarity(0.55, 0.42)).toBe('above');
  expect(similarity(0.55, 0.2)).toBe('well');
  expect(similarity(0.95, 0.92)).toBe('well');
});

test('the age of a list picture warns in years, and an unknown date is not guessed', () => {
  expect(pictureAge('2022-05-01', NOW)).toBe('4 years old');
  expect(pictureAge('2026-05-01', NOW)).toBe('6 months old');
  expect(pictureAge(null, NOW)).toBeNull();
});

test('durations without a figure are a dash', () => {
  expect(duration(null)).toBe('–');
  expect(duration(6.4)).toBe('6.4 s');
  expect(duration(150)).toBe('2.5 min');
});

test('values are put into sentences, and counts choose their own', () => {
  expect(t('alert.title', { number: 7 })).toBe('Alert 7');
  expect(tn('alert.hits', 1)).toBe('seen once');
  expect(tn('alert.hits', 4)).toBe('seen 4 times');
});

test('no text claims that somebody was identified, cleared or confirmed as a match', () => {
  const forbidden = /\bidentified\b|\bclear(ed)?\b|match confirmed|confirmed match/i;
  const offending = Object.entries(en).filter(([, text]) => forbidden.test(text));
  expect(offending).toEqual([]);
});
