/** The zone that is being drawn: its corners, as text and as a polygon. Positions are [lon, lat], open rings. */
import type { PolygonGeometry, Position } from '../api/types';

const METRES_PER_DEGREE = 111_320;

/** One corner a line, latitude first, as a map shows it: `51.5025, -0.0975`. Null where a line is none. */
export function cornersFromText(text: string): Position[] | null {
  const lines = text.split(/\n|;/).filter((line) => line.trim());
  const corners = lines.map((line): Position | null => {
    const parts = line.trim().split(/[\s,]+/);
    const [lat, lon] = parts.map(Number);
    if (parts.length !== 2 || lat === undefined || lon === undefined) return null;
    return Number.isFinite(lat) && Number.isFinite(lon) && Math.abs(lat) <= 85 && Math.abs(lon) <= 180 ? [lon, lat] : null;
  });
  return corners.includes(null) ? null : (corners as Position[]);
}

export const textFromCorners = (corners: readonly Position[]): string =>
  corners.map(([lon, lat]) => `${lat.toFixed(6)}, ${lon.toFixed(6)}`).join('\n');

/** Null while there are not three corners yet. */
export function polygonOf(corners: readonly Position[]): PolygonGeometry | null {
  const [first] = corners;
  return first && corners.length >= 3 ? { type: 'Polygon', coordinates: [[...corners, first]] } : null;
}

/** Square metres, on a plane touching the first corner. */
export function areaOf(corners: readonly Position[]): number {
  const [origin] = corners;
  if (!origin) return 0;
  const across = METRES_PER_DEGREE * Math.cos((origin[1] * Math.PI) / 180);
  const flat = corners.map(([lon, lat]) => [(lon - origin[0]) * across, (lat - origin[1]) * METRES_PER_DEGREE] as const);
  let twice = 0;
  flat.forEach(([x1, y1], index) => {
    const [x2, y2] = flat[(index + 1) % flat.length] ?? [0, 0];
    twice += x1 * y2 - x2 * y1;
  });
  return Math.abs(twice) / 2;
}

/** Even-odd rule, as the server asks it. */
export function isInside(corners: readonly Position[], [lon, lat]: Position): boolean {
  let inside = false;
  corners.forEach(([x1, y1], index) => {
    const [x2, y2] = corners[(index + 1) % corners.length] ?? [0, 0];
    if (y1 > lat !== y2 > lat && lon < ((x2 - x1) * (lat - y1)) / (y2 - y1) + x1) inside = !inside;
  });
  return inside;
}
