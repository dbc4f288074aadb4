// Patrols: who is out, is planned or was, what they shall cover and what nobody has come near yet; in a list, on the map
// and in their vehicle's card.

import { ask, looksAs } from "./api.js";
import { el } from "./elements.js";
import { count } from "./figures.js";
import { ago, hour, now } from "./times.js";
import { word } from "./vocabulary.js";

/**
 * @typedef {object} Patrol
 * @property {string} id
 * @property {string} reference
 * @property {string} status
 * @property {string} plannedStart
 * @property {string | null} startedAt
 * @property {string | null} endedAt
 * @property {any} [route]
 * @property {{ name: string } | null} unit
 * @property {{ name: string } | null} beat
 * @property {{ id: string, plate: string } | null} vehicle
 * @property {{ plannedMeters: number | null, coveredMeters: number | null, ratio: number | null, gaps: any } | null} [coverage]
 * @property {{ name: string, visitedAt: string | null }[]} [checkpoints]
 */

const PATROL = "id reference status plannedStart startedAt endedAt unit { name } beat { name } vehicle { id plate }";
const COVERED = `${PATROL} route coverage { plannedMeters coveredMeters ratio gaps } checkpoints { name visitedAt }`;

/** Who is out, with what they covered; and what else is planned for today, or was done. */
const OUT = `query Patrols($day: Date!) {
  out: patrols(where: { status: { eq: UNDER_WAY } }, first: 100) { nodes { ${COVERED} } }
  today: patrols(where: { day: { eq: $day }, status: { ne: UNDER_WAY } }, first: 300) { nodes { ${PATROL} } }
}`;
const ONE = `query Patrol($id: ID!) { patrol(id: $id) { ${COVERED} } }`;

/** What is covered changes with every fix; to work it out costs the hub more than to tell where somebody is. */
const EVERY_MS = 15_000;

export const PATROL_STATUSES = ["UNDER_WAY", "PLANNED", "COMPLETED", "CANCELLED"];

/** Covered is a full line, what is left a broken one: told apart without colours, too. */
const COLOURS = { light: { covered: "#14713f", left: "#b3540a", casing: "#ffffff" }, dark: { covered: "#58c98c", left: "#ffab66", casing: "#0d1113" } };

/** Today in Kenya, which knows no summer time. */
const today = () => new Date(now() + 3 * 3600_000).toISOString().slice(0, 10);

/**
 * Reads who is out and who shall be for as long as the page is open, and lists them.
 * @param {{ onRead: () => void, onOpen: (plate: string) => void, onFit: (route: any) => void }} from
 */
export function startPatrols({ onRead, onOpen, onFit }) {
  /** @type {Patrol[]} */
  let out = [];
  /** @type {Patrol[]} */
  let others = [];
  /** Chosen in the list, and drawn though it may not be out. @type {Patrol | null} */
  let chosen = null;
  const filter = { shown: true, status: "", unit: "" };
  let asking = false;

  async function read() {
    if (!asking) return;
    const as = looksAs();
    try {
      const answer = /** @type {any} */ (await ask(OUT, { day: today() }));
      if (as !== looksAs() || !asking) return;
      out = answer.out.nodes;
      others = answer.today.nodes;
      if (chosen) chosen = out.find(({ id }) => id === chosen?.id) ?? chosen;
      drawPanel();
      onRead();
    } catch {
      // What was drawn stays; the next look is soon.
    }
  }
  setInterval(() => document.hidden || read(), EVERY_MS);

  /** @param {Patrol} patrol */
  const fits = ({ status, unit }) => (!filter.status || status === filter.status) && (!filter.unit || unit?.name === filter.unit);
  const drawn = () => (filter.shown ? [...out.filter(fits), ...(chosen && !out.includes(chosen) ? [chosen] : [])] : []);
  /** @param {(patrol: Patrol) => any} of */
  const lines = (of) => ({
    type: "FeatureCollection",
    features: drawn().filter(of).map((patrol) => ({ type: "Feature", geometry: of(patrol), properties: { id: patrol.id } })),
  });

  // ── The panel ────────────────────────────────────────────

  const sum = el("span", {}, "Patrols");
  const rows = el("ul", { class: "patrol-rows" });
  const none = el("p", { class: "help", role: "status" });
  const units = el("select", { "data-patrols": "unit", onChange: (/** @type {Event} */ event) => choose({ unit: /** @type {HTMLSelectElement} */ (event.target).value }) }, el("option", { value: "" }, "Any"));
  const panel = /** @type {HTMLDetailsElement} */ (
    el(
      "details",
      { class: "fleet-panel", id: "patrols", hidden: true },
      el("summary", {}, sum),
      el(
        "div",
        { class: "fleet-choices" },
        el(
          "label",
          { class: "fleet-toggle" },
          el("input", { type: "checkbox", checked: true, onChange: (/** @type {Event} */ event) => choose({ shown: /** @type {HTMLInputElement} */ (event.target).checked }) }),
          "Show patrols",
        ),
        el(
          "label",
          {},
          el("span", {}, "Status"),
          el(
            "select",
            { "data-patrols": "status", onChange: (/** @type {Event} */ event) => choose({ status: /** @type {HTMLSelectElement} */ (event.target).value }) },
            el("option", { value: "" }, "Any of today"),
            ...PATROL_STATUSES.map((status) => el("option", { value: status }, word(status))),
          ),
        ),
        el("label", {}, el("span", {}, "Unit"), units),
        rows,
        none,
      ),
    )
  );

  /** @param {Partial<typeof filter>} how */
  function choose(how) {
    Object.assign(filter, how);
    drawPanel();
    onRead();
  }

  function drawPanel() {
    sum.textContent = !filter.shown ? "Patrols hidden" : `Patrols ${count(out.length)} out`;
    const names = [...new Set([...out, ...others].map(({ unit }) => unit?.name).filter((name) => name !== undefined))].sort();
    if (names.join() !== [...units.querySelectorAll("option")].slice(1).map(({ value }) => value).join()) {
      units.replaceChildren(el("option", { value: "" }, "Any"), ...names.map((name) => el("option", { value: name, selected: name === filter.unit }, name)));
    }
    const found = [...out, ...others].filter(fits);
    const focused = rows.contains(document.activeElement) && document.activeElement?.closest("li")?.dataset.patrol;
    rows.replaceChildren(...found.map(row));
    if (focused) /** @type {HTMLElement | null} */ (rows.querySelector(`[data-patrol="${CSS.escape(focused)}"] button`))?.focus({ preventScroll: true });
    none.textContent = found.length ? "" : [...out, ...others].length ? "No patrol fits this filter." : "None is out, and none planned today.";
  }

  /** @param {Patrol} listed */
  function row(listed) {
    const is = chosen?.id === listed.id;
    const patrol = is && chosen ? chosen : listed;
    const { vehicle, coverage } = patrol;
    const about = [word(patrol.status), when(patrol), coverage?.ratio !== undefined && coverage?.ratio !== null && `${Math.round(coverage.ratio * 100)} % covered`];
    return el(
      "li",
      { "data-patrol": patrol.id, "data-status": patrol.status },
      el(
        "button",
        { type: "button", class: "patrol-row", "aria-expanded": String(is), onClick: () => open(listed) },
        el("strong", {}, [patrol.unit?.name, patrol.beat?.name].filter(Boolean).join(" · ") || patrol.reference),
        el("span", {}, about.filter(Boolean).join(" · ")),
      ),
      is ? inCard(patrol, { listed: true }) : "",
      is && vehicle ? el("button", { type: "button", class: "button-plain", onClick: () => onOpen(vehicle.plate) }, `Open ${vehicle.plate}`) : "",
    );
  }

  /** @param {Patrol} listed */
  async function open(listed) {
    if (chosen?.id === listed.id) chosen = null;
    else {
      chosen = listed;
      if (!listed.route && !out.includes(listed)) {
        const { patrol } = /** @type {any} */ (await ask(ONE, { id: listed.id }).catch(() => ({ patrol: null })));
        if (chosen?.id === listed.id && patrol) chosen = patrol;
      }
      if (chosen?.id === listed.id && chosen.route) onFit(chosen.route);
    }
    drawPanel();
    onRead();
  }

  return {
    panel,
    /** Whether the hub is asked for patrols at all: of whoever looks now. @param {boolean} is */
    asks(is) {
      asking = is;
      panel.hidden = !is;
      out = others = [];
      chosen = null;
      drawPanel();
      onRead();
      read();
    },
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
    many: () => drawn().length,
  };
}

/** @param {Patrol} patrol */
function when({ status, plannedStart, startedAt, endedAt }) {
  if (status === "UNDER_WAY" && startedAt) return `began ${ago(startedAt)}`;
  if (status === "COMPLETED" && endedAt) return `ended ${ago(endedAt)}`;
  return `planned for ${hour(Date.parse(plannedStart))}`;
}

const kilometres = (/** @type {number} */ meters) => `${(meters / 1000).toFixed(1)} km`;

/**
 * What a vehicle's card says of its patrol; in the list, where unit, beat and time stand above it, only the rest.
 * @param {Patrol} patrol
 * @param {{ listed?: boolean }} [how]
 */
export function inCard(patrol, { listed = false } = {}) {
  const { coverage, checkpoints = [] } = patrol;
  const seen = checkpoints.filter(({ visitedAt }) => visitedAt).length;
  const planned = coverage?.plannedMeters;
  return el(
    "section",
    { class: "patrol" },
    el("h3", {}, patrol.status === "UNDER_WAY" ? `On patrol ${patrol.reference}` : `Patrol ${patrol.reference}`),
    listed ? "" : el("p", {}, [patrol.unit?.name, patrol.beat?.name, when(patrol)].filter(Boolean).join(" · ")),
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
