// Reporting an incident: a place on the map, a short form, and a draft that is kept until the hub has acknowledged it.

import { HubError } from "./api.js";
import { startCombobox } from "./combobox.js";
import { el, part } from "./elements.js";
import { field, newMemory, onSend, select } from "./forms.js";
import { report } from "./incidents.js";
import { mark } from "./mark.js";
import { photoField } from "./photos.js";
import { inWords, offers } from "./places.js";
import { forField, fromField, now } from "./times.js";
import { CERTAINTIES, KINDS, SEVERITIES, SOURCES, URGENCIES, word } from "./vocabulary.js";

/** @typedef {import("./places.js").Spot} Spot */
/** @typedef {{ person: string, memory: import("./forms.js").Memory, values: Record<string, string>, spot: Spot | null }} Draft */

/** This tab's alone, gone when it closes: what a caller said stays on no shared machine. */
const KEPT = "hub.report";

/**
 * @param {{ county: import("./wards.js").County, sheet: import("./sheet.js").Sheet, person: { id: string, roles: string[] },
 *   map: () => ReturnType<typeof import("./map.js").drawMap> | null,
 *   onReported: (details: import("./incidents.js").Details, files: File[], how: { late: boolean }) => void }} from
 */
export function startReport({ county, sheet, person, map, onReported }) {
  /** @type {Draft | null} */
  let draft = kept();
  let drawn = 0;
  /** @type {File[]} Only in memory: a reload asks for them again. */
  let files = [];

  /** @returns {Draft | null} */
  function kept() {
    try {
      const found = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
      if (found?.person === person.id) return found;
      // Somebody else's, who left without signing out: it is not for these eyes.
      sessionStorage.removeItem(KEPT);
      return null;
    } catch {
      return null;
    }
  }

  function keep() {
    try {
      if (draft) sessionStorage.setItem(KEPT, JSON.stringify(draft));
      else sessionStorage.removeItem(KEPT);
    } catch {
      // A browser that keeps nothing: the form itself still holds it.
    }
  }

  const isOpen = () => drawn > 0 && sheet.holds(drawn);
  const atDesk = person.roles.some((role) => role === "DISPATCHER" || role === "COORDINATOR");

  function open() {
    const again = draft !== null;
    draft ??= { person: person.id, memory: newMemory(), values: { source: atDesk ? "PHONE" : "FIELD" }, spot: null };
    const { values, memory } = draft;

    const spotWords = el("p", { class: "spot", role: "status" });
    const search = /** @type {HTMLInputElement} */ (
      el("input", {
        type: "search", role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": "spots", autocomplete: "off",
        name: "location", placeholder: "Landmark, ward or position", enterkeyhint: "search",
      })
    );
    const spots = el("ul", { id: "spots", role: "listbox", "aria-label": "Landmarks and wards found", hidden: true });
    const noSpot = el("p", { class: "none", role: "status" });

    /** @param {string} name @param {string[]} from @param {string} [otherwise] */
    const options = (name, from, otherwise = "UNKNOWN") => select(name, from.map((value) => ({ value, label: word(value) })), values[name] ?? otherwise);
    const kind = select("kind", [{ value: "", label: "Choose…" }, ...KINDS.map((value) => ({ value, label: word(value) }))], values.kind ?? "");
    /** @param {string} name @param {Record<string, unknown>} more */
    const input = (name, more) => el("input", { name, value: values[name], autocomplete: "off", ...more });
    const photos = el("p", { class: "help", role: "status" });

    const form = /** @type {HTMLFormElement} */ (
      el(
        "form",
        { class: "form report", method: "post" },
        el("div", { class: "where-part" }, field("Where", search), spots, noSpot, spotWords),
        field("What", kind),
        field("In a line", input("title", { maxlength: "200", placeholder: "Water over the road at the bridge" })),
        el(
          "fieldset",
          { class: "field severities" },
          el("legend", {}, "How bad"),
          el(
            "div",
            { class: "radios" },
            ...SEVERITIES.map((severity) =>
              el(
                "label",
                {},
                el("input", { type: "radio", name: "severity", value: severity, checked: (values.severity ?? "UNKNOWN") === severity }),
                mark(severity, "VERIFIED"),
                el("span", {}, word(severity)),
              ),
            ),
          ),
          el("p", { class: "problem", "data-problem": "severity", role: "alert" }),
        ),
        el("div", { class: "two" }, field("How sure", options("certainty", CERTAINTIES)), field("How soon", options("urgency", URGENCIES))),
        field("What is known", el("textarea", { name: "description", rows: "3", maxlength: "5000" }, values.description ?? ""), "No names or numbers of people here: they have fields of their own below."),
        field("Place in words", input("place", { maxlength: "200", placeholder: "Near the market, past the bridge" })),
        el(
          "div",
          { class: "two" },
          field("When (Kenya time)", input("occurredAt", { type: "datetime-local", max: forField(now() + 5 * 60_000) }), "Empty: now"),
          field("It came by", options("source", SOURCES)),
        ),
        el("div", { class: "two" }, field("Who told us", input("reporterName", { maxlength: "200" })), field("Their number", input("reporterPhone", { type: "tel", maxlength: "30" }))),
        el("div", { class: "field" }, photoField((chosen) => { files = [...files, ...chosen].slice(0, 20); sayFiles(); }, "Add photos"), photos),
        el("p", { class: "problem", "data-problem": "", role: "alert" }),
        el(
          "div",
          { class: "steps last" },
          el("button", { type: "submit", class: "button" }, "Report"),
          el("button", { type: "button", class: "button-plain", onClick: discard }, "Discard"),
        ),
      )
    );

    function sayFiles() {
      photos.textContent = files.length ? `${files.length === 1 ? "1 photo goes" : `${files.length} photos go`} along once the report has arrived.` : "";
    }

    /** @param {Spot | null} spot @param {{ travel: boolean }} how */
    function setSpot(spot, { travel }) {
      if (!draft) return;
      draft.spot = spot;
      spotWords.textContent = spot ? inWords(county, spot) : "Click on the map, or type above.";
      spotWords.classList.toggle("is-set", Boolean(spot));
      const ward = spot?.kind === "ward" ? county.unit("ward", spot.code) ?? null : null;
      map()?.choose(ward);
      map()?.pin(spot && spot.kind !== "ward" ? spot.point : null);
      if (travel && ward) map()?.show(ward);
      if (travel && spot && spot.kind !== "ward") map()?.reach(spot.point, { close: true });
      if (spot) for (const problem of form.querySelectorAll('[data-problem="location"]')) problem.textContent = "";
      save();
    }

    function save() {
      if (!draft) return;
      const said = /** @type {Record<string, string>} */ (Object.fromEntries([...new FormData(form)].filter(([name, value]) => typeof value === "string" && name !== "location")));
      draft.values = said;
      keep();
    }

    startCombobox({ field: search, list: spots, none: noSpot }, offers(county, (spot) => { setSpot(spot, { travel: true }); /** @type {HTMLElement} */ (kind).focus(); }));
    form.addEventListener("input", save);

    drawn = sheet.draw("New incident", "Report an incident", again && el("p", { class: "help" }, "Kept from before, as you left it."), form);
    sheet.element.classList.add("card-report");
    setSpot(draft.spot, { travel: false });
    sayFiles();
    map()?.place((point) => {
      setSpot({ kind: "spot", point }, { travel: false });
    });
    document.body.dataset.reporting = "on";

    onSend(form, {
      memory,
      onMemory: save,
      input() {
        const spot = draft?.spot;
        /** @param {string} name */
        const text = (name) => /** @type {HTMLInputElement} */ (form.elements.namedItem(name)).value.trim() || null;
        return {
          kind: text("kind"),
          title: text("title") ?? "",
          ...(spot?.kind === "ward" ? { ward: spot.code } : spot?.kind === "landmark" ? { landmark: spot.id } : { location: spot?.point ?? null }),
          severity: text("severity") ?? "UNKNOWN",
          certainty: text("certainty"),
          urgency: text("urgency"),
          description: text("description"),
          place: text("place"),
          occurredAt: fromField(text("occurredAt") ?? ""),
          source: text("source"),
          reporterName: text("reporterName"),
          reporterPhone: text("reporterPhone"),
        };
      },
      async send(input) {
        // The hub says the same of these, but in the words of its schema.
        if (!input.ward && !input.landmark && !input.location) throw new HubError("input.location is missing: click on the map, or type a landmark or a ward", "BAD_USER_INPUT");
        if (!input.kind) throw new HubError("input.kind is missing: choose what happened", "BAD_USER_INPUT");
        return report(input);
      },
      onDone(details, how) {
        const along = files;
        forget();
        onReported(details, along, how);
      },
    });
    return again;
  }

  /** Leave the form; what was typed stays. */
  function leave() {
    map()?.place(null);
    map()?.pin(null);
    map()?.choose(null);
    delete document.body.dataset.reporting;
    const button = part("report");
    button.textContent = draft && !isEmpty(draft) ? "Continue the report" : "Report an incident";
    if (draft && isEmpty(draft)) forget();
    drawn = 0;
  }

  function forget() {
    draft = null;
    files = [];
    keep();
  }

  function discard() {
    forget();
    part("card").querySelector(".close")?.dispatchEvent(new MouseEvent("click"));
  }

  return {
    open,
    leave,
    forget,
    get isOpen() {
      return isOpen();
    },
    /** Whether something waits to be sent from before. */
    get waits() {
      return draft !== null;
    },
    focus: () => sheet.element.querySelector("input")?.focus({ preventScroll: true }),
  };
}

/** @param {Draft} draft */
const isEmpty = ({ values, spot, memory }) =>
  !spot && !memory.sent && !values.kind && ["title", "description", "place", "occurredAt", "reporterName", "reporterPhone"].every((name) => !values[name]);
