// A vehicle's card: what it is, where it was last and how long ago that is. It keeps up while it is open.

import { hash } from "./address.js";
import { el } from "./elements.js";
import { coordinates, count } from "./figures.js";
import { inCard } from "./patrols.js";
import { sinceThen } from "./times.js";
import { badge } from "./vehicle-layers.js";
import { called, inWords, isStale } from "./vehicles.js";
import { word } from "./vocabulary.js";

/** @typedef {import("./vehicles.js").Placed} Placed */

/**
 * @param {{ county: import("./wards.js").County, sheet: import("./sheet.js").Sheet, onUnit: (unit: import("./wards.js").Unit) => void,
 *   onOpen: (plate: string) => void, onFollow: (is: boolean) => void }} from
 */
export function startVehicleCard({ county, sheet, onUnit, onOpen, onFollow }) {
  /** @type {{ drawn: number, facts: HTMLElement, actions: HTMLElement, follow: HTMLElement, note: HTMLElement, said: string, driver: string | null } | null} */
  let open = null;
  let following = false;

  /** @param {boolean} is */
  function follows(is) {
    if (is === following) return;
    following = is;
    open?.follow.setAttribute("aria-pressed", String(is));
    if (open) open.follow.textContent = is ? "Following — stop" : "Follow";
    onFollow(is);
  }

  /** @param {string} plate */
  function show(plate) {
    following = false;
    const facts = el("div", { class: "facts" }, el("p", { class: "pending" }, "Asking the hub…"));
    const follow = el("button", { type: "button", class: "button", "aria-pressed": "false", onClick: () => follows(!following) }, "Follow");
    const actions = el("div", { class: "actions" }, el("div", { class: "steps" }, follow));
    const note = el("p", { class: "help", role: "status" });
    actions.hidden = true;
    const drawn = sheet.draw(plate, plate, facts, actions, note);
    sheet.element.classList.add("card-vehicle");
    open = { drawn, facts, actions, follow, note, said: "", driver: null };
  }

  /**
   * @param {Placed | null} vehicle
   * @param {boolean} read  whether the list was read: what it does not hold is not there
   * @param {import("./patrols.js").Patrol | null} [patrol]  that it is out on
   */
  function draw(vehicle, read, patrol = null) {
    if (!open || !sheet.holds(open.drawn)) return;
    if (!vehicle) {
      if (read) open.facts.replaceChildren(el("p", { class: "caution", role: "status" }, "There is no such vehicle, or you may not see it."));
      open.actions.hidden = true;
      return;
    }
    // Drawn anew only where something changed: whoever stands in it with the keyboard keeps the place.
    const said = JSON.stringify([vehicle, isStale(vehicle), patrol, open.driver]);
    if (said === open.said) return;
    open.said = said;
    const heading = sheet.element.querySelector("#card-name");
    const eyebrow = sheet.element.querySelector(".eyebrow");
    if (heading && heading.textContent !== called(vehicle)) heading.textContent = called(vehicle);
    if (eyebrow) eyebrow.textContent = [vehicle.plate, word(vehicle.kind)].join(" · ");
    const focused = open.facts.contains(document.activeElement);
    const { at } = vehicle;
    /** @param {string} term @param {...import("./elements.js").Child} words */
    const fact = (term, ...words) => el("div", {}, el("dt", {}, term), el("dd", {}, ...words));
    open.facts.replaceChildren(
      el("p", { class: "standing" }, badge(vehicle.kind, vehicle.status), el("strong", {}, word(vehicle.kind)), el("span", { class: "status" }, word(vehicle.status))),
      ...(vehicle.demonstration ? [el("p", { class: "help" }, "Demonstration data: there is no such vehicle.")] : []),
      at
        ? el("p", { class: isStale(vehicle) ? "heard caution" : "heard" }, "Last heard of ", sinceThen(at.recordedAt), isStale(vehicle) ? ": it may be elsewhere by now." : "")
        : el("p", { class: "caution" }, "It never said where it is."),
      at ? el("p", { class: "place" }, ...place(at)) : "",
      patrol ? inCard(patrol) : "",
      el(
        "dl",
        { class: "cap" },
        fact("Plate", vehicle.plate),
        fact("Call sign", vehicle.callSign ?? "None"),
        fact("Department", vehicle.department?.name ?? "None"),
        // Nobody, or nobody that one may know of: the hub tells both alike.
        open.driver && fact("Driver", open.driver),
        at && fact("Speed", at.speedKmh === null ? "Not said" : `${Math.round(at.speedKmh)} km/h`),
        at && fact("Heading", at.heading === null ? "Not said" : `${inWords(at.heading)} (${Math.round(at.heading)}°)`),
        at && fact("Battery", at.battery === null ? "Not said" : `${Math.round(at.battery * 100)} %`),
        at && fact("Accuracy", at.accuracyMeters === null ? "Not said" : `within ${count(Math.round(at.accuracyMeters))} m`),
      ),
    );
    if (focused) /** @type {HTMLElement | null} */ (open.facts.querySelector("a"))?.focus({ preventScroll: true });
    open.actions.hidden = !at;
  }

  /** @param {import("./vehicles.js").Position} at @returns {import("./elements.js").Child[]} */
  function place({ ward: told, location }) {
    const point = el("small", {}, coordinates(/** @type {[number, number]} */ (location.coordinates)));
    const ward = told && county.unit("ward", told.code);
    if (!ward) return [told ? `In ${told.name} ward ` : "In no ward: on the lake, or beyond the border ", point];
    const link = el(
      "a",
      {
        href: hash({ kind: "ward", code: ward.code }, null),
        onClick: (/** @type {MouseEvent} */ event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
          event.preventDefault();
          onUnit(ward);
        },
      },
      ward.name,
    );
    return ["In ", link, " ward ", point];
  }

  return {
    show,
    draw,
    follows,
    /** Who drives it, for those who may know; drawn with what comes next. @param {string | null} name */
    driven(name) {
      if (open) open.driver = name;
    },
    /** @param {string} words */
    tracked(words) {
      if (open) open.note.textContent = words;
    },
    /**
     * Several on one spot.
     * @param {Placed[]} vehicles
     * @param {{ element: Element, label: string, href: string, open: () => void }[]} others  incidents among them
     */
    several(vehicles, others) {
      open = null;
      const rows = [
        ...others,
        ...vehicles.map((vehicle) => ({ element: badge(vehicle.kind, vehicle.status), label: called(vehicle), href: hash({ kind: "vehicle", plate: vehicle.plate }, null), open: () => onOpen(vehicle.plate), said: word(vehicle.status) })),
      ];
      sheet.draw(
        "On this spot",
        [others.length && `${count(others.length)} incident${others.length === 1 ? "" : "s"}`, `${count(vehicles.length)} vehicle${vehicles.length === 1 ? "" : "s"}`].filter(Boolean).join(", "),
        el(
          "ul",
          { class: "members several" },
          ...rows.map((row) =>
            el(
              "li",
              {},
              row.element,
              el(
                "a",
                {
                  href: row.href,
                  onClick: (/** @type {Event} */ event) => {
                    event.preventDefault();
                    row.open();
                  },
                },
                row.label,
              ),
              "said" in row ? el("span", {}, String(row.said)) : "",
            ),
          ),
        ),
      );
    },
  };
}
