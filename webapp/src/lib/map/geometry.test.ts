import { expect, test } from 'vitest';
import type { Camera } from '../api/types';
import { bounds, offset, squareZone, wedge } from './geometry';

const camera: Camera = {
  id: 'c1',
  name: 'North End 1',
  position: [-0.1, 51.4],
  heading_deg: 0,
  fov_deg: 60,
  range_m: 50,
  health: {
    state: 'live',
    detail: null,
    fps: 12,
    faces_seen: 0,
    frames_dropped: 0,
    median_face_px: null,
    brightness: null,
    last_frame_at: null,
  },
};

const METRE_NORTH = 1 / 111_320;

test('a bearing of 0 goes north and 90 goes east, by the metre', () => {
  const [, lat] = offset([-0.1, 51.4], 0, 100);
  expect(lat - 51.4).toBeCloseTo(100 * METRE_NORTH, 9);
  const [lon, sameLat] = offset([-0.1, 51.4], 90, 100);
  expect(sameLat).toBeCloseTo(51.4, 9);
  expect(lon).toBeGreaterThan(-0.1);
});

test('a camera’s wedge is closed, starts at the camera and opens about its heading', () => {
  const { geometry } = wedge(camera);
  const ring = geometry.type === 'Polygon' ? (geometry.coordinates[0] ?? []) : [];
  expect(ring[0]).toEqual(camera.position);
  expect(ring.at(-1)).toEqual(camera.position);
  const lons = ring.map(([lon]) => lon);
  expect(Math.min(...lons) - -0.1).toBeCloseTo(-(Math.max(...lons) - -0.1), 9);
});

test('a square zone has the side it was asked for', () => {
  const box = bounds(squareZone([-0.1, 51.4], 200).coordinates[0] ?? []);
  expect(((box?.north ?? 0) - (box?.south ?? 0)) / METRE_NORTH).toBeCloseTo(200, 3);
});

test('nothing has no bounds', () => {
  expect(bounds([])).toBeNull();
});
