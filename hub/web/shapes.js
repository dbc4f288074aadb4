// Small geometry on longitudes and latitudes, for what the page must know before the hub is asked.

/** @typedef {import("./api.js").Geometry} Geometry */
/** @typedef {import("./api.js").Point} Point */
/** @typedef {[number, number, number, number]} Box  west, south, east, north */

/**
 * @param {Geometry} geometry
 * @returns {Point[][][]} polygons, each its outer ring and then its holes
 */
const polygons = ({ type, coordinates }) => (type === "Polygon" ? [coordinates] : coordinates);

/**
 * @param {any} coordinates  as deep as GeoJSON has them
 * @returns {Point[]}
 */
const points = (coordinates) => (typeof coordinates[0] === "number" ? [coordinates] : coordinates.flatMap(points));

/**
 * The box around shapes or lines.
 * @param {...Geometry} geometries
 * @returns {Box}
 */
export function box(...geometries) {
  let [west, south, east, north] = [180, 90, -180, -90];
  for (const { coordinates } of geometries) {
    for (const [lon, lat] of points(coordinates)) {
      west = Math.min(west, lon);
      east = Math.max(east, lon);
      south = Math.min(south, lat);
      north = Math.max(north, lat);
    }
  }
  return [west, south, east, north];
}

/**
 * @param {Geometry} geometry
 * @param {Point} point
 */
export const covers = (geometry, point) => polygons(geometry).some((rings) => rings.filter((ring) => winds(ring, point)).length % 2 === 1);

/**
 * A place for a label: of a grid of points inside the shape, the one farthest from its edge.
 * @param {Geometry} geometry
 * @returns {Point}
 */
export function heart(geometry) {
  const [west, south, east, north] = box(geometry);
  const edge = polygons(geometry).flat(2);
  let best = /** @type {Point} */ ([(west + east) / 2, (south + north) / 2]);
  let room = -1;
  for (let row = 1; row < 24; row++) {
    for (let column = 1; column < 24; column++) {
      const point = /** @type {Point} */ ([west + ((east - west) * column) / 24, south + ((north - south) * row) / 24]);
      if (!covers(geometry, point)) continue;
      let nearest = Infinity;
      // A label is wide and low: room to the sides counts for less than half.
      for (const [lon, lat] of edge) nearest = Math.min(nearest, Math.hypot((lon - point[0]) / 2.5, lat - point[1]));
      if (nearest > room) [best, room] = [point, nearest];
    }
  }
  return best;
}

/**
 * Whether a ring goes round a point (even-odd rule).
 * @param {Point[]} ring
 * @param {Point} point
 */
function winds(ring, [x, y]) {
  let inside = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [xi, yi] = ring[i];
    const [xj, yj] = ring[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}
