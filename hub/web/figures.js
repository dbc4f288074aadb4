// Numbers, distances and dates as people read them.

const whole = new Intl.NumberFormat("en-KE", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en-KE", { maximumFractionDigits: 1 });

/** @param {number} value */
export const count = (value) => whole.format(value);

/** @param {number} km2 */
export const area = (km2) => `${tenths.format(km2)} km²`;

/**
 * People per km² of land; the lake is not part of it, nobody lives there.
 * @param {{ population: number | null, areaKm2: number | null }} unit
 */
export const density = ({ population, areaKm2 }) => (population && areaKm2 ? `${whole.format(population / areaKm2)}/km²` : null);

/** @param {number} meters */
export function distance(meters) {
  if (meters < 995) return `${whole.format(Math.max(10, Math.round(meters / 10) * 10))} m`;
  return `${(meters < 9_950 ? tenths : whole).format(meters / 1000)} km`;
}

/**
 * Latitude first, as people and radios give it.
 * @param {[number, number]} point
 */
export const coordinates = ([lon, lat]) => `${lat.toFixed(5)}, ${lon.toFixed(5)}`.replaceAll("-", "−");

/**
 * A position that somebody typed or pasted, in either order: the county lies near 0° N, 35° E, so which is which is plain.
 * @param {string} text
 * @returns {[number, number] | null}
 */
export function position(text) {
  const numbers = text.replaceAll("−", "-").match(/^\s*(-?\d{1,3}(?:\.\d+)?)°?\s*([NSEW]?)\s*[,;\s]\s*(-?\d{1,3}(?:\.\d+)?)°?\s*([NSEW]?)\s*$/i);
  if (!numbers) return null;
  const [, first, firstSide, second, secondSide] = numbers;
  const a = Number(first) * (/[SW]/i.test(firstSide) ? -1 : 1);
  const b = Number(second) * (/[SW]/i.test(secondSide) ? -1 : 1);
  const inCounty = (/** @type {number} */ lat, /** @type {number} */ lon) => Math.abs(lat) < 3 && lon > 32 && lon < 38;
  if (inCounty(a, b)) return [b, a];
  if (inCounty(b, a)) return [a, b];
  return null;
}

/** @param {string | null} date */
export const year = (date) => (date ? date.slice(0, 4) : null);
