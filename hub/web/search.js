// Finding a unit by name, alias or code, or a point by its coordinates: a combobox with a list of what fits.

import { el, part } from "./elements.js";
import { coordinates, position } from "./figures.js";
import { finder } from "./wards.js";

/** @typedef {import("./wards.js").Unit} Unit */
/** @typedef {import("./api.js").Point} Point */
/** @typedef {{ label: string, detail: string, choose: () => void }} Offer */

const MOST = 8;

/**
 * Brings the search field to life.
 * @param {import("./wards.js").County} county
 * @param {{ onUnit: (unit: Unit) => void, onPlace: (point: Point) => void }} listeners
 */
export function startSearch(county, { onUnit, onPlace }) {
  const field = /** @type {HTMLInputElement} */ (part("search"));
  const list = part("found");
  const none = part("found-none");
  const find = finder(county);
  /** @type {Offer[]} */
  let offers = [];
  let active = -1;

  /** @returns {Offer[]} */
  function offered() {
    const point = position(field.value);
    if (point) return [{ label: coordinates(point), detail: "Which ward is this?", choose: () => onPlace(point) }];
    return find(field.value).slice(0, MOST).map(({ unit, alias, guess }) => ({
      label: unit.name,
      detail: [guess && "Perhaps", alias && `also ${alias}`, unit.kind === "ward" ? `Ward ${unit.code} · ${unit.subCounty.name}` : "Sub-county"]
        .filter(Boolean)
        .join(" · "),
      choose: () => onUnit(unit),
    }));
  }

  function draw() {
    offers = offered();
    active = -1;
    list.replaceChildren(
      ...offers.map((offer, place) =>
        el(
          "li",
          {
            id: `found-${place}`,
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
    show(offers.length > 0);
    none.textContent = field.value.trim() && !offers.length ? `No ward or sub-county is called “${field.value.trim()}”.` : "";
  }

  /** @param {boolean} open */
  function show(open) {
    list.hidden = !open;
    field.setAttribute("aria-expanded", String(open));
    if (!open) field.removeAttribute("aria-activedescendant");
  }

  /** @param {number} place */
  function point(place) {
    active = offers.length ? (place + offers.length) % offers.length : -1;
    [...list.children].forEach((option, i) => option.setAttribute("aria-selected", String(i === active)));
    list.children[active]?.scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", `found-${active}`);
  }

  /** @param {number} place */
  function take(place) {
    const offer = offers[place];
    field.value = "";
    draw();
    offer.choose();
  }

  field.addEventListener("input", draw);
  field.addEventListener("focus", draw);
  field.addEventListener("blur", () => show(false));
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (list.hidden) draw();
      if (offers.length) point(active < 0 && event.key === "ArrowUp" ? -1 : active + (event.key === "ArrowDown" ? 1 : -1));
      event.preventDefault();
    } else if (event.key === "Enter" && offers.length) {
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
  document.addEventListener("keydown", (event) => {
    const writing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || writing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    field.focus();
    field.select();
  });
  field.disabled = false;
}
