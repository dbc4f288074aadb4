// The county's units as the page holds them: sub-counties with their wards, and how each is found by name.

/**
 * @typedef {import("./api.js").Geometry} Geometry
 * @typedef {{ code: string, name: string, aliases: string[], population: number | null, populationYear: number | null,
 *   areaKm2: number | null, boundary: Geometry, labelPoint: Geometry }} Area
 * @typedef {Area & { kind: "ward", generalisedMeters: number | null, subCounty: SubCounty }} Ward
 * @typedef {Area & { kind: "subcounty", tint: number, wards: Ward[] }} SubCounty
 * @typedef {Ward | SubCounty} Unit
 * @typedef {{ name: string, boundary: Geometry, areaKm2: number | null, approximate: boolean, note: string | null }} Water
 * @typedef {{ name: string, population: number | null, populationYear: number | null, areaKm2: number | null, boundary: Geometry,
 *   generalisedMeters: number | null, waters: Water[], subCounties: SubCounty[], wards: Ward[], unit: (kind: string, code: string) => Unit | undefined }} County
 */

/**
 * The county with wards tied to their sub-counties.
 * @param {{ county: any, subCounties: any[], wards: any[] }} answer
 * @returns {County}
 */
export function assemble(answer) {
  /** @type {SubCounty[]} */
  const subCounties = answer.subCounties.map((area, tint) => ({ ...area, kind: "subcounty", tint, wards: [] }));
  const byCode = new Map(subCounties.map((unit) => [`subcounty ${unit.code}`, /** @type {Unit} */ (unit)]));
  /** @type {Ward[]} */
  const wards = [];
  for (const area of answer.wards) {
    const subCounty = /** @type {SubCounty} */ (byCode.get(`subcounty ${area.subCounty.code}`));
    const ward = /** @type {Ward} */ ({ ...area, kind: "ward", subCounty });
    subCounty.wards.push(ward);
    wards.push(ward);
    byCode.set(`ward ${ward.code}`, ward);
  }
  const { waters, ...county } = answer.county;
  return { ...county, waters: waters.nodes, subCounties, wards, unit: (kind, code) => byCode.get(`${kind} ${code}`) };
}

/**
 * Letters and digits only, without accents or case: how "Masogo/Nyang'oma" and "masogo nyangoma" become the same.
 * @param {string} text
 */
export const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "");

/** @param {string} text */
const words = (text) => text.split(/[^\p{L}\p{N}'’]+/u).map(plain).filter(Boolean);

/**
 * Finds units by name, alias or code. Word order, spaces, slashes, apostrophes and accents don't matter; where nothing
 * fits, names that differ by one or two letters are offered.
 * @param {County} county
 * @returns {(text: string) => { unit: Unit, alias: string | null, guess: boolean }[]}
 */
export function finder(county) {
  const entries = [...county.subCounties, ...county.wards].flatMap((unit) =>
    [unit.name, ...unit.aliases].map((name, place) => ({ unit, name, alias: place ? name : null, joined: plain(name), words: words(name) })),
  );

  return (text) => {
    const asked = plain(text);
    const askedWords = words(text);
    if (!asked) return [];
    /** @type {Map<Unit, { unit: Unit, alias: string | null, guess: boolean, score: number }>} */
    const found = new Map();
    const offer = (/** @type {typeof entries[0]} */ entry, /** @type {number} */ score, guess = false) => {
      const rival = found.get(entry.unit);
      if (!rival || score < rival.score) found.set(entry.unit, { unit: entry.unit, alias: entry.alias, guess, score });
    };
    for (const entry of entries) {
      const score = rank(entry, asked, askedWords);
      if (score !== null) offer(entry, score + (entry.alias ? 0.5 : 0));
    }
    if (!found.size && asked.length > 3) {
      const slack = asked.length > 6 ? 2 : 1;
      for (const entry of entries) {
        for (const candidate of [entry.joined, ...entry.words]) {
          const apart = edits(asked, candidate, slack);
          if (apart <= slack) offer(entry, 10 + apart, true);
        }
      }
    }
    return [...found.values()].sort((a, b) => a.score - b.score || a.unit.name.localeCompare(b.unit.name));
  };
}

/**
 * How well a name answers what was typed; lower is better, null is not at all.
 * @param {{ unit: Unit, joined: string, words: string[] }} entry
 * @param {string} asked
 * @param {string[]} askedWords
 */
function rank({ unit, joined, words }, asked, askedWords) {
  if (unit.code === asked || joined === asked) return 0;
  if (joined.startsWith(asked)) return 1;
  if (words.some((word) => word.startsWith(asked))) return 2;
  if (/^\d+$/.test(asked)) return asked.length > 1 && unit.code.startsWith(asked) ? 3 : null;
  if (askedWords.every((part) => words.some((word) => word.startsWith(part)))) return 3;
  if (joined.includes(asked)) return 4;
  if (askedWords.length > 1 && askedWords.every((part) => joined.includes(part))) return 5;
  return null;
}

/**
 * Letters to change, add, drop or swap to get from one word to another, counted up to a limit.
 * @param {string} a
 * @param {string} b
 * @param {number} limit
 */
function edits(a, b, limit) {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  /** @type {number[]} */
  let before = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) row[j] = Math.min(row[j], before[j - 2] + 1);
    }
    [before, last] = [last, row];
  }
  return last[b.length];
}
