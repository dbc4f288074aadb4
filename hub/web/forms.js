// Forms that tell the hub something: errors at the field that they name, and nothing lost or done twice on a bad link.

import { HubError } from "./api.js";
import { el } from "./elements.js";
import { newKey } from "./incidents.js";

/** @typedef {import("./elements.js").Child} Child */
/** @typedef {{ key: string, sent: Record<string, unknown> | null }} Memory  the form's own key, and what the hub may have already */

let numbered = 0;

/**
 * A control under its label, with room for what is wrong with it.
 * @param {string} label
 * @param {HTMLElement} control
 * @param {Child} [help]
 */
export function field(label, control, help) {
  const id = `field-${++numbered}`;
  control.id ||= id;
  control.setAttribute("aria-describedby", `${id}-problem`);
  return el(
    "div",
    { class: "field" },
    el("label", { for: control.id }, label),
    control,
    help && el("p", { class: "help" }, help),
    el("p", { class: "problem", id: `${id}-problem`, "data-problem": control.getAttribute("name"), role: "alert" }),
  );
}

/**
 * @param {string} name
 * @param {{ value: string, label: string }[]} options
 * @param {string} chosen
 */
export const select = (name, options, chosen) =>
  el("select", { name }, ...options.map(({ value, label }) => el("option", { value, selected: value === chosen }, label)));

/** @param {HTMLElement} form */
export function clearProblems(form) {
  for (const problem of form.querySelectorAll("[data-problem]")) problem.textContent = "";
  for (const wrong of form.querySelectorAll("[aria-invalid]")) wrong.removeAttribute("aria-invalid");
}

/**
 * Says what is wrong at the field that it names; what names none stands above the button.
 * @param {HTMLElement} form
 * @param {string} message  an API's, such as `input.title is empty: send 3 to 200 letters`
 */
export function showProblem(form, message) {
  const named = /\binput\.([A-Za-z]+)/.exec(message)?.[1] ?? "";
  // One field of the page stands for the three ways of saying where.
  const name = named === "ward" || named === "landmark" ? "location" : named;
  const place = form.querySelector(`[data-problem="${CSS.escape(name)}"]`) ?? form.querySelector('[data-problem=""]');
  const label = place?.parentElement?.querySelector("label, legend")?.textContent;
  const control = /** @type {HTMLElement | null} */ (name ? form.querySelector(`[name="${CSS.escape(name)}"]`) : null);
  if (place) place.textContent = label ? message.replace(/^.*?\binput\.[A-Za-z]+:?/, label) : message.replace(/\binput\./, "");
  control?.setAttribute("aria-invalid", "true");
  control?.focus();
  place?.scrollIntoView({ block: "nearest" });
}

/** @returns {Memory} */
export const newMemory = () => ({ key: newKey(), sent: null });

/**
 * Sends a form by script. Under one key: when the outcome is unknown it can be sent again and counts once.
 * @template T
 * @param {HTMLFormElement} form  with a submit button and a `[data-problem=""]`
 * @param {{
 *   input: () => Record<string, unknown>,
 *   send: (input: Record<string, unknown>) => Promise<T>,
 *   onDone: (result: T, told: { late: boolean }) => void,
 *   onConflict?: (error: HubError) => void,
 *   memory?: Memory,
 *   onMemory?: (memory: Memory) => void,
 * }} how  `late`: what was sent first had arrived, and what was changed after it is not in it
 */
export function onSend(form, { input, send, onDone, onConflict, memory = newMemory(), onMemory = () => {} }) {
  const button = /** @type {HTMLButtonElement} */ (form.querySelector("button[type=submit]"));
  const general = /** @type {HTMLElement} */ (form.querySelector('[data-problem=""]'));
  const words = button.textContent ?? "";
  let busy = false;

  function unsure(/** @type {string} */ why) {
    button.textContent = "Send again";
    general.replaceChildren(el("strong", {}, why), " What you wrote is kept here. Send it again: even if it has arrived, it counts once.");
    general.scrollIntoView({ block: "nearest" });
  }
  if (memory.sent) unsure("The hub’s answer did not come.");

  form.noValidate = true;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    clearProblems(form);
    const told = input();
    busy = true;
    button.setAttribute("aria-disabled", "true");
    button.textContent = "Sending…";
    try {
      const result = await send({ ...told, clientMutationId: memory.key });
      button.textContent = words;
      onDone(result, { late: false });
    } catch (error) {
      button.textContent = words;
      await failed(error, told);
    } finally {
      busy = false;
      button.removeAttribute("aria-disabled");
    }
  });

  /** @param {unknown} error @param {Record<string, unknown>} told */
  async function failed(error, told) {
    if (!(error instanceof HubError)) throw error;
    if (error.unknown) {
      memory.sent ??= told;
      onMemory(memory);
      unsure(error.message);
      return;
    }
    if (error.code === "CONFLICT" && memory.sent && !error.details.present && JSON.stringify(memory.sent) !== JSON.stringify(told)) {
      // The key was used: what was sent first had arrived, and this asks for it.
      try {
        onDone(await send({ ...memory.sent, clientMutationId: memory.key }), { late: true });
      } catch (again) {
        general.textContent = again instanceof Error ? again.message : String(again);
      }
      return;
    }
    if (error.code === "CONFLICT" && onConflict) {
      onConflict(error);
      return;
    }
    if (error.code === "UNAUTHENTICATED") {
      general.replaceChildren("Your sign-in has ended. ", el("a", { href: `/sign-in#map&${location.hash.slice(1)}` }, "Sign in again"), "; what you wrote is kept.");
      return;
    }
    showProblem(form, error.message);
  }
}
