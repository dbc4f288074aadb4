// The bar over the map that says that nothing here is real: what happens in the play, a pause, and whom to look on as.

import { ours } from "./api.js";
import { el, part } from "./elements.js";

/**
 * @typedef {object} Play
 * @property {string | null} script
 * @property {string | null} title
 * @property {string | null} time
 * @property {string | null} caption
 * @property {boolean} paused
 * @property {string[]} roles
 */

const PLAYS = new Map([["flood-night", "Flood night"], ["ordinary-day", "Ordinary day"]]);
const EVERY = 2000;

/** @returns {Promise<Play | null>} The play; null where the county works, and where nobody answers. */
export async function playing() {
  try {
    const answer = await fetch("/demonstration", { headers: ours(false) });
    return answer.ok ? (await answer.json()).demonstration : null;
  } catch {
    return null;
  }
}

/** @param {string} path @param {object} body */
async function send(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { ...ours(false), "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return answer.ok;
}

/**
 * Shows the bar for as long as the page is open.
 * @param {Play} play
 * @param {string | null} name Who looks on; null: nobody who is signed in.
 */
export function startDemonstration(play, name) {
  const bar = part("demonstration");
  const time = el("span", { class: "demonstration-time" });
  const caption = el("span", { class: "demonstration-caption", role: "status" });
  const pause = el("button", { class: "button", type: "button" });
  const plays = [...PLAYS].map(([script, words]) => {
    const button = el("button", { class: "button", type: "button" }, words);
    button.addEventListener("click", async () => {
      await send("/demonstration", { script });
      await look();
    });
    return /** @type {const} */ ([script, button]);
  });
  const roles = /** @type {HTMLSelectElement} */ (
    el(
      "select",
      { id: "demonstration-role" },
      el("option", { value: "" }, name ? `Signed in as ${name}` : "the public"),
      ...play.roles.map((role) => el("option", { value: role }, role.replaceAll("_", " "))),
    )
  );
  roles.addEventListener("change", async () => {
    if (roles.value && (await send("/demonstration/sign-in", { role: roles.value }))) location.reload();
  });
  pause.addEventListener("click", async () => {
    await send("/demonstration", { paused: !play.paused });
    await look();
  });
  bar.replaceChildren(
    el("strong", {}, "DEMONSTRATION DATA"),
    el("span", { class: "demonstration-story" }, time, caption),
    el(
      "span",
      { class: "demonstration-steps" },
      // What one wants first stands first: a telephone's bar slides.
      el("label", { for: "demonstration-role" }, "Look on as"),
      roles,
      pause,
      ...plays.map(([, button]) => button),
    ),
  );
  bar.hidden = false;
  show();
  setInterval(() => document.hidden || look(), EVERY);

  async function look() {
    const next = await playing();
    if (next) {
      play = next;
      show();
    }
  }

  function show() {
    time.textContent = play.time ?? "";
    // Said anew only when it changes: it is read aloud.
    if (caption.textContent !== (play.caption ?? "")) caption.textContent = play.caption ?? "";
    pause.textContent = play.paused ? "Go on" : "Pause";
    for (const [script, button] of plays) button.setAttribute("aria-pressed", String(script === play.script));
  }
}
