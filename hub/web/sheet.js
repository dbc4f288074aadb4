// The card's frame: a heading, a way to close it, and a count by which an answer that comes late for a former card is dropped.

import { el, icon, part } from "./elements.js";

/** @typedef {import("./elements.js").Child} Child */
/** @typedef {{ draw: (eyebrow: Child, name: Child, ...content: Child[]) => number, holds: (drawn: number) => boolean, close: () => void, focus: () => void, element: HTMLElement }} Sheet */

/**
 * @param {{ onClose: () => void }} listeners
 * @returns {Sheet}
 */
export function startSheet({ onClose }) {
  const card = part("card");
  let opened = 0;
  return {
    element: card,
    draw(eyebrow, name, ...content) {
      card.replaceChildren(
        el(
          "header",
          {},
          el("div", {}, el("p", { class: "eyebrow" }, eyebrow), el("h2", { id: "card-name", tabindex: "-1" }, name)),
          el(
            "button",
            { type: "button", class: "close", "aria-label": "Close", title: "Close (Esc)", onClick: onClose },
            icon("m5 5 10 10M15 5 5 15"),
          ),
        ),
        el("div", { class: "card-body" }, ...content),
      );
      card.className = "card";
      card.scrollTop = 0;
      card.hidden = false;
      return ++opened;
    },
    holds: (drawn) => drawn === opened && !card.hidden,
    close() {
      opened++;
      card.hidden = true;
      card.replaceChildren();
    },
    focus: () => part("card-name").focus({ preventScroll: true }),
  };
}
