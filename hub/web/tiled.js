// Where there are more than a page should hold: the map draws the hub's vector tiles, which leave nothing out.

import { SEVERITIES } from "./vocabulary.js";

/** So many incidents or vehicles a page lists and draws itself; of more the hub draws tiles. */
export const MOST_LISTED = 4_000;

/** How often tiles are asked for anew; those that did not change are answered by their tag alone. */
export const REFRESH_MS = 10_000;

/** The layers that the map draws from tiles, by the name of the hub's layer. */
export const TILED = { incidents: ["incident-tile-heaps", "incident-tiles"], vehicles: ["vehicle-tile-heaps", "vehicle-tiles"] };

/** @typedef {keyof typeof TILED} Tiled */

/** @param {Tiled} name */
const source = (name) => ({ type: "vector", tiles: [`${location.origin}/tiles/${name}/{z}/{x}/{y}.mvt`], minzoom: 0, maxzoom: 16 });

export const sources = () => ({ "incidents-tiled": source("incidents"), "vehicles-tiled": source("vehicles") });

const upper = (/** @type {string} */ name) => ["upcase", ["get", name]];
const STAGE = ["match", ["get", "status"], "reported", "new", "contained", "contained", "open"];
const RANK = ["match", ["get", "severity"], ...SEVERITIES.flatMap((severity, rank) => [severity.toLowerCase(), rank]), SEVERITIES.length - 1];

/** Hidden until they are wanted: what is hidden asks for no tiles. @param {{ number: string, text: string, halo: string, strong: string[] }} look */
export function layers({ number, text, halo, strong }) {
  const above = { "icon-allow-overlap": true, "icon-ignore-placement": true, visibility: "none" };
  const counted = { "text-font": strong, "text-field": ["to-string", ["get", "count"]], "text-allow-overlap": true, "text-ignore-placement": true };
  const of = (/** @type {Tiled} */ name) => ({ type: "symbol", source: `${name}-tiled`, "source-layer": name });
  return [
    { ...of("vehicles"), id: "vehicle-tiles", filter: ["==", ["get", "count"], 1], layout: { ...above, "icon-image": ["concat", "vehicle ", upper("kind"), " ", upper("status")] } },
    {
      id: "vehicle-tile-heaps",
      type: "circle",
      source: "vehicles-tiled",
      "source-layer": "vehicles",
      filter: [">", ["get", "count"], 1],
      layout: { visibility: "none" },
      paint: { "circle-color": text, "circle-stroke-color": halo, "circle-stroke-width": 2, "circle-radius": ["interpolate", ["linear"], ["ln", ["get", "count"]], 0, 5, 8, 16], "circle-opacity": 0.75 },
    },
    { ...of("incidents"), id: "incident-tiles", filter: ["==", ["get", "count"], 1], layout: { ...above, "icon-image": ["concat", upper("severity"), " ", STAGE], "symbol-sort-key": ["-", RANK] } },
    {
      ...of("incidents"),
      id: "incident-tile-heaps",
      filter: [">", ["get", "count"], 1],
      layout: { ...above, ...counted, "icon-image": ["concat", "heap ", ["to-string", RANK]], "text-size": ["case", [">=", ["get", "count"], 100], 11.5, 13.5], "text-offset": [0, 0.28], "symbol-sort-key": ["-", RANK] },
      paint: { "text-color": number },
    },
  ];
}
