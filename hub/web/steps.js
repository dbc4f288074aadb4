// The small forms in an incident's card: a step of its status, a note, a correction. Whoever was faster is shown, not overwritten.

import { el } from "./elements.js";
import { field, newMemory, onSend, select } from "./forms.js";
import { forField, fromField } from "./times.js";
import { CERTAINTIES, KINDS, SEVERITIES, stepsFrom, URGENCIES, word } from "./vocabulary.js";

/** @typedef {import("./incidents.js").Incident} Incident */
/** @typedef {import("./incidents.js").Details} Details */
/**
 * @typedef {{ seen: Details, present: () => Details, onDone: (details: Details) => void, onCancel: () => void, refresh: () => Promise<void>,
 *   send: (input: Record<string, unknown>) => Promise<Details> }} From
 */

/** @param {string} heading @param {string} verb @param {() => void} onCancel @param {...import("./elements.js").Child} fields */
const frame = (heading, verb, onCancel, ...fields) =>
  /** @type {HTMLFormElement} */ (
    el(
      "form",
      {
        class: "form",
        onKeyDown: (/** @type {KeyboardEvent} */ event) => {
          if (event.key !== "Escape") return;
          event.preventDefault();
          event.stopPropagation();
          onCancel();
        },
      },
      el("h3", {}, heading),
      ...fields,
      el("p", { class: "problem", "data-problem": "", role: "alert" }),
      el("div", { class: "meanwhile", role: "status" }),
      el(
        "div",
        { class: "steps" },
        el("button", { type: "submit", class: "button" }, verb),
        el("button", { type: "button", class: "button-plain", onClick: onCancel }, "Cancel"),
      ),
    )
  );

/** What somebody saw beside what it is now. @param {Incident} seen @param {Incident} now */
function both(seen, now) {
  /** @param {string} heading @param {Incident} incident @param {Incident} other */
  const side = (heading, incident, other) => {
    /** @param {string} said @param {boolean} differs */
    const line = (said, differs) => el("p", {}, differs ? el("mark", {}, said) : said);
    return el(
      "div",
      {},
      el("h4", {}, heading),
      line(word(incident.status), incident.status !== other.status),
      line(word(incident.severity), incident.severity !== other.severity),
      line(incident.title, incident.title !== other.title),
    );
  };
  return el("div", { class: "both" }, side("You saw", seen, now), side("It is now", now, seen));
}

/**
 * One step of the state machine, with a note.
 * @param {From & { step: import("./vocabulary.js").Step }} from
 */
export function stepForm({ seen, present, step, send, onDone, onCancel, refresh }) {
  let base = /** @type {Incident} */ (seen);
  const memory = newMemory();
  const words = el("textarea", { name: "note", rows: "2", maxlength: "2000", required: step.note });
  const form = frame(step.doing, step.does, onCancel, field(step.note ? "Why (needed)" : "Note (if there is something to say)", words));
  const meanwhile = /** @type {HTMLElement} */ (form.querySelector(".meanwhile"));
  const sendButton = /** @type {HTMLElement} */ (form.querySelector("button[type=submit]"));

  onSend(form, {
    memory,
    input: () => ({ id: seen.id, status: step.to, note: /** @type {HTMLTextAreaElement} */ (words).value.trim() || null, expectedVersion: base.version }),
    send,
    onDone,
    onConflict: async () => {
      await refresh();
      conflict(present());
    },
  });

  /** @param {Incident} now */
  function conflict(now) {
    const still = stepsFrom(now.status).some(({ to }) => to === step.to);
    sendButton.hidden = true;
    meanwhile.replaceChildren(
      el("p", {}, el("strong", {}, "Somebody changed it before you. Nothing of yours was stored.")),
      both(base, now),
      !still ? el("p", {}, `An incident that is ${word(now.status).toLowerCase()} can’t become ${word(step.to).toLowerCase()}.`) : "",
      el(
        "div",
        { class: "steps" },
        still
          ? el(
              "button",
              {
                type: "button",
                class: "button",
                onClick: () => {
                  base = now;
                  Object.assign(memory, newMemory());
                  meanwhile.replaceChildren();
                  sendButton.hidden = false;
                  form.requestSubmit();
                },
              },
              `${step.does} all the same`,
            )
          : "",
        el("button", { type: "button", class: "button-plain", onClick: onCancel }, "Leave it as it is now"),
      ),
    );
    meanwhile.scrollIntoView({ block: "nearest" });
  }

  return {
    element: form,
    /** @param {Incident} now */
    changed(now) {
      if (!sendButton.hidden && now.version !== base.version) {
        meanwhile.replaceChildren(el("p", { class: "help" }, `It changed while you write: it is ${word(now.status).toLowerCase()} now.`));
      }
    },
  };
}

/** @param {From} from */
export function noteForm({ seen, send, onDone, onCancel }) {
  const words = el("textarea", { name: "note", rows: "3", maxlength: "2000" });
  const form = frame("Add a note", "Add", onCancel, field("Note", words, "It stands in the timeline for everybody who sees this incident. No names or numbers of callers."));
  onSend(form, { input: () => ({ id: seen.id, note: /** @type {HTMLTextAreaElement} */ (words).value }), send, onDone });
  return { element: form, changed: () => {} };
}

/** @param {From} from */
export function editForm({ seen, present, send, onDone, onCancel, refresh }) {
  let base = seen;
  const memory = newMemory();
  /** @param {string[]} values */
  const options = (values) => values.map((value) => ({ value, label: word(value) }));
  const controls = {
    kind: select("kind", options(KINDS), seen.kind),
    title: el("input", { name: "title", maxlength: "200", value: seen.title }),
    severity: select("severity", options(SEVERITIES), seen.severity),
    certainty: select("certainty", options(CERTAINTIES), seen.certainty),
    urgency: select("urgency", options(URGENCIES), seen.urgency),
    description: el("textarea", { name: "description", rows: "4", maxlength: "5000" }, seen.description ?? ""),
    place: el("input", { name: "place", maxlength: "200", value: seen.place ?? "" }),
    occurredAt: el("input", { name: "occurredAt", type: "datetime-local", value: forField(seen.occurredAt) }),
    note: el("input", { name: "note", maxlength: "2000" }),
  };
  /** @param {keyof typeof controls} name */
  const value = (name) => /** @type {HTMLInputElement} */ (controls[name]).value;
  const form = frame(
    "Edit what is known",
    "Save",
    onCancel,
    field("Title", controls.title),
    field("Kind", controls.kind),
    el("div", { class: "three" }, field("Severity", controls.severity), field("Certainty", controls.certainty), field("Urgency", controls.urgency)),
    field("Description", controls.description),
    field("Place in words", controls.place),
    field("Occurred (Kenya time)", controls.occurredAt),
    field("Why it is changed", controls.note),
  );
  const meanwhile = /** @type {HTMLElement} */ (form.querySelector(".meanwhile"));
  const sendButton = /** @type {HTMLElement} */ (form.querySelector("button[type=submit]"));

  onSend(form, {
    memory,
    input() {
      /** @type {Record<string, unknown>} Only what was changed here: the rest stays as others have made it meanwhile. */
      const input = { id: seen.id, expectedVersion: base.version };
      for (const name of /** @type {const} */ (["kind", "title", "severity", "certainty", "urgency"])) if (value(name) !== seen[name]) input[name] = value(name);
      for (const name of /** @type {const} */ (["description", "place"])) if (value(name).trim() !== (seen[name] ?? "")) input[name] = value(name).trim() || null;
      if (value("occurredAt") !== forField(seen.occurredAt)) input.occurredAt = fromField(value("occurredAt")) ?? seen.occurredAt;
      if (value("note").trim()) input.note = value("note").trim();
      return input;
    },
    send,
    onDone,
    onConflict: async () => {
      await refresh();
      const now = present();
      sendButton.hidden = true;
      meanwhile.replaceChildren(
        el("p", {}, el("strong", {}, "Somebody changed it before you. Nothing of yours was stored.")),
        both(base, now),
        el(
          "div",
          { class: "steps" },
          el(
            "button",
            {
              type: "button",
              class: "button",
              onClick: () => {
                base = now;
                Object.assign(memory, newMemory());
                meanwhile.replaceChildren();
                sendButton.hidden = false;
                form.requestSubmit();
              },
            },
            "Save my changes all the same",
          ),
          el("button", { type: "button", class: "button-plain", onClick: onCancel }, "Leave it as it is now"),
        ),
      );
      meanwhile.scrollIntoView({ block: "nearest" });
    },
  });
  return {
    element: form,
    /** @param {Incident} now */
    changed(now) {
      if (!sendButton.hidden && now.version !== base.version) meanwhile.replaceChildren(el("p", { class: "help" }, "Somebody changed it while you write."));
    },
  };
}

