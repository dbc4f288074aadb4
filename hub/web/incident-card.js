// An incident's card: what is known, what can be done next, its photos and its timeline. It keeps up while it is open.

import { hash } from "./address.js";
import { el } from "./elements.js";
import { coordinates, count } from "./figures.js";
import { changeStatus, edit, incident as ask, note } from "./incidents.js";
import { mark } from "./mark.js";
import { photoField, startUploads, strip } from "./photos.js";
import { covers } from "./shapes.js";
import { editForm, noteForm, stepForm } from "./steps.js";
import { moment, sinceThen } from "./times.js";
import { stepsFrom, word } from "./vocabulary.js";

/** @typedef {import("./incidents.js").Incident} Incident */
/** @typedef {import("./incidents.js").Details} Details */
/** @typedef {import("./wards.js").County} County */
/** @typedef {import("./wards.js").Unit} Unit */

/**
 * @param {{ county: County, sheet: import("./sheet.js").Sheet, mayChange: (incident: Details) => boolean,
 *   onUnit: (unit: Unit) => void, onOpen: (reference: string) => void, onLearn: (incident: Details) => void, onShown: (incident: Incident | null) => void }} from
 */
export function startIncidentCard({ county, sheet, mayChange, onUnit, onOpen, onLearn, onShown }) {
  /** @type {{ reference: string, drawn: number, parts: Record<"facts" | "actions" | "more" | "photos" | "timeline", HTMLElement>, details: Details | null, form: { changed: (now: Incident) => void } | null } | null} */
  let open = null;
  let asking = 0;
  const uploads = startUploads({
    onChange: (id) => open?.details?.id === id && drawPhotos(),
    onSent: (id) => open?.details?.id === id && load(),
  });

  const here = () => (open && sheet.holds(open.drawn) ? open : null);

  /**
   * @param {string} reference
   * @param {Incident | undefined} known  what the list holds of it
   * @param {{ reported?: boolean, late?: boolean }} [how]
   */
  function show(reference, known, { reported = false, late = false } = {}) {
    const parts = {
      facts: el("div", { class: "facts" }),
      actions: el("div", { class: "actions" }),
      more: el("div", { class: "facts" }),
      photos: el("div", { class: "photo-part" }),
      timeline: el("div", { class: "timeline-part" }),
    };
    const drawn = sheet.draw(
      known ? `${reference} · ${word(known.kind)}` : reference,
      known?.title ?? "Incident",
      reported && el("div", { class: "reported", role: "status" }, el("p", {}, "Reported. Its reference is"), el("strong", {}, reference)),
      late && el("p", { class: "caution" }, "Your first sending had arrived as it was. What you changed after it is not in it: use Edit."),
      parts.facts,
      parts.actions,
      parts.more,
      parts.photos,
      parts.timeline,
    );
    sheet.element.classList.add("card-incident");
    open = { reference, drawn, parts, details: null, form: null };
    if (known) drawFacts(known);
    else parts.facts.replaceChildren(el("p", { class: "pending" }, "Asking the hub…"));
    load();
  }

  async function load() {
    const mine = here();
    if (!mine) return;
    const turn = ++asking;
    try {
      const details = await ask(mine.reference);
      if (here() !== mine || turn !== asking) return;
      if (!details) missing("There is no such incident, or you may not see it.");
      else learn(details);
    } catch (error) {
      if (here() !== mine || turn !== asking) return;
      const again = el("button", { type: "button", class: "button-plain", onClick: load }, "Try again");
      mine.parts.timeline.replaceChildren(el("p", { class: "failed" }, `The details did not load. ${error instanceof Error ? error.message : ""}`), again);
      if (!mine.details && mine.parts.facts.querySelector(".pending")) mine.parts.facts.replaceChildren();
    }
  }

  /** @param {string} why */
  function missing(why) {
    if (!open) return;
    open.parts.facts.replaceChildren(el("p", { class: "caution", role: "status" }, why));
    for (const part of [open.parts.actions, open.parts.more, open.parts.photos, open.parts.timeline]) part.replaceChildren();
    open.details = null;
    onShown(null);
  }

  /** @param {Details} details */
  function learn(details) {
    const mine = here();
    if (!mine || mine.reference !== details.reference) return;
    const before = mine.details;
    mine.details = details;
    drawFacts(details);
    drawPhotos();
    drawTimeline(details);
    if (mine.form) {
      if (before && before.version !== details.version) mine.form.changed(details);
    } else drawActions(details);
    onLearn(details);
  }

  /** @param {Incident | Details} incident */
  function drawFacts(incident) {
    if (!open) return;
    const heading = sheet.element.querySelector("#card-name");
    const eyebrow = sheet.element.querySelector(".eyebrow");
    if (heading && heading.textContent !== incident.title) heading.textContent = incident.title;
    if (eyebrow) eyebrow.textContent = `${incident.reference} · ${word(incident.kind)}`;
    const details = "timeline" in incident ? incident : null;
    /** @param {string} term @param {...import("./elements.js").Child} said */
    const fact = (term, ...said) => el("div", {}, el("dt", {}, term), el("dd", {}, ...said));
    open.parts.facts.replaceChildren(
      el(
        "p",
        { class: "standing" },
        mark(incident.severity, incident.status),
        el("strong", {}, word(incident.severity)),
        el("span", { class: `status status-${incident.status.toLowerCase()}` }, word(incident.status)),
      ),
      el("p", { class: "place" }, ...place(incident)),
      ...(details?.description ? [el("p", { class: "description" }, details.description)] : []),
    );
    open.parts.more.replaceChildren(
      el(
        "dl",
        { class: "cap" },
        fact("Occurred", moment(incident.occurredAt), " · ", sinceThen(incident.occurredAt)),
        fact("Reported", moment(incident.reportedAt), " · ", sinceThen(incident.reportedAt)),
        fact("Certainty", word(incident.certainty)),
        fact("Urgency", word(incident.urgency)),
        details && fact("Came by", word(details.source)),
        details?.reportedBy && fact("Entered by", details.reportedBy.displayName),
        details?.reporter && fact("Call back", ...caller(details.reporter)),
      ),
    );
    onShown(incident);
  }

  /** @param {Incident} incident @returns {import("./elements.js").Child[]} */
  function place(incident) {
    const words = incident.place ? [el("strong", {}, incident.place), el("br")] : [];
    const ward = incident.ward && county.unit("ward", incident.ward.code);
    const point = /** @type {[number, number]} */ (incident.location.coordinates);
    const at = el("small", {}, coordinates(point));
    if (incident.precision === "WARD" && incident.ward) return [...words, "Somewhere in ", ward ? link(ward) : incident.ward.name, " ward; the spot is not known"];
    if (incident.precision === "LANDMARK") {
      return [...words, "Near this landmark; the spot is not known.", ...(ward ? [" In ", link(ward), " ward"] : []), ward?.kind === "ward" && `, ${ward.subCounty.name}`];
    }
    if (ward) return [...words, "In ", link(ward), " ward", ward.kind === "ward" && `, ${ward.subCounty.name}`, " ", at];
    if (incident.ward) return [...words, `In ${incident.ward.name} ward `, at];
    if (incident.beyondBorder) return [...words, "Beyond the county’s border, at most 2 km ", at];
    const water = county.waters.find((water) => covers(water.boundary, point));
    return [...words, water ? `On the lake (${water.name}) ` : "On the lake ", at];
  }

  /** @param {Unit} unit */
  const link = (unit) =>
    el(
      "a",
      {
        href: hash({ kind: unit.kind, code: unit.code }, null),
        onClick: (/** @type {MouseEvent} */ event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
          event.preventDefault();
          onUnit(unit);
        },
      },
      unit.name,
    );

  function drawPhotos() {
    if (!open?.details) return;
    const { id, photos, title } = open.details;
    const waiting = uploads.drawn(id);
    open.parts.photos.replaceChildren(...(photos.length || waiting ? [el("h3", {}, photos.length === 1 ? "1 photo" : `${photos.length} photos`)] : []), ...(photos.length ? [strip(photos, title)] : []), ...(waiting ? [waiting] : []));
  }

  /** @param {Details} details */
  function drawTimeline({ timeline }) {
    if (!open) return;
    open.parts.timeline.replaceChildren(
      el("h3", {}, "Timeline"),
      el(
        "ol",
        { class: "timeline" },
        ...timeline.nodes.toReversed().map((entry) =>
          el(
            "li",
            { class: `entry entry-${entry.kind.toLowerCase()}` },
            el("p", { class: "what" }, what(entry)),
            entry.note && el("p", { class: "note-text" }, entry.note),
            el("p", { class: "by" }, [entry.actor?.displayName, moment(entry.at)].filter(Boolean).join(" · "), " · ", sinceThen(entry.at)),
          ),
        ),
      ),
    );
  }

  /** @param {Details} details */
  function drawActions(details) {
    if (!open) return;
    const { actions } = open.parts;
    open.form = null;
    if (!mayChange(details)) {
      actions.replaceChildren();
      return;
    }
    actions.replaceChildren(
      el(
        "div",
        { class: "steps", role: "group", "aria-label": "What happens next" },
        ...stepsFrom(details.status).map((step, place) =>
          el("button", { type: "button", class: place === 0 ? "button" : "button-plain", "data-step": step.to, onClick: () => take(step) }, step.note ? `${step.does}…` : step.does),
        ),
      ),
      el(
        "div",
        { class: "steps steps-small" },
        el("button", { type: "button", class: "button-plain", onClick: write }, "Add a note"),
        el("button", { type: "button", class: "button-plain", onClick: correct }, "Edit"),
        details.photos.length < 20 && photoField((files) => uploads.add(details.id, files), "Add photos"),
      ),
    );
  }

  /** @param {{ element: HTMLElement, changed: (now: Incident) => void }} form */
  function begin(form) {
    if (!open) return;
    open.form = form;
    open.parts.actions.replaceChildren(form.element);
    /** @type {HTMLElement | null} */ (form.element.querySelector("textarea, input, select"))?.focus();
    form.element.scrollIntoView({ block: "nearest" });
  }

  function end() {
    const mine = here();
    if (!mine?.details) return;
    mine.form = null;
    drawActions(mine.details);
    /** @type {HTMLElement | null} */ (mine.parts.actions.querySelector("button"))?.focus({ preventScroll: true });
  }

  /** @param {Details} details */
  function done(details) {
    const mine = here();
    onLearn(details);
    if (!mine || mine.reference !== details.reference) return;
    mine.form = null;
    learn(details);
    sheet.focus();
  }

  /** What the forms of this card share. */
  const from = () => ({ seen: /** @type {Details} */ (open?.details), present: () => /** @type {Details} */ (open?.details), onDone: done, onCancel: end, refresh: load });

  /** @param {import("./vocabulary.js").Step} step */
  const take = (step) => begin(stepForm({ ...from(), step, send: changeStatus }));
  const write = () => begin(noteForm({ ...from(), send: note }));
  const correct = () => begin(editForm({ ...from(), send: edit }));

  /**
   * Several incidents on one spot.
   * @param {Incident[]} several
   */
  function choose(several) {
    open = null;
    sheet.draw(
      "On this spot",
      `${count(several.length)} incidents`,
      el(
        "ul",
        { class: "members several" },
        ...several.map((incident) =>
          el(
            "li",
            {},
            mark(incident.severity, incident.status),
            el(
              "a",
              {
                href: hash({ kind: "incident", reference: incident.reference }, null),
                onClick: (/** @type {Event} */ event) => {
                  event.preventDefault();
                  onOpen(incident.reference);
                },
              },
              incident.title,
            ),
            el("span", {}, sinceThen(incident.reportedAt)),
          ),
        ),
      ),
    );
  }

  return {
    show,
    choose,
    /** The hub told of changes. @param {Set<string>} ids @param {Set<string>} gone */
    changed(ids, gone) {
      const mine = here();
      if (!mine) return;
      if (mine.details && gone.has(mine.details.id)) missing("This incident is no longer among those that you may see.");
      else if (mine.details ? ids.has(mine.details.id) : true) load();
    },
    /** The list came anew: so does what is open. */
    refresh: load,
    /** @param {string} id @param {File[]} files */
    addPhotos: (id, files) => files.length > 0 && uploads.add(id, files),
    get reference() {
      return here()?.reference ?? null;
    },
  };
}

/** @param {{ name: string | null, phone: string | null }} reporter */
function caller({ name, phone }) {
  const number = phone && el("a", { href: `tel:${phone.replace(/[^+0-9]/g, "")}` }, phone);
  return [name, name && phone && el("br"), number];
}

/** @param {import("./incidents.js").Entry} entry */
function what({ kind, fromStatus, toStatus }) {
  if (kind === "STATUS" && toStatus) return `${word(toStatus)}${fromStatus ? ` (was ${word(fromStatus).toLowerCase()})` : ""}`;
  if (kind === "EDITED") return "What is known was changed";
  return word(kind);
}

