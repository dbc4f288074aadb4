// Incidents on the map: a mark for each, gathered from afar into discs that count them and wear the worst one's colour.

import { heap, picture, stage } from "./mark.js";
import { rank, SEVERITIES } from "./vocabulary.js";

/** @typedef {import("./incidents.js").Incident} Incident */

/** Up to this zoom incidents that lie together are one disc. */
const GATHERED_UNTIL = 13;

/** From here on there is room for what an incident is called. */
const NAMED_FROM = 12;

/** The layers that answer a click. */
export const CLICKABLE = ["heaps", "incidents"];

/** @param {Incident[]} incidents */
export const features = (incidents) => ({
  type: "FeatureCollection",
  features: incidents.map(({ id, severity, status, precision, title, location }) => ({
    type: "Feature",
    geometry: location,
    properties: {
      id,
      rank: rank(severity),
      over: stage(status) === "over" ? 1 : 0,
      icon: `${SEVERITIES[rank(severity)]} ${stage(status)}${precision === "POINT" ? "" : " vague"}`,
      title: title.length > 60 ? `${title.slice(0, 58)}…` : title,
    },
  })),
});

/** @param {Incident[]} incidents */
export const incidentSource = (incidents) => ({
  type: "geojson",
  data: features(incidents),
  cluster: true,
  clusterRadius: 30,
  clusterMaxZoom: GATHERED_UNTIL,
  clusterProperties: { worst: ["min", ["get", "rank"]] },
});

/** @param {{ text: string, halo: string, number: string, font: string[], strong: string[] }} look */
export const incidentLayers = ({ text, halo, number, font, strong }) => [
  {
    id: "incident-names",
    type: "symbol",
    source: "incidents",
    minzoom: NAMED_FROM,
    filter: ["!", ["has", "point_count"]],
    layout: {
      "text-field": ["get", "title"],
      "text-font": font,
      "text-size": 12.5,
      "text-max-width": 11,
      "text-variable-anchor": ["left", "right", "top", "bottom"],
      "text-radial-offset": 1.35,
      "text-justify": "auto",
      "symbol-sort-key": ["get", "rank"],
    },
    paint: { "text-color": text, "text-halo-color": halo, "text-halo-width": 1.8 },
  },
  {
    id: "incidents",
    type: "symbol",
    source: "incidents",
    filter: ["!", ["has", "point_count"]],
    // Nothing hides an incident, and an incident hides no name. The worse lies on top, what is over at the bottom.
    layout: {
      "icon-image": ["get", "icon"],
      "icon-allow-overlap": true,
      "icon-ignore-placement": true,
      "symbol-sort-key": ["-", ["*", -10, ["get", "over"]], ["get", "rank"]],
    },
  },
  {
    id: "heaps",
    type: "symbol",
    source: "incidents",
    filter: ["has", "point_count"],
    layout: {
      "icon-image": ["concat", "heap ", ["to-string", ["get", "worst"]]],
      "icon-allow-overlap": true,
      "icon-ignore-placement": true,
      "text-field": ["get", "point_count_abbreviated"],
      "text-font": strong,
      "text-size": ["case", [">=", ["get", "point_count"], 100], 11.5, 13.5],
      "text-offset": [0, 0.28],
      "text-allow-overlap": true,
      "text-ignore-placement": true,
      "symbol-sort-key": ["-", 0, ["get", "worst"]],
    },
    paint: { "text-color": number },
  },
];

/**
 * The picture that a layer asks for by name, or null.
 * @param {string} name  such as `SEVERE open`, `MINOR new vague` or `heap 0`
 * @param {boolean} dark
 */
export function drawn(name, dark) {
  const [first, second, third] = name.split(" ");
  if (first === "heap") return heap(SEVERITIES[Number(second)] ?? "UNKNOWN", dark);
  const severity = SEVERITIES.find((severity) => severity === first);
  return severity ? picture(severity, /** @type {any} */ (second), { dark, vague: third === "vague" }) : null;
}

