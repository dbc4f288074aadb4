// The county's page: asks the hub for the wards, shows them in a list and on the map, and keeps both of one mind. For
// somebody who is signed in the desk joins in, with incidents.

import { signInHref, startAccount } from "./account.js";
import * as address from "./address.js";
import { county as askCounty } from "./api.js";
import { startCard } from "./card.js";
import { el, part } from "./elements.js";
import { drawBlank, drawList } from "./list.js";
import { mark } from "./mark.js";
import { tell, untilDone } from "./notice.js";
import { startSearch } from "./search.js";
import { startSheet } from "./sheet.js";
import { SEVERITIES, word } from "./vocabulary.js";
import { assemble } from "./wards.js";

/** @typedef {import("./wards.js").Unit} Unit */
/** @typedef {import("./address.js").Choice} Choice */

const phone = matchMedia("(max-width: 699px)");

/** MapLibre is a megabyte: it comes while the hub answers, and the list does not wait for it. */
const mapModule = import("./map.js").catch(() => null);

/** Whether anything here is real. */
const play = fetch("/demonstration").then((answer) => (answer.ok ? answer.json() : null)).catch(() => null);

drawBlank(part("units-list"));
startToggle();

const { county, me } = await untilDone(
  async () => {
    const answer = await askCounty();
    return { county: assemble(answer), me: answer.me };
  },
  { doing: "Loading 35 wards…", failed: "The wards did not load" },
);
let { choice, view } = address.read();
/** @type {HTMLElement | null} */
let cameFrom = null;
/** @type {ReturnType<typeof import("./map.js").drawMap> | null} */
let map = null;
/** @type {ReturnType<typeof import("./desk.js").startDesk> | null} Only for somebody who is signed in. */
let desk = null;

const sheet = startSheet({ onClose: () => close() });
const list = drawList(part("units-list"), county, {
  onChoose: (unit) => open(ofUnit(unit), { focus: true }),
  onPoint: (unit) => map?.light(unit),
});
if (!me) part("units-count").textContent = `${county.subCounties.length} sub-counties, ${county.wards.length} wards`;
document.title = `${county.name} County · Operations hub`;
drawKey();
part("key").toggleAttribute("open", innerWidth > (me ? 1400 : 900));
startSearch(county, {
  onUnit: (unit) => open(ofUnit(unit), { focus: true }),
  onPlace: (point) => open({ kind: "place", point }, { focus: true }),
  more: (text) => desk?.found(text) ?? [],
});
const card = startCard({ county, sheet, happens: (ward) => desk?.openIn(ward.code) ?? null, onChoose: (unit) => open(ofUnit(unit), { focus: true }) });
play.then(async (told) => {
  if (!told?.demonstration) return;
  const { startDemonstration } = await import("./demonstration.js");
  startDemonstration(told.demonstration, me?.name ?? null);
});
if (me) {
  // Whoever is not signed in loads none of it.
  const { startDesk } = await import("./desk.js");
  desk = startDesk({
    county,
    person: me,
    sheet,
    map: () => map,
    onOpen: (reference, { focus = true, travel = true } = {}) => open({ kind: "incident", reference }, { focus, travel }),
    onVehicle: (plate, how) => open({ kind: "vehicle", plate }, how),
    onSeveral: several,
    onUnit: (unit) => open(ofUnit(unit), { focus: true }),
    onReporting: startReporting,
    onList() {
      if (phone.matches || innerWidth < 1200) close();
      if (phone.matches) toggleUnits(true);
    },
    onSignOut: () => location.reload(),
  });
  if (choice && choice.kind !== "incident" && choice.kind !== "vehicle") desk.turn(choice.kind === "place");
} else startAccount(null, { county, onEyes() {}, onSignOut() {} });
show(choice, { travel: false });
document.body.dataset.listed = String(county.wards.length);

addEventListener("popstate", () => {
  // Back, forward, or an address that somebody typed.
  const said = address.read();
  ({ choice } = said);
  show(choice, { travel: !said.view });
  if (said.view) map?.stand(said.view);
  else if (!choice) map?.whole();
});
for (const skip of document.querySelectorAll(".skip")) {
  // Not by its hash: the address says what is open, not where the keyboard is.
  skip.addEventListener("click", (event) => {
    event.preventDefault();
    const to = skip.getAttribute("href") === "#map" ? document.querySelector("#map canvas") : document.querySelector(".row") ?? part("units");
    /** @type {HTMLElement | null} */ (to)?.focus();
  });
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.defaultPrevented && !part("card").hidden) close();
});

map = await drawing();
if (map) {
  const unit = unitOf(choice);
  map.choose(unit);
  map.pin(choice?.kind === "place" ? choice.point : null);
  if (!view && unit) map.show(unit);
  if (!view && choice?.kind === "place") map.reach(choice.point, { close: true });
  desk?.drawn();
  part("map").dataset.wards = String(await map.settled());
} else {
  document.body.dataset.map = "missing";
  if (phone.matches) toggleUnits(true);
  tell("The map can’t be drawn here", "This browser offers no WebGL, or the hub’s map files are missing. The list, the search and the cards work without it.");
}
document.body.dataset.ready = "true";
// What was being typed when the page went comes back with it.
if (desk?.report.waits && !choice) startReporting();

/** A card of several has no address of its own. */
function several() {
  choice = null;
  address.write(choice, view, { step: true });
  list.mark(null);
  document.body.toggleAttribute("data-open", true);
}

/** The map; null where the browser has no WebGL or the files of MapLibre did not come. */
async function drawing() {
  const module = await mapModule;
  try {
    return module && module.drawMap(county, view, {
      onWard: (ward) => open(ofUnit(ward), { focus: false, travel: false }),
      onPoint: (point) => open({ kind: "place", point }, { focus: false, travel: false }),
      onIncidents: (ids) => {
        if (desk?.choose(ids)) several();
      },
      describe: (id) => desk?.describe(id) ?? ["", ""],
      onMoved: (to) => {
        view = to;
        address.write(choice, view, { step: false });
      },
      onWhole: () => map?.whole(),
      room,
    });
  } catch {
    part("map").replaceChildren();
    return null;
  }
}

/**
 * Go to a ward, a sub-county or a point, or close what is open: one step that Back undoes.
 * @param {Choice} next
 * @param {{ focus: boolean, travel?: boolean }} how  whether a keyboard should follow, and the map
 */
function open(next, { focus, travel = true }) {
  const opening = next && part("card").hidden;
  if (opening) cameFrom = /** @type {HTMLElement} */ (document.activeElement);
  choice = next;
  address.write(choice, view, { step: true });
  show(choice, { travel });
  if (phone.matches && next) toggleUnits(false);
  if (focus && next) sheet.focus();
  if (focus && !next) {
    const back = cameFrom?.isConnected && cameFrom !== document.body && cameFrom.checkVisibility() ? cameFrom : part("search");
    back.focus({ preventScroll: true });
  }
}

function close() {
  const reporting = desk?.report.isOpen;
  open(null, { focus: !reporting });
  if (reporting) part("report").focus();
}

/** The form of a new incident instead of a card. */
function startReporting() {
  if (!desk) return;
  if (part("card").hidden) cameFrom = part("report");
  choice = null;
  address.write(choice, view, { step: false });
  show(null, { travel: false });
  if (phone.matches) toggleUnits(false);
  desk.report.open();
  document.body.toggleAttribute("data-open", true);
  // What stood in the middle of the map is to be clicked on: not behind the form.
  if (phone.matches) map?.aside();
}

/**
 * Bring card, list and map in line with what is chosen.
 * @param {Choice} what
 * @param {{ travel: boolean }} how
 */
function show(what, { travel }) {
  const unit = unitOf(what);
  if (desk?.report.isOpen) desk.report.leave();
  desk?.leave(what?.kind ?? null);
  if (unit) card.unit(unit);
  else if (what?.kind === "place") card.place(what.point);
  else if (what?.kind === "incident") showIncident(what.reference, map || view ? "sight" : "near", travel);
  else if (what?.kind === "vehicle") showVehicle(what.plate, map || view ? "sight" : "near", travel);
  else sheet.close();
  list.mark(unit ? what : null);
  document.body.toggleAttribute("data-open", !part("card").hidden);
  map?.choose(unit);
  map?.pin(what?.kind === "place" ? what.point : null);
  if (unit && travel) map?.show(unit);
  if (what?.kind === "place") map?.reach(what.point, { close: travel });
  if (what && !unit && (what.kind === "ward" || what.kind === "subcounty")) part("spoken").textContent = `There is no ${what.kind === "ward" ? "ward" : "sub-county"} ${what.code}.`;
  else part("spoken").textContent = unit ? `${unit.name} opened` : "";
}

/** @param {string} reference @param {"near" | "sight"} go @param {boolean} travel */
function showIncident(reference, go, travel) {
  if (!desk) {
    sheet.draw(reference, "Sign in to see incidents", el("p", {}, "Incidents are for those who deal with them, and for those who reported them."), el("a", { class: "button button-link", href: signInHref() }, "Sign in"));
    return;
  }
  desk.show(reference, travel || (go === "near") ? go : null);
}

/** @param {string} plate @param {"near" | "sight"} go @param {boolean} travel */
function showVehicle(plate, go, travel) {
  if (!desk) {
    sheet.draw(plate, "Sign in to see vehicles", el("p", {}, "Where vehicles are is for those who send them."), el("a", { class: "button button-link", href: signInHref() }, "Sign in"));
    return;
  }
  desk.showVehicle(plate, travel || go === "near" ? go : null);
}

/** @param {Unit} unit @returns {Choice} */
function ofUnit(unit) {
  return { kind: unit.kind, code: unit.code };
}

/** @param {Choice} what @returns {Unit | null} */
function unitOf(what) {
  return what && what.kind !== "place" && what.kind !== "incident" && what.kind !== "vehicle" ? county.unit(what.kind, what.code) ?? null : null;
}

/** What of the map is covered by the card and the phone's list, so that nothing is shown behind them. */
function room() {
  const margin = phone.matches ? 24 : 48;
  const room = { top: margin, right: margin, bottom: margin, left: margin };
  const stage = part("map").getBoundingClientRect();
  for (const sheet of [part("card"), part("units")]) {
    const over = sheet.getBoundingClientRect();
    const covers = !sheet.hidden && over.left < stage.right - 1 && over.right > stage.left + 1 && over.top < stage.bottom - 1;
    if (!covers) continue;
    if (over.width > stage.width * 0.9) {
      // The card still grows when its sources come: count on all that it may take.
      const grown = sheet.id === "card" ? Math.max(over.height, parseFloat(getComputedStyle(sheet).maxHeight) || 0) : over.height;
      room.bottom = Math.max(room.bottom, stage.bottom - over.bottom + grown + margin);
    }
    else room.right = Math.max(room.right, stage.right - over.left + margin);
  }
  return room;
}

function startToggle() {
  const toggle = document.querySelector(".units-toggle");
  toggle?.addEventListener("click", () => toggleUnits(toggle.getAttribute("aria-expanded") !== "true"));
}

/**
 * On a phone the list is a sheet that stands folded at the foot of the map.
 * @param {boolean} open
 */
function toggleUnits(open) {
  document.querySelector(".units-toggle")?.setAttribute("aria-expanded", String(open));
  document.body.toggleAttribute("data-units", open);
}

function drawKey() {
  const water = county.waters.find((water) => water.approximate);
  const summary = part("key").querySelector("summary");
  if (me && summary) summary.textContent = "Marks and boundaries (generalised, about 100–200 m; not for legal use)";
  part("key-body").replaceChildren(
    me ? incidentKey() : "",
    el(
      "ul",
      {},
      el("li", {}, el("span", { class: "line line-sub-county" }), "Sub-county"),
      el("li", {}, el("span", { class: "line line-ward" }), "Ward"),
      el("li", {}, el("span", { class: "patch patch-water" }), water ? "Water, approximate" : "Water"),
    ),
    el("p", {}, "Boundaries: derived from Kenya County Assembly Boundaries, B.D.A. Omare and G.J.M. Omare 2017, CC BY 4.0. Population and land areas: IEBC 2012 delimitation, census of 2009."),
  );
}

/** What the marks mean: shape, size and colour for how bad, filling for how far along. */
function incidentKey() {
  return el(
    "ul",
    { class: "key-incidents" },
    ...SEVERITIES.map((severity) => el("li", {}, mark(severity, "VERIFIED"), word(severity))),
    el("li", {}, mark("SEVERE", "REPORTED"), "Not checked yet"),
    el("li", {}, mark("SEVERE", "CONTAINED"), "Contained"),
  );
}
