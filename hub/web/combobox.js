// A field with a list of what fits what was typed: offers that are at hand at once, those of the hub when they come.

import { el } from "./elements.js";

/** @typedef {{ label: string, detail: string, choose: () => void }} Offer */

/** How long nobody types before the hub is asked. */
const PAUSE_MS = 250;

/**
 * @param {{ field: HTMLInputElement, list: HTMLElement, none: HTMLElement }} parts
 * @param {{ offered: (text: string) => Offer[], asked?: (text: string) => Promise<Offer[]>, nothing: (text: string) => string }} from
 */
export function startCombobox({ field, list, none }, { offered, asked, nothing }) {
  /** @type {Offer[]} */
  let offers = [];
  let active = -1;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let pause;

  function draw() {
    clearTimeout(pause);
    const text = field.value.trim();
    show(offered(field.value));
    const asking = asked && text.length > 2;
    none.textContent = text && !offers.length && !asking ? nothing(text) : "";
    if (!asking) return;
    pause = setTimeout(async () => {
      const more = await asked(text).catch(() => []);
      // Another question has the field now, or somebody walks the list already.
      if (field.value.trim() !== text || document.activeElement !== field) return;
      const before = active;
      show([...offered(field.value), ...more]);
      if (before >= 0) point(before);
      if (!offers.length) none.textContent = nothing(text);
    }, PAUSE_MS);
  }

  /** @param {Offer[]} found */
  function show(found) {
    offers = found;
    active = -1;
    list.replaceChildren(
      ...offers.map((offer, place) =>
        el(
          "li",
          {
            id: `${list.id}-${place}`,
            role: "option",
            "aria-selected": "false",
            // Before the field loses focus, which would close the list under the pointer.
            onPointerDown: (/** @type {Event} */ event) => event.preventDefault(),
            onClick: () => take(place),
          },
          el("span", { class: "label" }, offer.label),
          el("span", { class: "detail" }, offer.detail),
        ),
      ),
    );
    open(offers.length > 0);
  }

  /** @param {boolean} is */
  function open(is) {
    list.hidden = !is;
    field.setAttribute("aria-expanded", String(is));
    if (!is) field.removeAttribute("aria-activedescendant");
  }

  /** @param {number} place */
  function point(place) {
    active = offers.length ? (place + offers.length) % offers.length : -1;
    [...list.children].forEach((option, i) => option.setAttribute("aria-selected", String(i === active)));
    list.children[active]?.scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", `${list.id}-${active}`);
  }

  /** @param {number} place */
  function take(place) {
    const offer = offers[place];
    field.value = "";
    draw();
    open(false);
    offer.choose();
  }

  field.addEventListener("input", draw);
  field.addEventListener("focus", draw);
  field.addEventListener("blur", () => open(false));
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (list.hidden) draw();
      if (offers.length) point(active < 0 && event.key === "ArrowUp" ? -1 : active + (event.key === "ArrowDown" ? 1 : -1));
      event.preventDefault();
    } else if (event.key === "Enter" && !list.hidden && offers.length) {
      event.preventDefault();
      take(Math.max(active, 0));
    } else if (event.key === "Escape" && (field.value || !list.hidden)) {
      // One Escape puts the search away; only the next one reaches the card behind it.
      event.preventDefault();
      event.stopPropagation();
      field.value = "";
      draw();
    }
  });
}
