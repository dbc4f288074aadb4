// The fleet of somebody who may see it: on the map, in its card and live, drawn at most ten times a second.

import { looksAs } from "./api.js";
import { el, part } from "./elements.js";
import { count } from "./figures.js";
import { startLive } from "./live.js";
import { startVehicleCard } from "./vehicle-card.js";
import * as layers from "./vehicle-layers.js";
import { startPatrols } from "./patrols.js";
import { called, fleet, isStale, KINDS, MOVES, SEES_FLEET, STATUSES, today, vehicleOf } from "./vehicles.js";
import { ago } from "./times.js";
import { word } from "./vocabulary.js";

/** @typedef {import("./vehicles.js").Placed} Placed */
/** @typedef {import("./vehicles.js").Move} Move */

/** The map is drawn at most so often, however many vehicles move; of many each drawing takes longer. */
const REST_MS = 100;
const MANY = 500;
const REST_OF_MANY_MS = 250;

/** A map that is followed moves at most so often. */
const STEP_MS = 1_000;

/** How often what grew old meanwhile is drawn anew, and how often the list is read for what no move tells. */
const AGING_MS = 30_000;
const READ_AGAIN_MS = 120_000;

/**
 * @param {{ county: import("./wards.js").County, person: import("./account.js").Person, sheet: import("./sheet.js").Sheet,
 *   map: () => ReturnType<typeof import("./map.js").drawMap> | null,
 *   onOpen: (plate: string, how: { focus: boolean, travel: boolean }) => void, onSeveral: (vehicles: Placed[], incidents: string[]) => void,
 *   onUnit: (unit: import("./wards.js").Unit) => void, onState: (state: import("./live.js").State | null) => void }} from
 *   `onState`: null where there is no line
 */
export function startFleet({ county, person, sheet, map, onOpen, onSeveral, onUnit, onState }) {
  /** @type {Map<string, Placed>} */
  const held = new Map();
  let read = false;
  /** Whether there are more than are listed: the map draws tiles then, unless a filter looks among these. */
  let more = false;
  const filter = { shown: true, status: "", kind: "" };
  /** The plate of what is open. @type {string | null} */
  let open = null;
  let following = false;
  /** @type {"near" | "sight" | null} */
  let wanted = null;
  /** What the hub gave of today's track, what came since, and the zoom that it was thinned for. */
  let trail = { of: "", line: /** @type {[number, number][]} */ ([]), since: /** @type {[number, number][]} */ ([]), zoom: 0, asking: false };
  /** @type {ReturnType<typeof startLive> | null} */
  let live = null;

  const chosen = () => (open ? [...held.values()].find(({ plate }) => plate === open) ?? null : null);
  const card = startVehicleCard({
    county,
    sheet,
    onUnit,
    onOpen: (plate) => onOpen(plate, { focus: true, travel: true }),
    onFollow(is) {
      following = is;
      if (is) followNow();
    },
  });

  // ── On the map ───────────────────────────────────────────

  const stage = part("map");
  /** @type {Placed[]} */
  let visible = [];
  const overlay = {
    sources: () => ({ ...patrolSources(), vehicles: { type: "geojson", data: layers.features(visible, chosen()?.id ?? null) }, "vehicle-track": { type: "geojson", data: track() } }),
    // Beneath the vehicles: a patrol's way must not hide who goes there.
    /** @param {any} look */
    layers: (look) => [...patrols.layers(look), ...layers.layers(look)],
    drawn: layers.drawn,
    clickable: layers.CLICKABLE,
    /** @param {string} id @param {any} told  what the map's feature says of it @returns {[string, string]} */
    describe(id, { plate, kind, status }) {
      const vehicle = held.get(id);
      if (vehicle?.at) return [called(vehicle), `${word(vehicle.kind)} · ${word(vehicle.status)} · ${ago(vehicle.at.recordedAt)}`];
      return plate ? [plate, `${word(kind.toUpperCase())} · ${word(status.toUpperCase())}`] : ["", ""];
    },
    /** @param {string[]} ids @param {string[]} incidents */
    onChoose(ids, incidents) {
      if (ids.length === 1 && !held.has(ids[0])) {
        vehicleOf({ id: ids[0] }).then((vehicle) => vehicle && onOpen(vehicle.plate, { focus: false, travel: false })).catch(() => {});
        return;
      }
      const found = ids.map((id) => held.get(id)).filter((vehicle) => vehicle !== undefined);
      if (found.length === 1 && !incidents.length) onOpen(found[0].plate, { focus: false, travel: false });
      else if (found.length) onSeveral(found, incidents);
    },
    onDrag: () => card.follows(false),
    /** @param {number} zoom */
    onZoomed(zoom) {
      if (trail.of && Math.abs(zoom - trail.zoom) >= 1) askTrack();
    },
  };

  const patrols = startPatrols({
    onOpen: (plate) => onOpen(plate, { focus: true, travel: true }),
    onFit: (route) => map()?.fit(route),
    onRead() {
      for (const [name, data] of Object.entries(patrols.data())) map()?.data(name, data);
      stage.dataset.patrols = String(patrols.many());
      soon();
    },
  });
  const patrolSources = () => Object.fromEntries(Object.entries(patrols.data()).map(([name, data]) => [name, { type: "geojson", data }]));

  const track = () => layers.track([...trail.line, ...trail.since]);
  const fits = (/** @type {Placed} */ { at, status, kind }) => at && filter.shown && (!filter.status || status === filter.status) && (!filter.kind || kind === filter.kind);

  let asked = false;
  let lastDrawn = -Infinity;
  /** In the next frame, but not sooner than a moment after the last; a page in the background has no frames. */
  function soon() {
    if (asked) return;
    asked = true;
    const left = lastDrawn + (held.size > MANY ? REST_OF_MANY_MS : REST_MS) - performance.now();
    const frame = () => (document.hidden ? draw() : requestAnimationFrame(draw));
    if (left > 0 || document.hidden) setTimeout(frame, Math.max(left, 0));
    else frame();
  }

  function draw() {
    asked = false;
    lastDrawn = performance.now();
    const own = chosen();
    const asTiles = more && filter.shown && !filter.status && !filter.kind;
    map()?.tiled("vehicles", asTiles);
    // What is open stays to be seen, whatever the filter says.
    visible = [...held.values()].filter((vehicle) => (fits(vehicle) && !asTiles) || (vehicle === own && vehicle.at));
    map()?.data("vehicles", layers.features(visible, own?.id ?? null));
    stage.dataset.vehicles = String(visible.length);
    drawPanel();
    if (!open) return;
    if (!own && read && more && asking !== open) askOpen();
    card.draw(own, read && !(more && asking === open), own && patrols.of(own.id));
    const point = own?.at?.location.coordinates ?? null;
    map()?.ring(point);
    if (!own || !point) return;
    if (trail.of !== own.id || (trail.since.length && trail.line.length < 2 && !trail.asking)) askTrack();
    else if (trail.since.length) map()?.data("vehicle-track", track());
    if (wanted && map()) {
      map()?.reach(point, { close: wanted === "near" });
      wanted = null;
    }
    if (following) followNow();
  }

  let lastStep = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let step;
  function followNow() {
    clearTimeout(step);
    const left = lastStep + STEP_MS - performance.now();
    if (left > 0) {
      step = setTimeout(followNow, left);
      return;
    }
    const point = following && chosen()?.at?.location.coordinates;
    if (!point) return;
    lastStep = performance.now();
    map()?.centre(point);
  }

  /** The plate that is asked for just now, or was and is not there. @type {string | null} */
  let asking = null;
  /** What is open, and not among those that are listed. */
  async function askOpen() {
    const plate = /** @type {string} */ (open);
    asking = plate;
    const vehicle = await vehicleOf({ plate }).catch(() => null);
    if (vehicle) held.set(vehicle.id, vehicle);
    else if (open === plate) card.draw(null, true);
    if (vehicle) asking = null;
    soon();
  }

  async function askTrack() {
    const own = chosen();
    if (!own) return;
    const zoom = map()?.zoom() ?? 12;
    trail = { of: own.id, line: trail.of === own.id ? trail.line : [], since: [], zoom, asking: true };
    const mine = trail;
    try {
      const { line, driver } = await today(own.id, zoom);
      if (trail !== mine) return;
      card.driven(driver);
      soon();
      Object.assign(trail, { line, asking: false });
      map()?.data("vehicle-track", track());
      stage.dataset.track = String(line.length);
      card.tracked(line.length > 1 ? "" : "No track yet today.");
    } catch (error) {
      if (trail !== mine) return;
      trail.asking = false;
      card.tracked(`Today’s track did not load. ${error instanceof Error ? error.message : ""}`);
    }
  }

  // ── The list, and what moves ─────────────────────────────

  /** @param {Placed | undefined} before @param {Placed} after */
  const newer = (before, after) => !before?.at || (after.at && Date.parse(after.at.recordedAt) > Date.parse(before.at.recordedAt));

  async function load() {
    const as = looksAs();
    const { found, ...rest } = await fleet();
    if (as !== looksAs()) throw new Error("Somebody else’s view was asked for meanwhile.");
    const listed = new Set(found.map(({ id }) => id));
    for (const id of held.keys()) if (!listed.has(id)) held.delete(id);
    for (const vehicle of found) {
      const before = held.get(vehicle.id);
      // A move may have been told while the list was on its way.
      held.set(vehicle.id, newer(before, vehicle) ? vehicle : { ...vehicle, at: before?.at ?? null });
    }
    more = rest.more;
    read = true;
    soon();
    // Positions have cursors of their own, which no list tells: the line begins now, and reads the list once more then.
    return null;
  }

  /** @param {Move} move */
  function take({ vehicle, doubts, ...at }) {
    if (!vehicle) return;
    const before = held.get(vehicle.id);
    const after = { ...vehicle, at };
    // Late fixes come in too, and doubtful ones: neither moves a vehicle.
    const moves = !doubts.length && newer(before, after);
    // Where there are more than are listed, what is not stays on its tile.
    if (!before && (!moves || more)) return;
    held.set(vehicle.id, moves ? after : { ...vehicle, at: before?.at ?? null });
    if (moves && trail.of === vehicle.id) trail.since.push(at.location.coordinates);
  }

  function connect() {
    const as = looksAs();
    const sees = as ? SEES_FLEET.includes(as.split("@")[0].toUpperCase()) : person.roles.some((role) => SEES_FLEET.includes(role));
    panel.hidden = !sees;
    onState(null);
    patrols.asks(sees);
    if (!sees) {
      // Nothing comes: a card that waits for it says so.
      read = true;
      soon();
      return;
    }
    onState({ live: false, since: Date.now(), why: "", ended: false, joining: true });
    live = startLive({
      query: MOVES,
      payload: () => (looksAs() ? { seeAs: looksAs() } : {}),
      load,
      onEvent({ vehicleMoved: { cursor, positions } }) {
        for (const move of positions) take(move);
        soon();
        return cursor;
      },
      onState,
    });
  }

  // ── What is shown ────────────────────────────────────────

  const sum = el("span", {}, "Vehicles");
  /** @param {"status" | "kind"} name @param {string} label @param {string[]} values */
  const choice = (name, label, values) =>
    el(
      "label",
      {},
      el("span", {}, label),
      el(
        "select",
        {
          "data-vehicles": name,
          onChange: (/** @type {Event} */ event) => {
            filter[name] = /** @type {HTMLSelectElement} */ (event.target).value;
            soon();
          },
        },
        el("option", { value: "" }, "Any"),
        ...values.map((value) => el("option", { value }, word(value))),
      ),
    );
  const panel = /** @type {HTMLDetailsElement} */ (
    el(
      "details",
      { class: "fleet-panel", id: "fleet", hidden: true },
      el("summary", {}, sum),
      el(
        "div",
        { class: "fleet-choices" },
        el(
          "label",
          { class: "fleet-toggle" },
          el("input", {
            type: "checkbox",
            checked: true,
            onChange: (/** @type {Event} */ event) => {
              filter.shown = /** @type {HTMLInputElement} */ (event.target).checked;
              soon();
            },
          }),
          "Show vehicles",
        ),
        choice("status", "Status", STATUSES),
        choice("kind", "Kind", KINDS),
        el("p", { class: "help" }, "Green: available. Blue: assigned. Hollow: out of service. Faded: not heard of for 15 minutes."),
      ),
    )
  );
  part("report").after(el("div", { class: "panels" }, panel, patrols.panel));

  function drawPanel() {
    const placed = [...held.values()].filter(({ at }) => at);
    const said = !filter.shown ? "Vehicles hidden" : more ? `Vehicles over ${count(held.size)}` : visible.length === placed.length ? `Vehicles ${count(placed.length)}` : `Vehicles ${count(visible.length)} of ${count(placed.length)}`;
    if (sum.textContent !== said) sum.textContent = said;
    const old = visible.filter(isStale).length;
    panel.title = old ? `${count(old)} not heard of for 15 minutes` : "";
  }

  setInterval(soon, AGING_MS);
  setInterval(() => {
    // Of a status that changed while a vehicle stands still no move tells.
    if (live && document.body.dataset.live === "live" && !document.hidden) load().catch(() => {});
  }, READ_AGAIN_MS);
  connect();

  return {
    /** @param {string} plate @param {"near" | "sight" | null} go */
    show(plate, go) {
      following = false;
      open = plate;
      wanted = go;
      // On a phone there is room for one of the two.
      if (innerWidth < 700) panel.open = false;
      trail = { of: "", line: [], since: [], zoom: 0, asking: false };
      map()?.data("vehicle-track", track());
      card.show(plate);
      soon();
    },
    leave() {
      if (!open) return;
      open = wanted = null;
      following = false;
      trail = { of: "", line: [], since: [], zoom: 0, asking: false };
      delete stage.dataset.track;
      map()?.data("vehicle-track", track());
      map()?.ring(null);
      soon();
    },
    several: card.several,
    /** The map is there now. */
    drawn() {
      map()?.overlay(overlay);
      soon();
    },
    /** Somebody else looks, or oneself again. */
    again() {
      live?.stop();
      live = null;
      held.clear();
      read = false;
      soon();
      connect();
    },
    hurry: () => live?.hurry(),
  };
}
