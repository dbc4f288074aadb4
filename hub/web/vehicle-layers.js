// Vehicles on the map: a disc with what it is, a nose where it goes, and what it is called. One source, drawn by the map.

import { canvas, FINE } from "./mark.js";
import { called, isStale } from "./vehicles.js";

/** @typedef {import("./vehicles.js").Placed} Placed */

/** From here on there is room for what a vehicle is called. */
const NAMED_FROM = 11.5;

/** The layers that answer a click. */
export const CLICKABLE = ["vehicles"];

/** Status by colour and filling together: ready is full and green, at work full and blue, out of service hollow. */
const COLOURS = {
  light: { AVAILABLE: "#14713f", ASSIGNED: "#1552a8", OUT_OF_SERVICE: "#66727a", casing: "#ffffff", edge: "#1d2326", track: "#6b2fa0" },
  dark: { AVAILABLE: "#58c98c", ASSIGNED: "#7db4ff", OUT_OF_SERVICE: "#9aa6ad", casing: "#0d1113", edge: "#e8ecee", track: "#c79bf2" },
};

/** In a square of 20; several kinds look alike from above, and share a drawing. */
const LORRY = "M3.2 6.4H11.6V13.4H3.2ZM12.4 8.4H14.8L16.8 10.8V13.4H12.4Z M4.6 14.2H7.4V15.6H4.6ZM12.8 14.2H15.6V15.6H12.8Z";
const CAR = "M3 10.6 5 9.6 6.6 6.6H13.2L15 9.6 17 10.6V13.6H3ZM5 14.2H7.4V15.6H5ZM12.6 14.2H15V15.6H12.6Z";
const GLYPHS = /** @type {Record<string, string>} */ ({
  AMBULANCE: "M8.2 4.4H11.8V8.2H15.6V11.8H11.8V15.6H8.2V11.8H4.4V8.2H8.2Z",
  FIRE_ENGINE: "M10.6 3.4Q11 6.2 13 8.2 15 10.2 14.4 12.8 13.6 16 10 16.2 6.4 16 5.6 12.8 5.2 10.6 6.8 8.8 7.2 10.2 8.2 10.4 7.8 6.6 10.6 3.4Z",
  RESCUE_BOAT: "M3.4 11.4H16.6L14.4 15.4H5.6ZM9.4 3.8H10.6V10.6H9.4ZM11.2 4.8 15 10.2H11.2Z",
  PATROL_CAR: "M10 3.6 15.6 5.4V10Q15.2 14 10 16.6 4.8 14 4.4 10V5.4Z",
  MOTORCYCLE: "M5.4 9.8A2.8 2.8 0 1 1 5.4 15.4 2.8 2.8 0 1 1 5.4 9.8ZM14.6 9.8A2.8 2.8 0 1 1 14.6 15.4 2.8 2.8 0 1 1 14.6 9.8ZM6 8 10 6.6 14.4 9.6 10.6 11.6H7.6ZM11.2 4.6H14V6H11.8Z",
  PICKUP: "M3 9.8H9V6.6H12.6L14.6 9.6 17 10.4V13.6H3ZM5 14.2H7.4V15.6H5ZM12.6 14.2H15V15.6H12.6Z",
  CAR,
  TRUCK: LORRY,
  TIPPER: "M2.8 8.6 11.2 5 11.8 12.8H4.6ZM12.4 8.4H14.8L16.8 10.8V13.4H12.4ZM4.6 14.2H7.4V15.6H4.6ZM12.8 14.2H15.6V15.6H12.8Z",
  BUS: "M3.4 5.2H16.6V8H3.4ZM3.4 8.8H16.6V13.6H3.4ZM5 14.2H7.4V15.6H5ZM12.6 14.2H15V15.6H12.6Z",
  WATER_BOWSER: "M10 3.6Q15 9.4 15 12A5 5 0 0 1 5 12Q5 9.4 10 3.6Z",
  ON_FOOT: "M10 3.6A1.9 1.9 0 1 1 10 7.4 1.9 1.9 0 1 1 10 3.6ZM8.2 8H11.8L14.2 11.2 13 12 11.8 10.6V12.2L13 16.4H11.4L10 12.8 8.6 16.4H7L8.2 12.2V10.6L7 12 5.8 11.2Z",
  EXCAVATOR: "M3.6 13.2H11.6V15.6H3.6ZM4.6 8.4H9.6V12.6H4.6ZM9.6 9.4 12.4 4.6 16.2 8.8 14.8 12.8 12.8 12 13.8 9.2 12.6 7.6 10.6 11Z",
});
const OTHER = "M10 6.4A3.6 3.6 0 1 1 10 13.6 3.6 3.6 0 1 1 10 6.4Z";

/** @param {string} status @returns {"AVAILABLE" | "ASSIGNED" | "OUT_OF_SERVICE"} */
const known = (status) => (status === "AVAILABLE" || status === "ASSIGNED" ? status : "OUT_OF_SERVICE");

/**
 * @param {Placed[]} vehicles
 * @param {string | null} chosen  the id of the one whose card is open
 */
export const features = (vehicles, chosen) => ({
  type: "FeatureCollection",
  features: vehicles.map((vehicle) => ({
    type: "Feature",
    geometry: vehicle.at?.location,
    properties: {
      id: vehicle.id,
      icon: `vehicle ${vehicle.kind} ${known(vehicle.status)}`,
      nose: `nose ${known(vehicle.status)}`,
      name: called(vehicle).slice(0, 40),
      stale: isStale(vehicle) ? 1 : 0,
      // Whoever stands still points nowhere: what the device says of it is chance.
      ...(vehicle.at?.heading !== null && (vehicle.at?.speedKmh ?? 1) >= 1 ? { heading: vehicle.at?.heading } : {}),
      first: vehicle.id === chosen ? 2 : vehicle.status === "OUT_OF_SERVICE" ? 0 : 1,
    },
  })),
});

/** @param {[number, number][]} line */
export const track = (line) => ({
  type: "FeatureCollection",
  features: line.length > 1 ? [{ type: "Feature", geometry: { type: "LineString", coordinates: line }, properties: {} }] : [],
});

const SIZE = ["interpolate", ["linear"], ["zoom"], 8, 0.62, 11, 0.82, 13, 1];
const FADED = ["case", ["==", ["get", "stale"], 1], 0.45, 1];

/** @param {{ text: string, halo: string, font: string[], dark: boolean }} look */
export const layers = ({ text, halo, font, dark }) => {
  const colours = dark ? COLOURS.dark : COLOURS.light;
  const above = { "icon-allow-overlap": true, "icon-ignore-placement": true, "icon-size": SIZE, "symbol-sort-key": ["get", "first"] };
  const line = { type: "line", source: "vehicle-track", layout: { "line-join": "round", "line-cap": "round" } };
  return [
    { ...line, id: "vehicle-track-casing", paint: { "line-color": colours.casing, "line-width": 6, "line-opacity": 0.8 } },
    { ...line, id: "vehicle-track", paint: { "line-color": colours.track, "line-width": 3 } },
    {
      id: "vehicle-headings",
      type: "symbol",
      source: "vehicles",
      filter: ["has", "heading"],
      layout: { ...above, "icon-image": ["get", "nose"], "icon-rotate": ["get", "heading"], "icon-rotation-alignment": "map" },
      paint: { "icon-opacity": FADED },
    },
    { id: "vehicles", type: "symbol", source: "vehicles", layout: { ...above, "icon-image": ["get", "icon"] }, paint: { "icon-opacity": FADED } },
    {
      id: "vehicle-names",
      type: "symbol",
      source: "vehicles",
      minzoom: NAMED_FROM,
      layout: {
        "text-field": ["get", "name"],
        "text-font": font,
        "text-size": 12,
        "text-max-width": 12,
        "text-variable-anchor": ["top", "bottom", "right", "left"],
        "text-radial-offset": 1.3,
        "text-justify": "auto",
        "symbol-sort-key": ["-", ["get", "first"]],
      },
      paint: { "text-color": text, "text-halo-color": halo, "text-halo-width": 1.8, "text-opacity": ["case", ["==", ["get", "stale"], 1], 0.7, 1] },
    },
  ];
};

/**
 * The picture that a layer asks for by name, or null.
 * @param {string} name  such as `vehicle AMBULANCE AVAILABLE` or `nose ASSIGNED`
 * @param {boolean} dark
 */
export function drawn(name, dark) {
  const [what, ...rest] = name.split(" ");
  if (what === "nose") return nose(known(rest[0]), dark);
  return what === "vehicle" ? disc(rest[0], known(rest[1]), dark) : null;
}

const RADIUS = 11.5;
const SIDE = 30;
const NOSE_SIDE = 52;

/** @param {string} kind @param {"AVAILABLE" | "ASSIGNED" | "OUT_OF_SERVICE"} status @param {boolean} dark */
function disc(kind, status, dark) {
  const colours = dark ? COLOURS.dark : COLOURS.light;
  const hollow = status === "OUT_OF_SERVICE";
  const pen = canvas(SIDE);
  pen.translate(SIDE / 2, SIDE / 2);
  const ring = (/** @type {number} */ radius, /** @type {string} */ colour) => {
    pen.beginPath();
    pen.arc(0, 0, radius, 0, 2 * Math.PI);
    pen.fillStyle = colour;
    pen.fill();
  };
  ring(RADIUS + 2.2, `${colours.edge}8c`);
  ring(RADIUS + 1.4, colours.casing);
  ring(RADIUS, colours[status]);
  if (hollow) ring(RADIUS - 2.2, colours.casing);
  const scale = 0.86;
  pen.scale(scale, scale);
  pen.translate(-10, -10);
  pen.fillStyle = hollow ? colours[status] : colours.casing;
  pen.fill(new Path2D(GLYPHS[kind] ?? OTHER));
  if (hollow) {
    pen.strokeStyle = colours[status];
    pen.lineWidth = 2.2;
    pen.beginPath();
    pen.moveTo(1.6, 18.4);
    pen.lineTo(18.4, 1.6);
    pen.stroke();
  }
  return pen.getImageData(0, 0, SIDE * FINE, SIDE * FINE);
}

/** A triangle that looks out from behind the disc, to the north. @param {"AVAILABLE" | "ASSIGNED" | "OUT_OF_SERVICE"} status @param {boolean} dark */
function nose(status, dark) {
  const colours = dark ? COLOURS.dark : COLOURS.light;
  const pen = canvas(NOSE_SIDE);
  pen.translate(NOSE_SIDE / 2, NOSE_SIDE / 2);
  pen.lineJoin = "round";
  const shape = new Path2D("M0 -22 8 -9.5H-8Z");
  pen.strokeStyle = `${colours.edge}8c`;
  pen.lineWidth = 4.4;
  pen.stroke(shape);
  pen.strokeStyle = colours.casing;
  pen.lineWidth = 2.8;
  pen.stroke(shape);
  pen.fillStyle = colours[status];
  pen.fill(shape);
  return pen.getImageData(0, 0, NOSE_SIDE * FINE, NOSE_SIDE * FINE);
}

/**
 * The same disc beside text; what it says stands there in words.
 * @param {string} kind
 * @param {string} status
 */
export function badge(kind, status) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "-2 -2 24 24");
  svg.setAttribute("class", `badge badge-${known(status).toLowerCase()}`);
  svg.setAttribute("aria-hidden", "true");
  for (const [d, name] of [["M10 -1.4A11.4 11.4 0 1 1 10 21.4 11.4 11.4 0 1 1 10 -1.4Z", "disc"], [GLYPHS[kind] ?? OTHER, "glyph"], ["M2.6 17.4 17.4 2.6", "slash"]]) {
    if (name === "slash" && known(status) !== "OUT_OF_SERVICE") continue;
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", d);
    path.setAttribute("class", name);
    svg.append(path);
  }
  return svg;
}
