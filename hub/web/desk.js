// The desk of somebody who is signed in: incidents in list, map and card of one mind, live, and told in as few words as do.

import { signInHref, startAccount } from "./account.js";
import { hash } from "./address.js";
import { lookAs, looksAs } from "./api.js";
import { startBoard } from "./board.js";
import { el, part } from "./elements.js";
import { count } from "./figures.js";
import { startFleet } from "./fleet.js";
import { startIncidentCard } from "./incident-card.js";
import { inWords, startIncidentList, whereabouts } from "./incident-list.js";
import { CHANGES, howManyOpen, openIncidents, pastIncidents, referenceOf } from "./incidents.js";
import { startLive } from "./live.js";
import { mark } from "./mark.js";
import { startReport } from "./report.js";
import { REFRESH_MS } from "./tiled.js";
import { hour } from "./times.js";
import { isOver, SEVERITIES, word } from "./vocabulary.js";

/** @typedef {import("./incidents.js").Incident} Incident */
/** @typedef {import("./incidents.js").Details} Details */
/** @typedef {import("./account.js").Person} Person */

/** Roles that change what others reported; everybody changes what they reported themselves. The hub is the judge. */
const HANDS = ["FIELD_OFFICER", "WARD_ADMINISTRATOR", "SUB_COUNTY_ADMINISTRATOR", "DISPATCHER", "COORDINATOR", "ADMINISTRATOR"];

/** How long the line about something new stands. */
const NEWS_MS = 15_000;

/**
 * @param {{ county: import("./wards.js").County, person: Person, sheet: import("./sheet.js").Sheet,
 *   map: () => ReturnType<typeof import("./map.js").drawMap> | null,
 *   onOpen: (reference: string, how?: { focus?: boolean, travel?: boolean }) => void, onUnit: (unit: import("./wards.js").Unit) => void,
 *   onVehicle: (plate: string, how: { focus: boolean, travel: boolean }) => void, onSeveral: () => void,
 *   onReporting: () => void, onList: () => void, onSignOut: () => void }} from   `onList`: the list is to be seen
 */
export function startDesk({ county, person, sheet, map, onOpen, onVehicle, onSeveral, onUnit, onReporting, onList, onSignOut }) {
  document.body.dataset.person = person.name;
  document.body.dataset.live = "joining";
  /** @type {Incident[]} */
  let shown = [];
  let pastAsked = false;
  /** How many are open beyond those that are listed: the map draws tiles then. */
  let unlisted = 0;
  /** What one sees oneself: how many incidents, in how many milliseconds. @type {{ count: number, milliseconds: number } | null} */
  let own = null;
  /** @type {string | null} */
  let marked = null;

  const board = startBoard((news) => {
    draw();
    if (!news) {
      if (card.reference) card.refresh();
      return;
    }
    // What an answer to this very card said is in it already.
    const touched = new Set([...news.fresh, ...news.changed.filter(({ told }) => told).map(({ after }) => after)].map(({ id }) => id));
    card.changed(touched, new Set(news.gone.map(({ id }) => id)));
    const seen = new Set(shown.map(({ id }) => id));
    list.glow([...news.fresh, ...news.changed.filter(({ before, after }) => before.version !== after.version).map(({ after }) => after)]);
    tell(news.fresh.filter((incident) => !isOver(incident.status)));
    for (const incident of news.fresh.slice(0, 20)) if (seen.has(incident.id)) map()?.pulse(incident.location.coordinates);
  });

  const list = startIncidentList(part("incidents-list"), county, {
    onChoose: (incident) => onOpen(incident.reference),
    onFilter() {
      draw();
      if (list.past && !pastAsked) askPast();
    },
  });

  const card = startIncidentCard({
    county,
    sheet,
    mayChange: (incident) => !looksAs() && document.body.dataset.live !== "ended" && (person.roles.some((role) => HANDS.includes(role)) || incident.reportedBy?.id === person.id),
    onUnit,
    onOpen: (reference) => onOpen(reference),
    onLearn: (incident) => board.learn([incident]),
    onShown(incident) {
      stands = incident?.location.coordinates ?? null;
      map()?.ring(stands);
      travel();
    },
  });
  /** Where the open incident lies. @type {import("./api.js").Point | null} */
  let stands = null;
  /** Whether the map has still to go there, and how near. @type {"near" | "sight" | null} */
  let wanted = null;

  /** The card may know the place before the map is there, or the map be there before the place is known. */
  function travel() {
    if (!wanted || !stands || !map()) return;
    map()?.reach(stands, { close: wanted === "near" });
    wanted = null;
  }

  const report = startReport({
    county,
    sheet,
    person,
    map,
    onReported(details, files, { late }) {
      report.leave();
      board.learn([details]);
      marked = details.reference;
      fresh = { reference: details.reference, late };
      onOpen(details.reference, { focus: true, travel: true });
      card.addPhotos(details.id, files);
    },
  });
  /** The incident that this page has just reported. @type {{ reference: string, late: boolean } | null} */
  let fresh = null;

  const { eyes } = startAccount(person, { county, onEyes: see, onSignOut: () => { report.forget(); onSignOut(); } });
  startTabs();
  const button = part("report");
  button.hidden = false;
  button.addEventListener("click", () => {
    if (!report.isOpen) onReporting();
    report.focus();
  });
  if (report.waits) button.textContent = "Continue the report";

  /** How the lines of this page are. @type {{ incidents: import("./live.js").State | null, vehicles: import("./live.js").State | null }} */
  const lines = { incidents: null, vehicles: null };
  let live = connect();
  const fleet = startFleet({
    county,
    person,
    sheet,
    map,
    onOpen: onVehicle,
    onSeveral(vehicles, ids) {
      const incidents = ids.map(board.get).filter((incident) => incident !== undefined);
      fleet.several(
        vehicles,
        incidents.map(({ reference, severity, status, title }) => ({ element: mark(severity, status), label: title, href: hash({ kind: "incident", reference }, null), open: () => onOpen(reference) })),
      );
      onSeveral();
    },
    onUnit,
    onState(state) {
      lines.vehicles = state;
      sayState();
    },
  });

  function connect() {
    return startLive({
      query: CHANGES,
      payload: () => (looksAs() ? { seeAs: looksAs() } : {}),
      async load() {
        const as = looksAs();
        const found = await openIncidents();
        const { incidents, cursor, milliseconds } = found;
        if (as !== looksAs()) throw new Error("Somebody else’s view was asked for meanwhile.");
        const past = pastAsked ? await pastIncidents() : [];
        unlisted = found.unlisted;
        board.replace([...incidents, ...past]);
        if (!as) own = { count: incidents.length, milliseconds };
        else sayEyes(incidents.length, milliseconds);
        return cursor;
      },
      onEvent({ incidentChanged: event }) {
        board.take(event);
        return event.cursor;
      },
      onState(state) {
        lines.incidents = state;
        sayState();
      },
    });
  }

  function draw() {
    shown = list.draw(board.all(), unlisted);
    map()?.incidents(shown);
    // Filters look among those that are listed, and say so; tiles hold all that are open.
    map()?.tiled("incidents", unlisted > 0 && list.everyday);
    const open = board.all().filter(({ status }) => !isOver(status)).length + unlisted;
    part("open-count").textContent = count(open);
    part("units-count").textContent = `${count(open)} open incident${open === 1 ? "" : "s"}`;
    document.body.dataset.incidents = String(board.size);
  }

  setInterval(async () => {
    map()?.refresh();
    if (!unlisted || document.hidden) return;
    const as = looksAs();
    const all = await howManyOpen().catch(() => null);
    if (all === null || as !== looksAs()) return;
    unlisted = Math.max(all - board.all().filter(({ status }) => !isOver(status)).length, 0);
    draw();
  }, REFRESH_MS);

  async function askPast() {
    pastAsked = true;
    try {
      board.learn(await pastIncidents());
    } catch (error) {
      pastAsked = false;
      say(`Past incidents did not load. ${error instanceof Error ? error.message : ""}`);
    }
  }

  // ── Live or not ──────────────────────────────────────────

  /** The page is live only while all of its lines are; it is stale since the first of them was last heard. */
  function sayState() {
    const { incidents, vehicles } = lines;
    if (!incidents) return;
    const broken = [incidents, ...(vehicles && !vehicles.joining ? [vehicles] : [])].filter(({ live }) => !live);
    if (!broken.length && vehicles?.joining) return;
    const is = !broken.length;
    const since = is ? incidents.since : Math.min(...broken.map(({ since }) => since));
    const { why = "" } = broken[0] ?? {};
    const ended = broken.some(({ ended }) => ended);
    const line = part("live");
    const was = document.body.dataset.live;
    document.body.dataset.live = is ? "live" : ended ? "ended" : "stale";
    if (is) {
      line.replaceChildren(el("span", { class: "dot", "aria-hidden": "true" }), "Live");
      line.removeAttribute("title");
      if (was === "stale" && card.reference) card.refresh();
      return;
    }
    line.title = why;
    const words = `Stale since ${hour(since)}`;
    if (ended) {
      line.replaceChildren(el("span", { class: "dot", "aria-hidden": "true" }), el("span", {}, `${words}: your sign-in has ended. `), el("a", { href: signInHref() }, "Sign in again"));
      return;
    }
    const said = `${words} — trying again`;
    if (line.querySelector("span:nth-child(2)")?.textContent === said) return;
    line.replaceChildren(
      el("span", { class: "dot", "aria-hidden": "true" }),
      el("span", {}, said),
      el("button", { type: "button", class: "now", onClick: () => { live.hurry(); fleet.hurry(); } }, "Try now"),
    );
  }

  // ── Somebody else's eyes ─────────────────────────────────

  /** @param {string | null} words @param {string} label */
  async function see(words, label) {
    if (words && !looksAs()) {
      // One's own time is taken now, as the other will be: a page that has just opened has other things to do.
      const mine = await openIncidents().catch(() => null);
      if (mine) own = { count: mine.incidents.length, milliseconds: mine.milliseconds };
    }
    lookAs(words);
    live.stop();
    lines.incidents = null;
    document.body.dataset.live = "joining";
    part("live").replaceChildren(el("span", { class: "dot", "aria-hidden": "true" }), "Connecting…");
    document.body.toggleAttribute("data-eyes", Boolean(words));
    button.hidden = Boolean(words);
    if (report.isOpen) sheet.element.querySelector(".close")?.dispatchEvent(new MouseEvent("click"));
    label_ = label;
    pastAsked = list.past;
    if (!words) part("eyes").hidden = true;
    else sayEyes(null, 0);
    board.replace([]);
    live = connect();
    fleet.again();
  }
  let label_ = "";

  /** @param {number | null} howMany @param {number} milliseconds */
  function sayEyes(howMany, milliseconds) {
    const banner = part("eyes");
    const ms = (/** @type {number} */ value) => `${Math.round(value)} ms`;
    const incidents = (/** @type {number} */ value) => `${count(value)} incident${value === 1 ? "" : "s"}`;
    banner.hidden = false;
    banner.replaceChildren(
      el(
        "p",
        {},
        el("strong", {}, `You see what ${label_} sees`),
        howMany === null ? "" : ` — ${incidents(howMany)}, ${ms(milliseconds)}`,
        howMany !== null && own ? ` (as yourself ${incidents(own.count)}, ${ms(own.milliseconds)})` : "",
        ". Nothing can be changed meanwhile.",
      ),
      el(
        "button",
        {
          type: "button",
          class: "button-plain",
          onClick() {
            if (eyes) eyes.value = "";
            see(null, "");
          },
        },
        "Be myself again",
      ),
    );
  }

  // ── What is told ─────────────────────────────────────────

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let silence;
  /** @param {Incident[]} incidents */
  function tell(incidents) {
    if (!incidents.length) return;
    const worst = [...incidents].sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity))[0];
    const news = part("news");
    news.replaceChildren(
      el(
        "button",
        {
          type: "button",
          onClick() {
            news.replaceChildren();
            onOpen(worst.reference, { focus: true, travel: true });
          },
        },
        mark(worst.severity, worst.status),
        el("span", {}, el("strong", {}, incidents.length > 1 ? `${incidents.length} new incidents. The worst: ` : "New: "), inWords(worst)),
      ),
    );
    clearTimeout(silence);
    silence = setTimeout(() => news.replaceChildren(), NEWS_MS);
  }

  /** @param {string} words */
  function say(words) {
    part("news").replaceChildren(el("p", {}, words));
    clearTimeout(silence);
    silence = setTimeout(() => part("news").replaceChildren(), NEWS_MS);
  }

  // ── Incidents | Wards ────────────────────────────────────

  function startTabs() {
    const tabs = /** @type {HTMLElement[]} */ ([part("tab-incidents"), part("tab-wards")]);
    part("tabs").hidden = false;
    part("units").setAttribute("aria-label", "Incidents and wards");
    part("units-list").setAttribute("role", "tabpanel");
    part("units-list").setAttribute("aria-labelledby", "tab-wards");
    const search = /** @type {HTMLInputElement} */ (part("search"));
    search.placeholder = "Incident, ward, code or place";
    search.setAttribute("aria-label", "Search incidents by reference or title, wards and sub-counties by name, alias or code");
    for (const tab of tabs) {
      tab.addEventListener("click", () => turn(tab.id === "tab-incidents"));
      tab.addEventListener("keydown", (event) => {
        if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
        event.preventDefault();
        const incidents = tab.id !== "tab-incidents";
        turn(incidents);
        part(incidents ? "tab-incidents" : "tab-wards").focus();
      });
    }
    turn(true);
  }

  /** @param {boolean} toIncidents */
  function turn(toIncidents) {
    for (const [tab, panel, on] of /** @type {const} */ ([["tab-incidents", "incidents-list", toIncidents], ["tab-wards", "units-list", !toIncidents]])) {
      part(tab).setAttribute("aria-selected", String(on));
      part(tab).tabIndex = on ? 0 : -1;
      part(panel).hidden = !on;
    }
  }

  return {
    turn,
    report,
    /** Open an incident's card. @param {string} reference @param {"near" | "sight" | null} go */
    show(reference, go) {
      const known = board.called(reference);
      marked = reference;
      stands = null;
      wanted = go;
      turn(true);
      card.show(reference, known, fresh?.reference === reference ? { reported: true, late: fresh.late } : {});
      fresh = null;
      list.mark(reference);
    },
    /** @param {string} plate @param {"near" | "sight" | null} go */
    showVehicle: fleet.show,
    /** What is open now is something else. @param {string | null} kind */
    leave(kind) {
      if (kind !== "vehicle") fleet.leave();
      if (kind === "incident") return;
      marked = stands = wanted = null;
      list.mark(null);
      map()?.ring(null);
    },
    /** Several on one spot. @param {string[]} ids */
    choose(ids) {
      const [id] = ids;
      if (ids.length === 1 && !board.get(id)) {
        // Drawn from a tile, and not listed: the hub knows what it is called.
        referenceOf(id).then((reference) => reference && onOpen(reference, { focus: false, travel: false })).catch((error) => say(error instanceof Error ? error.message : ""));
        return false;
      }
      const found = ids.map(board.get).filter((incident) => incident !== undefined);
      if (found.length === 1) onOpen(found[0].reference, { focus: false, travel: false });
      else if (found.length) card.choose(found);
      return found.length > 1;
    },
    /** @param {string} id @param {any} [told]  what a tile says of it @returns {[string, string]} */
    describe(id, { kind, severity, status } = {}) {
      const incident = board.get(id);
      if (incident) return [incident.title, `${word(incident.severity)} · ${word(incident.status)} · ${whereabouts(incident)}`];
      return kind ? [word(kind.toUpperCase()), `${word(severity.toUpperCase())} · ${word(status.toUpperCase())}`] : ["", ""];
    },
    /**
     * What is open in a ward, as a way to it in the list.
     * @param {string} code
     */
    openIn(code) {
      const here = board.all().filter(({ ward, status }) => ward?.code === code && !isOver(status)).length;
      if (!here) return null;
      return el(
        "button",
        {
          type: "button",
          class: "button-plain",
          onClick() {
            list.inWard(code);
            turn(true);
            onList();
          },
        },
        `${count(here)} open incident${here === 1 ? "" : "s"} here`,
      );
    },
    /** The map is there now. */
    drawn() {
      fleet.drawn();
      draw();
      map()?.ring(stands);
      travel();
    },
    /** Incidents that fit what somebody typed into the search. @param {string} text @returns {import("./combobox.js").Offer[]} */
    found(text) {
      const asked = text.trim().toUpperCase();
      const number = /^(?:INC-?)?(?:(\d{4})-)?0*(\d{1,6})$/.exec(asked);
      const offer = (/** @type {Incident} */ { reference, title, status }) => ({ label: title, detail: `${reference} · ${word(status)}`, choose: () => onOpen(reference) });
      if (/^INC-\d{4}-\d{6}$/.test(asked)) {
        const known = board.called(asked);
        // Also one that is long past: the card asks the hub.
        return [known ? offer(known) : { label: asked, detail: "Incident", choose: () => onOpen(asked) }];
      }
      if (number) return board.all().filter(({ reference }) => Number(reference.slice(-6)) === Number(number[2]) && (!number[1] || reference.includes(`-${number[1]}-`))).slice(0, 3).map(offer);
      if (asked.length < 3) return [];
      return board.all().filter(({ title, reference }) => title.toUpperCase().includes(asked) || reference.includes(asked)).slice(0, 4).map(offer);
    },
  };
}
