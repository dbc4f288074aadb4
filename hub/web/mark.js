// The marks of incidents: how bad by shape, size and colour together, how far along by filling. One drawing for list and map.

/** @typedef {import("./vocabulary.js").Severity} Severity */
/** @typedef {"new" | "open" | "contained" | "over"} Stage */

/** Outlines in a square of 20; worse ones have sharper corners and are larger on the map. */
export const SHAPES = /** @type {Record<Severity, { outline: string, sign?: string, size: number }>} */ ({
  EXTREME: { outline: "M10 .9 19.1 10 10 19.1 .9 10Z", sign: "M10 5.6V11M10 14v.2", size: 32 },
  SEVERE: { outline: "M10 1.9 19 17.8H1Z", size: 27 },
  MODERATE: { outline: "M2.8 2.8H17.2V17.2H2.8Z", size: 22 },
  MINOR: { outline: "M10 3.2A6.8 6.8 0 1 1 10 16.8 6.8 6.8 0 1 1 10 3.2Z", size: 21 },
  UNKNOWN: { outline: "M10 3.2A6.8 6.8 0 1 1 10 16.8 6.8 6.8 0 1 1 10 3.2Z", sign: "M8.1 8.4A1.95 1.95 0 1 1 10.7 10.2Q10 10.5 10 11.3M10 13.4v.1", size: 21 },
});

/** From dark to light as it gets less bad, so that the order holds for every kind of colour blindness. */
export const COLOURS = {
  light: { EXTREME: "#8a0f4f", SEVERE: "#cf3019", MODERATE: "#ee8a1c", MINOR: "#f4cf3f", UNKNOWN: "#66727a", casing: "#ffffff", edge: "#1d2326", news: "#0b5583" },
  dark: { EXTREME: "#e0539f", SEVERE: "#f2563c", MODERATE: "#f6a03a", MINOR: "#f8dc5c", UNKNOWN: "#9aa6ad", casing: "#0d1113", edge: "#0d1113", news: "#7fc3ea" },
};

/** @param {string} status @returns {Stage} */
export function stage(status) {
  if (status === "REPORTED") return "new";
  if (status === "CONTAINED") return "contained";
  return status === "CLOSED" || status === "REJECTED" ? "over" : "open";
}

/** @param {string} severity @returns {Severity} */
const known = (severity) => /** @type {Severity} */ (severity in SHAPES ? severity : "UNKNOWN");

/**
 * The mark beside text; what it says stands there in words.
 * @param {string} severity
 * @param {string} status
 * @returns {SVGElement}
 */
export function mark(severity, status) {
  const { outline, sign } = SHAPES[known(severity)];
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "-1 -1 22 22");
  svg.setAttribute("class", `mark-of mark-${known(severity).toLowerCase()} stage-${stage(status)}`);
  svg.setAttribute("aria-hidden", "true");
  /** @param {string} d @param {string} name */
  const stroke = (d, name) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", d);
    path.setAttribute("class", name);
    svg.append(path);
  };
  stroke(outline, "outline");
  if (sign) stroke(sign, "sign");
  if (stage(status) === "new") stroke("M17 .2A3.4 3.4 0 1 1 17 7 3.4 3.4 0 1 1 17 .2Z", "news");
  return svg;
}

/**
 * The same as a picture for the map, twice as fine as it is shown.
 * @param {Severity} severity
 * @param {Stage} stage
 * @param {{ dark: boolean, vague: boolean }} how  `vague`: only the ward or a landmark nearby is known
 */
export function picture(severity, stage, { dark, vague }) {
  const { outline, sign, size } = SHAPES[severity];
  const colours = dark ? COLOURS.dark : COLOURS.light;
  const shown = stage === "over" ? size * 0.75 : size;
  const side = Math.ceil(Math.max(shown + 12, vague ? shown * 1.25 + 14 : 0));
  const pen = canvas(side);
  const scale = shown / 20;
  pen.translate(side / 2, side / 2);
  if (vague) {
    pen.setLineDash([4, 3.5]);
    pen.lineWidth = 1.8;
    pen.strokeStyle = colours[severity];
    pen.beginPath();
    pen.arc(0, severity === "SEVERE" ? 1.5 : 0, shown * 0.625 + 4, 0, 2 * Math.PI);
    pen.stroke();
    pen.setLineDash([]);
  }
  pen.scale(scale, scale);
  pen.translate(-10, -10);
  pen.lineJoin = "round";
  pen.lineCap = "round";
  const shape = new Path2D(outline);
  const hollow = stage === "contained" || stage === "over";
  if (stage === "over") pen.globalAlpha = 0.75;
  // A dark edge around a light one: it stands out on land, water and another mark alike.
  pen.strokeStyle = dark ? "#e8ecee" : colours.edge;
  pen.lineWidth = (hollow ? 5.6 : 3.4) / scale;
  pen.globalAlpha *= 0.55;
  pen.stroke(shape);
  pen.globalAlpha = stage === "over" ? 0.75 : 1;
  pen.strokeStyle = hollow ? colours[stage === "over" ? "UNKNOWN" : severity] : colours.casing;
  pen.lineWidth = (hollow ? 4 : 2) / scale;
  pen.stroke(shape);
  pen.fillStyle = hollow ? colours.casing : colours[severity];
  pen.fill(shape);
  if (sign) {
    pen.strokeStyle = hollow ? colours[stage === "over" ? "UNKNOWN" : severity] : colours.casing;
    pen.lineWidth = 2.2;
    pen.stroke(new Path2D(sign));
  }
  if (stage === "new") {
    pen.beginPath();
    pen.arc(16.6, 3.6, 4.2 / Math.max(scale, 1), 0, 2 * Math.PI);
    pen.fillStyle = colours.news;
    pen.strokeStyle = colours.casing;
    pen.lineWidth = 1.6 / scale;
    pen.fill();
    pen.stroke();
  }
  return pen.getImageData(0, 0, side * FINE, side * FINE);
}

/**
 * Several incidents on one spot: a disc for their number, in the colour and with the mark of the worst.
 * @param {Severity} severity
 * @param {boolean} dark
 */
export function heap(severity, dark) {
  const colours = dark ? COLOURS.dark : COLOURS.light;
  const side = 50;
  const pen = canvas(side);
  pen.translate(side / 2, side / 2 + 3);
  const ring = (/** @type {number} */ radius, /** @type {string} */ colour) => {
    pen.beginPath();
    pen.arc(0, 0, radius, 0, 2 * Math.PI);
    pen.fillStyle = colour;
    pen.fill();
  };
  ring(20, dark ? "#e8ecee88" : "#1d232688");
  ring(19.2, colours[severity]);
  ring(14.4, dark ? "#20272b" : "#ffffff");
  const { outline, size } = SHAPES[severity];
  const scale = (size * 0.5) / 20;
  pen.translate(0, -19);
  pen.scale(scale, scale);
  pen.translate(-10, -10);
  pen.lineJoin = "round";
  const shape = new Path2D(outline);
  pen.strokeStyle = colours.casing;
  pen.lineWidth = 4 / scale;
  pen.stroke(shape);
  pen.fillStyle = colours[severity];
  pen.fill(shape);
  return pen.getImageData(0, 0, side * FINE, side * FINE);
}

export const FINE = 2;

/** A sheet to draw a mark on, in the pixels in which it is shown. @param {number} side */
export function canvas(side) {
  const sheet = document.createElement("canvas");
  sheet.width = sheet.height = side * FINE;
  const pen = /** @type {CanvasRenderingContext2D} */ (sheet.getContext("2d"));
  pen.scale(FINE, FINE);
  return pen;
}
