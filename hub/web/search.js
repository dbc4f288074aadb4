// Finding a unit by name, alias or code, an incident by its reference, or a point by its coordinates.

import { startCombobox } from "./combobox.js";
import { part } from "./elements.js";
import { coordinates, position } from "./figures.js";
import { finder } from "./wards.js";

/** @typedef {import("./wards.js").Unit} Unit */
/** @typedef {import("./api.js").Point} Point */
/** @typedef {import("./combobox.js").Offer} Offer */

const MOST = 8;

/**
 * Brings the search field to life.
 * @param {import("./wards.js").County} county
 * @param {{ onUnit: (unit: Unit) => void, onPlace: (point: Point) => void, more: (text: string) => Offer[] }} listeners
 *   `more`: what else fits, before the units
 */
export function startSearch(county, { onUnit, onPlace, more }) {
  const field = /** @type {HTMLInputElement} */ (part("search"));
  const find = finder(county);

  startCombobox(
    { field, list: part("found"), none: part("found-none") },
    {
      offered(text) {
        const point = position(text);
        if (point) return [{ label: coordinates(point), detail: "Which ward is this?", choose: () => onPlace(point) }];
        const units = find(text).map(({ unit, alias, guess }) => ({
          label: unit.name,
          detail: [guess && "Perhaps", alias && `also ${alias}`, unit.kind === "ward" ? `Ward ${unit.code} · ${unit.subCounty.name}` : "Sub-county"]
            .filter(Boolean)
            .join(" · "),
          choose: () => onUnit(unit),
        }));
        return [...more(text), ...units].slice(0, MOST);
      },
      nothing: (text) => `No ward or sub-county is called “${text}”.`,
    },
  );
  document.addEventListener("keydown", (event) => {
    const writing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || writing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    field.focus();
    field.select();
  });
  field.disabled = false;
}
