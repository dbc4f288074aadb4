// The incidents in text: what is open, worst first, with filters. Whole without the map.

import { hash } from "./address.js";
import { el } from "./elements.js";
import { count } from "./figures.js";
import { mark } from "./mark.js";
import { sinceThen } from "./times.js";
import { isOver, KINDS, rank, SEVERITIES, STATUSES, word } from "./vocabulary.js";

/** @typedef {import("./incidents.js").Incident} Incident */
/** @typedef {{ status: string, severity: string, kind: string, ward: string, order: string }} Filter */

/** Rows beyond these come when they are asked for: nobody reads two thousand, and a page with them is slow. */
const AT_ONCE = 150;

/** @type {Filter} */
const EVERYDAY = { status: "open", severity: "", kind: "", ward: "", order: "worst" };

/** Where an incident is, in two words. @param {Incident} incident */
export const whereabouts = ({ ward, beyondBorder }) => ward?.name ?? (beyondBorder ? "Beyond the border" : "On the lake");

/**
 * @param {HTMLElement} container
 * @param {import("./wards.js").County} county
 * @param {{ onChoose: (incident: Incident) => void, onFilter: (filter: Filter) => void }} listeners
 */
export function startIncidentList(container, county, { onChoose, onFilter }) {
  /** @type {Filter} */
  let filter = { ...EVERYDAY };
  let limit = AT_ONCE;
  /** @type {string | null} */
  let current = null;
  /** @type {Incident[]} */
  let shown = [];
  /** @type {Map<string, { of: Incident, row: HTMLElement }>} */
  const rows = new Map();

  /** @param {keyof Filter} name @param {string} label @param {[string, string][]} options */
  const choice = (name, label, options) =>
    el(
      "label",
      {},
      el("span", {}, label),
      el(
        "select",
        {
          "data-filter": name,
          onChange: (/** @type {Event} */ event) => change({ ...filter, [name]: /** @type {HTMLSelectElement} */ (event.target).value }),
        },
        ...options.map(([value, words]) => el("option", { value, selected: filter[name] === value }, words)),
      ),
    );
  const said = el("span", { class: "said-filter" });
  const reset = el("button", { type: "button", class: "button-plain", onClick: () => change({ ...EVERYDAY }) }, "Show all that is open");
  const filters = el(
    "details",
    { class: "filters" },
    el("summary", {}, said, el("span", { class: "verb" }, "Filter")),
    el(
      "div",
      { class: "choices" },
      choice("status", "Status", [["open", "All open"], ...STATUSES.map((status) => /** @type {[string, string]} */ ([status, word(status)])), ["", "Open and past"]]),
      choice("severity", "Severity", [["", "Any"], ...SEVERITIES.map((severity) => /** @type {[string, string]} */ ([severity, word(severity)])), ["SEVERE+", "Severe and extreme"]]),
      choice("kind", "Kind", [["", "Any"], ...KINDS.map((kind) => /** @type {[string, string]} */ ([kind, word(kind)]))]),
      choice("ward", "Ward", [
        ["", "Whole county"],
        ["none", "On the lake, or beyond the border"],
        ...[...county.wards].sort((a, b) => a.name.localeCompare(b.name)).map((ward) => /** @type {[string, string]} */ ([ward.code, ward.name])),
      ]),
      choice("order", "Order", [["worst", "Worst first"], ["newest", "Newest report first"]]),
      reset,
    ),
  );
  const list = el("ul", { class: "incident-rows", "aria-label": "Incidents" });
  const none = el("p", { class: "no-incidents" });
  const beyond = el("p", { class: "more-incidents", role: "status" });
  const more = el("button", { type: "button", class: "button-plain show-more", onClick: () => { limit += AT_ONCE; draw(); } });
  container.replaceChildren(filters, none, beyond, list, more);
  container.addEventListener("keydown", step);
  sayFilter();

  /** @param {Filter} next */
  function change(next) {
    filter = next;
    limit = AT_ONCE;
    for (const control of filters.querySelectorAll("select")) control.value = filter[/** @type {keyof Filter} */ (control.dataset.filter)];
    sayFilter();
    onFilter(filter);
  }

  function sayFilter() {
    const { status, severity, kind, ward, order } = filter;
    said.textContent = [
      status === "open" ? "Open" : status ? word(status) : "Open and past",
      severity && (severity === "SEVERE+" ? "severe and extreme" : word(severity).toLowerCase()),
      kind && word(kind).toLowerCase(),
      ward && (ward === "none" ? "in no ward" : county.unit("ward", ward)?.name),
      order === "worst" ? "worst first" : "newest report first",
    ]
      .filter(Boolean)
      .join(" · ");
    reset.hidden = JSON.stringify({ ...filter, order: "" }) === JSON.stringify({ ...EVERYDAY, order: "" });
  }

  /** @param {Incident} incident */
  function fits({ status, severity, kind, ward }) {
    if (filter.status === "open" ? isOver(status) : filter.status && status !== filter.status) return false;
    if (filter.severity === "SEVERE+" ? rank(severity) > 1 : filter.severity && severity !== filter.severity) return false;
    if (filter.kind && kind !== filter.kind) return false;
    return !filter.ward || (filter.ward === "none" ? !ward : ward?.code === filter.ward);
  }

  /** @param {Incident} a @param {Incident} b */
  const order = (a, b) =>
    (filter.order === "worst" ? Number(isOver(a.status)) - Number(isOver(b.status)) || rank(a.severity) - rank(b.severity) : 0) ||
    // The hub writes all moments alike, so that their letters order them.
    (b.reportedAt === a.reportedAt ? b.reference.localeCompare(a.reference) : b.reportedAt > a.reportedAt ? 1 : -1);

  /** @param {Incident} incident */
  const row = (incident) =>
    el(
      "li",
      {},
      el(
        "a",
        {
          class: "row incident-row",
          href: hash({ kind: "incident", reference: incident.reference }, null),
          "data-reference": incident.reference,
          "data-status": incident.status,
          "data-version": incident.version,
          onClick: (/** @type {MouseEvent} */ event) => {
            if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
            event.preventDefault();
            onChoose(incident);
          },
        },
        mark(incident.severity, incident.status),
        el("span", { class: "spoken" }, `${word(incident.severity)}: `),
        el("span", { class: "title" }, incident.title),
        el("span", { class: "about" }, `${whereabouts(incident)} · `, sinceThen(incident.occurredAt), ` · ${word(incident.kind)}`),
        el("span", { class: `status status-${incident.status.toLowerCase()}` }, word(incident.status)),
      ),
    );

  function draw() {
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.closest?.(".incident-row")?.getAttribute("data-reference");
    const wanted = shown.slice(0, limit).map((incident) => {
      const known = rows.get(incident.id);
      if (known?.of === incident) return known.row;
      const made = row(incident);
      rows.set(incident.id, { of: incident, row: made });
      return made;
    });
    const kept = new Set(shown.map(({ id }) => id));
    for (const id of rows.keys()) if (!kept.has(id)) rows.delete(id);
    let at = list.firstChild;
    for (const row of wanted) {
      if (row === at) at = at.nextSibling;
      else list.insertBefore(row, at);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
    none.textContent = shown.length ? "" : filter.status === "open" && reset.hidden ? "Nothing is open that you may see." : "No incident fits this filter.";
    more.hidden = shown.length <= limit;
    more.textContent = `Show ${count(Math.min(AT_ONCE, shown.length - limit))} more of ${count(shown.length - limit)}`;
    markCurrent();
    if (focused && document.activeElement === document.body) {
      /** @type {HTMLElement | null} */ (list.querySelector(`[data-reference="${CSS.escape(focused)}"]`))?.focus({ preventScroll: true });
    }
  }

  function markCurrent() {
    for (const row of list.querySelectorAll("[aria-current]")) row.removeAttribute("aria-current");
    if (current) list.querySelector(`[data-reference="${CSS.escape(current)}"]`)?.setAttribute("aria-current", "true");
    stop();
  }

  /** One stop for Tab, from which arrows walk: what comes after the list is not a hundred and fifty tabs away. */
  function stop() {
    const here = list.contains(document.activeElement) ? document.activeElement : list.querySelector("[aria-current]") ?? list.querySelector(".incident-row");
    for (const row of /** @type {NodeListOf<HTMLElement>} */ (list.querySelectorAll(".incident-row"))) row.tabIndex = row === here ? 0 : -1;
  }
  list.addEventListener("focusin", stop);

  /** @param {KeyboardEvent} event */
  function step(event) {
    const all = /** @type {HTMLElement[]} */ ([...list.querySelectorAll(".incident-row")]);
    const here = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: all.length - 1 }[event.key];
    if (here < 0 || to === undefined) return;
    event.preventDefault();
    all[Math.min(Math.max(to, 0), all.length - 1)].focus();
  }

  return {
    /**
     * Draws of these what the filter lets through.
     * @param {Incident[]} all
     * @param {number} unlisted  how many more are open
     * @returns {Incident[]} what it lets through, in the list's order
     */
    draw(all, unlisted) {
      shown = all.filter(fits).sort(order);
      const words = unlisted ? `${count(unlisted)} more are open, reported before these. ${reset.hidden ? "The map shows them all." : "This filter looks among the newest, here and on the map."}` : "";
      if (beyond.textContent !== words) beyond.textContent = words;
      draw();
      return shown;
    },
    /** @param {string | null} reference */
    mark(reference) {
      current = reference;
      markCurrent();
      if (reference) list.querySelector(`[data-reference="${CSS.escape(reference)}"]`)?.scrollIntoView({ block: "nearest" });
    },
    /** A short glow on rows that are new or changed. @param {Incident[]} incidents */
    glow(incidents) {
      for (const { id } of incidents.slice(0, 20)) {
        const row = rows.get(id)?.row;
        row?.classList.add("glow");
        setTimeout(() => row?.classList.remove("glow"), 4000);
      }
    },
    /** Whether all that is open is let through. */
    get everyday() {
      return reset.hidden;
    },
    get past() {
      return filter.status === "" || isOver(filter.status);
    },
    /** Only one ward's. @param {string} code */
    inWard: (code) => change({ ...EVERYDAY, ward: code }),
  };
}

/** An incident in one line, as it is read aloud. @param {Incident} incident */
export const inWords = (incident) => `${word(incident.severity)} ${word(incident.kind).toLowerCase()}, ${whereabouts(incident)}: ${incident.title}`;

