// How the county is drawn: a quiet base in two palettes, over which incidents can be seen.

import { incidentLayers, incidentSource } from "./incident-layers.js";
import * as tiled from "./tiled.js";
import { heart } from "./shapes.js";

/** @typedef {import("./wards.js").County} County */

const LIGHT = {
  outside: "#f1f0ec",
  tints: ["#f2ecd6", "#f7e4e0", "#eee4f5", "#deeee0", "#f8e8d8", "#e6eeda", "#d9efec"],
  pointed: "#4b4436",
  ward: "#b7b1a3",
  border: "#8a8273",
  county: "#6f685b",
  chosen: "#0b5583",
  casing: "#ffffff",
  text: "#33302a",
  strong: "#5b5447",
  halo: "#fffdf8",
  water: "#cfe2ee",
  shore: "#a9c6d8",
  waterText: "#2f6486",
};

/** @type {typeof LIGHT} */
const DARK = {
  outside: "#14181b",
  tints: ["#2b2a22", "#2e2625", "#2a2730", "#222c26", "#2e2922", "#272c22", "#202d2c"],
  pointed: "#f4efe4",
  ward: "#47494a",
  border: "#6d6f6e",
  county: "#8b8d8b",
  chosen: "#7fc3ea",
  casing: "#0f1315",
  text: "#dcdad4",
  strong: "#a7a79f",
  halo: "#14181b",
  water: "#13293a",
  shore: "#264b66",
  waterText: "#7fb0cf",
};

/** The first name only tells the weight; the letters come from the reader's own system typeface. */
const TYPEFACES = ["system-ui", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"];
const PLAIN = ["Label Medium", ...TYPEFACES];
const STRONG = ["Label Bold", ...TYPEFACES];
const SLANTED = ["Label Italic", ...TYPEFACES];

/** Below this zoom a screen holds the county; wards' names come in above it. */
const WARDS_FROM = 8.9;

/** From here on a sub-county is larger than the screen; its name would only stand in the way of its wards'. */
const NAMES_UNTIL = 10.6;

/** @param {"ward" | "subcounty" | "water"} kind */
const are = (kind) => ["==", ["get", "kind"], kind];

/**
 * MapLibre's style for the county, with its shapes inside, and the incidents over them.
 * @param {County} county
 * @param {import("./incidents.js").Incident[]} incidents
 * @param {boolean} dark
 * @returns {any}
 */
export function style(county, incidents, dark) {
  const colour = dark ? DARK : LIGHT;
  const tint = ["match", ["get", "tint"], ...colour.tints.flatMap((hex, i) => [i, hex]), colour.tints[0]];
  return {
    version: 8,
    name: "Kisumu County",
    transition: { duration: 0 },
    sources: { ...sources(county), incidents: incidentSource(incidents), ...tiled.sources() },
    layers: [
      { id: "outside", type: "background", paint: { "background-color": colour.outside } },
      { id: "water", type: "fill", source: "areas", filter: are("water"), paint: { "fill-color": colour.water, "fill-antialias": false } },
      { id: "wards", type: "fill", source: "areas", filter: are("ward"), paint: { "fill-color": tint, "fill-antialias": false } },
      {
        id: "wards-pointed",
        type: "fill",
        source: "areas",
        filter: are("ward"),
        paint: { "fill-color": colour.pointed, "fill-opacity": ["case", ["boolean", ["feature-state", "pointed"], false], 0.09, 0] },
      },
      {
        id: "ward-lines",
        type: "line",
        source: "areas",
        filter: are("ward"),
        layout: { "line-join": "round" },
        paint: { "line-color": colour.ward, "line-width": ["interpolate", ["linear"], ["zoom"], 8, 0.5, 13, 1.2] },
      },
      // The shore is where a ward's own outline meets water that is only approximately known: a soft line says so.
      {
        id: "shore",
        type: "line",
        source: "areas",
        filter: are("water"),
        paint: { "line-color": colour.shore, "line-width": 1, "line-dasharray": [3, 3] },
      },
      {
        id: "sub-county-lines",
        type: "line",
        source: "areas",
        filter: are("subcounty"),
        layout: { "line-join": "round" },
        paint: { "line-color": colour.border, "line-width": ["interpolate", ["linear"], ["zoom"], 8, 1, 13, 2.2] },
      },
      ...["casing", "chosen"].map((part) => ({
        id: `chosen-${part}`,
        type: "line",
        source: "areas",
        filter: ["==", ["get", "key"], ""],
        layout: { "line-join": "round" },
        paint: { "line-color": part === "casing" ? colour.casing : colour.chosen, "line-width": part === "casing" ? 6.5 : 3 },
      })),
      {
        id: "water-names",
        type: "symbol",
        source: "names",
        filter: are("water"),
        layout: {
          "text-field": ["get", "text"],
          "text-font": SLANTED,
          "text-size": ["interpolate", ["linear"], ["zoom"], 8, 11, 12, 17],
          "text-max-width": 9,
          "text-variable-anchor": ["center", "right", "top", "bottom", "left"],
        },
        paint: { "text-color": colour.waterText, "text-halo-color": colour.water, "text-halo-width": 1.2 },
      },
      {
        id: "ward-names",
        type: "symbol",
        source: "names",
        filter: are("ward"),
        minzoom: WARDS_FROM,
        layout: {
          "text-field": ["get", "text"],
          "text-font": PLAIN,
          "text-size": ["interpolate", ["linear"], ["zoom"], 9, 11.5, 14, 15],
          "text-max-width": 7,
          "text-padding": 6,
          // Of two names that don't fit, the larger ward's stays: the small ones come in as one zooms to them.
          "symbol-sort-key": ["-", ["get", "area"]],
        },
        paint: { "text-color": colour.text, "text-halo-color": colour.halo, "text-halo-width": 1.6, "text-halo-blur": 0.4 },
      },
      {
        id: "sub-county-names",
        type: "symbol",
        source: "names",
        filter: are("subcounty"),
        maxzoom: NAMES_UNTIL,
        layout: {
          "text-field": ["upcase", ["get", "text"]],
          "text-font": STRONG,
          "text-size": ["interpolate", ["linear"], ["zoom"], 8, 10.5, 11, 14],
          "text-letter-spacing": 0.12,
          "text-max-width": 8,
          "text-padding": 8,
          "text-variable-anchor": ["center", "top", "bottom", "left", "right"],
          "symbol-sort-key": ["-", ["get", "area"]],
        },
        paint: {
          "text-color": colour.strong,
          "text-halo-color": colour.halo,
          "text-halo-width": 1.8,
          "text-opacity": ["interpolate", ["linear"], ["zoom"], NAMES_UNTIL - 0.4, 1, NAMES_UNTIL, 0],
        },
      },
      {
        // Drawn on top, hence placed first: the name of what was chosen never gives way.
        id: "chosen-name",
        type: "symbol",
        source: "names",
        // From afar it would hide a small ward altogether; there the outline and the card say which it is.
        minzoom: 10.4,
        filter: ["==", ["get", "key"], ""],
        layout: { "text-field": ["get", "text"], "text-font": STRONG, "text-size": ["interpolate", ["linear"], ["zoom"], 9, 12, 14, 15.5], "text-max-width": 7 },
        paint: { "text-color": colour.chosen, "text-halo-color": colour.halo, "text-halo-width": 2 },
      },
      ...incidentLayers({ text: colour.text, halo: colour.halo, number: dark ? "#e8ecee" : "#1d2326", font: PLAIN, strong: STRONG }),
      ...tiled.layers({ text: colour.text, halo: colour.halo, number: dark ? "#e8ecee" : "#1d2326", strong: STRONG }),
    ],
  };
}

/** What layers that come later need to fit in. @param {boolean} dark */
export const look = (dark) => ({ text: (dark ? DARK : LIGHT).text, halo: (dark ? DARK : LIGHT).halo, font: PLAIN, dark });

/** @type {WeakMap<County, Record<string, unknown>>} */
const drawn = new WeakMap();

/**
 * Two sources for everything: MapLibre cuts, sends and draws each by itself, and a phone or a machine without a graphics
 * card feels every one. Names have points of their own, so that a ward of two parts has one name and tiles can't double it.
 * @param {County} county
 */
function sources(county) {
  const known = drawn.get(county);
  if (known) return known;
  /** @param {unknown[]} features */
  const source = (features) => ({ type: "geojson", data: { type: "FeatureCollection", features }, promoteId: "key" });
  /** @param {unknown} geometry @param {Record<string, unknown>} properties */
  const feature = (geometry, properties) => ({ type: "Feature", geometry, properties });
  const units = [...county.wards, ...county.subCounties];
  const made = {
    areas: source([
      ...county.waters.map((water) => feature(water.boundary, { kind: "water", key: `water ${water.name}` })),
      ...units.map((unit) =>
        feature(unit.boundary, {
          kind: unit.kind,
          key: `${unit.kind} ${unit.code}`,
          code: unit.code,
          tint: (unit.kind === "ward" ? unit.subCounty : unit).tint % 7,
        }),
      ),
    ]),
    names: source([
      ...county.waters.map((water) =>
        feature(
          { type: "Point", coordinates: heart(water.boundary) },
          { kind: "water", key: `water ${water.name}`, text: water.approximate ? `${water.name}\n(approximate)` : water.name },
        ),
      ),
      ...units.map((unit) =>
        feature(unit.labelPoint, { kind: unit.kind, key: `${unit.kind} ${unit.code}`, text: unit.name, area: unit.areaKm2 ?? 0 }),
      ),
    ]),
  };
  drawn.set(county, made);
  return made;
}
