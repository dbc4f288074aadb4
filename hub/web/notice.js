// What the page says while the wards are on their way, and when they do not come.

import { el, part } from "./elements.js";

/** Waits before asking again by itself, in seconds: soon at first, then without pressing a hub that is down. */
const WAITS = [2, 4, 8, 15, 30];

/**
 * Shows that something is being loaded. It says so only after a moment: most loads are over before.
 * @param {string} sentence
 */
export function loading(sentence) {
  const notice = part("notice");
  notice.className = "notice notice-loading";
  notice.setAttribute("role", "status");
  notice.replaceChildren(el("span", { class: "spinner", "aria-hidden": "true" }), el("p", {}, sentence));
  notice.hidden = false;
}

/** Takes the notice away. */
export function clear() {
  part("notice").hidden = true;
}

/**
 * Says for good that something can't be had, and what can be done without it.
 * @param {string} heading
 * @param {string} sentence
 */
export function tell(heading, sentence) {
  const notice = part("notice");
  notice.className = "notice notice-calm";
  notice.setAttribute("role", "status");
  notice.replaceChildren(el("div", {}, el("h2", {}, heading), el("p", {}, sentence)));
  notice.hidden = false;
}

/**
 * Does something until it succeeds: a failure is told with its reason, tried again by itself after a while, when the
 * network comes back, or at once when somebody presses the button.
 * @template T
 * @param {() => Promise<T>} work
 * @param {{ doing: string, failed: string }} words
 * @returns {Promise<T>}
 */
export async function untilDone(work, { doing, failed }) {
  for (let attempt = 0; ; attempt++) {
    loading(doing);
    try {
      const result = await work();
      clear();
      return result;
    } catch (error) {
      await refusal(failed, error instanceof Error ? error.message : String(error), WAITS[Math.min(attempt, WAITS.length - 1)]);
    }
  }
}

/**
 * @param {string} heading
 * @param {string} reason
 * @param {number} wait
 * @returns {Promise<void>} when it is time to try again
 */
function refusal(heading, reason, wait) {
  return new Promise((resolve) => {
    const notice = part("notice");
    const countdown = el("span", { class: "countdown", "aria-hidden": "true" });
    let left = wait;
    const again = () => {
      clearInterval(timer);
      removeEventListener("online", again);
      resolve();
    };
    const tick = () => {
      countdown.textContent = `Trying again in ${left} s`;
      if (left-- <= 0) again();
    };
    const timer = setInterval(tick, 1000);
    addEventListener("online", again);
    notice.className = "notice notice-error";
    notice.setAttribute("role", "alert");
    notice.replaceChildren(
      el("div", {}, el("h2", {}, heading), el("p", {}, reason)),
      el("div", { class: "again" }, el("button", { type: "button", class: "button", onClick: again }, "Try again now"), countdown),
    );
    notice.hidden = false;
    tick();
  });
}
