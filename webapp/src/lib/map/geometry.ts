/** The site plan as GeoJSON, from what the deployment itself says. Distances in metres, positions [lon, lat]. */
import type { Camera, PolygonGeometry, Position } from '../api/types';

export interface Shape {
  type: 'Feature';
  geometry:
    | { type: 'Polygon'; coordinates: Position[][] }
    | { type: 'LineString'; coordinates: Position[] }
    | { type: 'Point'; coordinates: Position };
  properties: Record<string, string | number>;
}

export interface Shapes {
  type: 'FeatureCollection';
  features: Shape[];
}

export const shapes = (features: Shape[]): Shapes => ({ type: 'FeatureCollection', features });

const METRES_PER_DEGREE = 111_320;
const WEDGE_STEPS = 16;

/** A point so many metres from another, by compass bearing. Flat-earth: exact enough within a zone of 1 km². */
export function offset([lon, lat]: Position, bearingDeg: number, metres: number): Position {
  const bearing = (bearingDeg * Math.PI) / 180;
  const north = (Math.cos(bearing) * metres) / METRES_PER_DEGREE;
  const east = (Math.sin(bearing) * metres) / (METRES_PER_DEGREE * Math.cos((lat * Math.PI) / 180));
  return [lon + east, lat + north];
}

export interface View {
  position: Position;
  heading_deg: number;
  fov_deg: number;
  range_m: number;
}

/** The field of view: a wedge from the camera, about its heading, as far as it recognises faces. */
export function viewOf(camera: View): Shape {
  const from = camera.heading_deg - camera.fov_deg / 2;
  const arc = Array.from({ length: WEDGE_STEPS + 1 }, (_, step) =>
    offset(camera.position, from + (camera.fov_deg * step) / WEDGE_STEPS, camera.range_m),
  );
  return {
    type: 'Feature',
    geometry: { type: 'Polygon', coordinates: [[camera.position, ...arc, camera.position]] },
    properties: {},
  };
}

/** The same with its state, for the colour. */
export const wedge = (camera: Camera): Shape => ({ ...viewOf(camera), properties: { state: camera.health.state } });

export interface Bounds {
  west: number;
  south: number;
  east: number;
  north: number;
}

export function bounds(positions: readonly Position[]): Bounds | null {
  if (positions.length === 0) return null;
  const lons = positions.map(([lon]) => lon);
  const lats = positions.map(([, lat]) => lat);
  return { west: Math.min(...lons), south: Math.min(...lats), east: Math.max(...lons), north: Math.max(...lats) };
}

/** Lines every so many metres around the zone: without a basemap they give the eye its scale. */
export function grid(within: Bounds, everyMetres: number): Shape[] {
  const middle: Position = [(within.west + within.east) / 2, (within.south + within.north) / 2];
  const latStep = everyMetres / METRES_PER_DEGREE;
  const lonStep = latStep / Math.cos((middle[1] * Math.PI) / 180);
  const half = 30;
  const line = (coordinates: Position[]): Shape => ({
    type: 'Feature',
    geometry: { type: 'LineString', coordinates },
    properties: {},
  });
  return Array.from({ length: half * 2 + 1 }, (_, index) => index - half).flatMap((n) => [
    line([
      [middle[0] + n * lonStep, middle[1] - half * latStep],
      [middle[0] + n * lonStep, middle[1] + half * latStep],
    ]),
    line([
      [middle[0] - half * lonStep, middle[1] + n * latStep],
      [middle[0] + half * lonStep, middle[1] + n * latStep],
    ]),
  ]);
}

/** A square zone about a point, for a first draft of a deployment. */
export function squareZone(centre: Position, sideMetres: number): PolygonGeometry {
  const reach = (sideMetres / 2) * Math.SQRT2;
  const corners = [45, 135, 225, 315].map((bearing) => offset(centre, bearing, reach));
  const first = corners[0] ?? centre;
  return { type: 'Polygon', coordinates: [[...corners, first]] };
}
