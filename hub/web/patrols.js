// Patrols that are out: what they shall cover and what nobody has come near yet, on the map and in their vehicle's card.

import { ask } from "./api.js";
import { el } from "./elements.js";
import { count } from "./figures.js";
import { ago } from "./times.js";

/**
 * @typedef {object} Patrol
 * @property {string} id
 * @property {string} reference
 * @property {string} startedAt
 * @property {any} route
 * @property {{ name: string } | null} unit
 * @property {{ name: string } | null} beat
 * @property {{ id: string } | null} vehicle
 * @property {{ plannedMeters: number | null, coveredMeters: number | null, ratio: number | null, gaps: any } | null} coverage
 * @property {{ name: string, visitedAt: string | null }[]} checkpoints
 */

const OUT = `{
  patrols(where: { status: { eq: UNDER_WAY } }, first: 100) {
    nodes {
      id reference startedAt route unit { name } beat { name } vehicle { id }
      coverage { plannedMeters coveredMeters ratio gaps } checkpoints { name visitedAt }
    }
  }
}`;

/** What is covered changes with every fix; to work it out costs the hub more than to tell where somebody is. */
const EVERY_MS = 15_000;

/** Covered is a full line, what is left a broken one: told apart without colours, too. */
const COLOURS = { light: { covered: "#14713f", left: "#b3540a", casing: "#ffffff" }, dark: { covered: "#58c98c", left: "#ffab66", casing: "#0d1113" } };

/**
 * Reads who is out for as long as the page is open.
 * @param {{ onRead: () => void }} from
 */
export function startPatrols({ onRead }) {
  /** @type {Patrol[]} */
  let out = [];

  async function read() {
    try {
      const { patrols } = /** @type {any} */ (await ask(OUT));
      out = patrols.nodes;
      onRead();
    } catch {
      // What was drawn stays; the next look is soon.
    }
  }
  read();
  setInterval(() => document.hidden || read(), EVERY_MS);

  /** @param {(patrol: Patrol) => any} of */
  const lines = (of) => ({
    type: "FeatureCollection",
    features: out.filter(of).map((patrol) => ({ type: "Feature", geometry: of(patrol), properties: { id: patrol.id } })),
  });

  return {
    data: () => ({ "patrol-routes": lines(({ route }) => route), "patrol-gaps": lines(({ coverage }) => coverage?.gaps) }),
    /** @param {{ dark: boolean }} look */
    layers({ dark }) {
      const colours = dark ? COLOURS.dark : COLOURS.light;
      const layout = { "line-join": "round", "line-cap": "round" };
      return [
        { id: "patrol-casing", type: "line", source: "patrol-routes", layout, paint: { "line-color": colours.casing, "line-width": 8, "line-opacity": 0.7 } },
        { id: "patrol-routes", type: "line", source: "patrol-routes", layout, paint: { "line-color": colours.covered, "line-width": 4, "line-opacity": 0.8 } },
        { id: "patrol-left", type: "line", source: "patrol-gaps", paint: { "line-color": colours.casing, "line-width": 4.5 } },
        { id: "patrol-gaps", type: "line", source: "patrol-gaps", paint: { "line-color": colours.left, "line-width": 4, "line-dasharray": [1.6, 1.2] } },
      ];
    },
    /** The patrol that a vehicle is out on. @param {string} vehicle */
    of: (vehicle) => out.find((patrol) => patrol.vehicle?.id === vehicle) ?? null,
    many: () => out.length,
  };
}

const kilometres = (/** @type {number} */ meters) => `${(meters / 1000).toFixed(1)} km`;

/** What a vehicle's card says of its patrol. @param {Patrol} patrol */
export function inCard(patrol) {
  const { coverage, checkpoints } = patrol;
  const seen = checkpoints.filter(({ visitedAt }) => visitedAt).length;
  const planned = coverage?.plannedMeters;
  return el(
    "section",
    { class: "patrol" },
    el("h3", {}, `On patrol ${patrol.reference}`),
    el("p", {}, [patrol.unit?.name, patrol.beat?.name, `began ${ago(patrol.startedAt)}`].filter(Boolean).join(" · ")),
    planned
      ? el(
          "p",
          {},
          el("meter", { min: "0", max: "1", value: String(coverage?.ratio ?? 0), "aria-label": "Covered of planned" }),
          ` ${kilometres(coverage?.coveredMeters ?? 0)} of ${kilometres(planned)} covered (${Math.round((coverage?.ratio ?? 0) * 100)} %)`,
        )
      : "",
    checkpoints.length ? el("p", {}, `${count(seen)} of ${count(checkpoints.length)} places visited`) : "",
    el("p", { class: "help" }, "On the map: full where it was covered, broken where not yet."),
  );
}
