// The county in text: sub-counties and their wards beside the map, whole without it.

import { el } from "./elements.js";
import { count } from "./figures.js";
import { hash } from "./address.js";

/** @typedef {import("./wards.js").County} County */
/** @typedef {import("./wards.js").Unit} Unit */
/** @typedef {import("./address.js").Choice} Choice */

/**
 * Draws the list. Each row is a link to its unit, so that it can be opened in a new tab, copied and gone back from.
 * @param {HTMLElement} container
 * @param {County} county
 * @param {{ onChoose: (unit: Unit) => void, onPoint: (unit: Unit | null) => void }} listeners
 * @returns {{ mark: (choice: Choice) => void }}
 */
export function drawList(container, county, { onChoose, onPoint }) {
  /** @type {Map<string, HTMLElement>} */
  const rows = new Map();
  const years = [...new Set(county.wards.map((ward) => ward.populationYear))];
  const heading = years.length === 1 && years[0] ? `People, ${years[0]}` : "People";

  /** @param {Unit} unit @param {...(Node | string)} content */
  const row = (unit, ...content) => {
    const link = el(
      "a",
      {
        class: `row row-${unit.kind}`,
        href: hash({ kind: unit.kind, code: unit.code }, null),
        onClick: (/** @type {MouseEvent} */ event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
          event.preventDefault();
          onChoose(unit);
        },
        onPointerEnter: () => onPoint(unit),
        onPointerLeave: () => onPoint(null),
        onFocus: () => onPoint(unit),
        onBlur: () => onPoint(null),
      },
      ...content,
      el("span", { class: "people" }, unit.population === null ? "–" : count(unit.population)),
    );
    rows.set(`${unit.kind} ${unit.code}`, link);
    return link;
  };

  container.replaceChildren(
    el("p", { class: "columns", "aria-hidden": "true" }, el("span", {}, "Sub-county and ward"), el("span", {}, heading)),
    ...county.subCounties.map((unit) =>
      el(
        "section",
        { class: `group tint-${unit.tint % 7}` },
        el("h2", {}, row(unit, el("span", { class: "swatch" }), el("span", { class: "name" }, unit.name))),
        el(
          "ul",
          {},
          ...unit.wards.map((ward) =>
            el("li", {}, row(ward, el("span", { class: "code" }, ward.code), el("span", { class: "name" }, ward.name))),
          ),
        ),
      ),
    ),
  );
  container.addEventListener("keydown", (event) => step(event, [...rows.values()]));

  return {
    mark(choice) {
      for (const row of rows.values()) row.removeAttribute("aria-current");
      if (!choice || choice.kind === "place" || choice.kind === "incident") return;
      const row = rows.get(`${choice.kind} ${choice.code}`);
      row?.setAttribute("aria-current", "true");
      row?.scrollIntoView({ block: "nearest" });
    },
  };
}

/**
 * What stands in the list's place until the wards are here.
 * @param {HTMLElement} container
 */
export function drawBlank(container) {
  container.replaceChildren(...Array.from({ length: 12 }, () => el("div", { class: "blank", "aria-hidden": "true" })));
}

/**
 * Arrow keys walk the rows, so that the last ward is not forty tabs away.
 * @param {KeyboardEvent} event
 * @param {HTMLElement[]} rows
 */
function step(event, rows) {
  const here = rows.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (here < 0 || to === undefined) return;
  event.preventDefault();
  rows[Math.min(Math.max(to, 0), rows.length - 1)].focus();
}
