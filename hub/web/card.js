// The card: what the hub knows of the ward, sub-county or point that was chosen, and where it knows it from.

import { place as askPlace, provenance } from "./api.js";
import { hash } from "./address.js";
import { el, part } from "./elements.js";
import { area, coordinates, count, density, distance, year } from "./figures.js";
import { covers } from "./shapes.js";

/** @typedef {import("./wards.js").County} County */
/** @typedef {import("./wards.js").Ward} Ward */
/** @typedef {import("./wards.js").SubCounty} SubCounty */
/** @typedef {import("./wards.js").Unit} Unit */
/** @typedef {import("./api.js").Point} Point */
/** @typedef {import("./api.js").Provenance} Provenance */

const FIGURES = /** @type {Record<string, string>} */ ({ POPULATION: "Population", LAND_AREA_KM2: "Land area" });

/** @param {string} figure  an enum's value of the API, also one that this page is older than */
const figureName = (figure) => FIGURES[figure] ?? figure.charAt(0) + figure.slice(1).toLowerCase().replaceAll("_", " ");

/**
 * @param {{ county: County, sheet: import("./sheet.js").Sheet, happens: (ward: Ward) => HTMLElement | null, onChoose: (unit: Unit) => void }} from
 *   `happens`: what goes on in a ward, for whoever may know
 */
export function startCard({ county, sheet, happens, onChoose }) {
  const { draw, holds } = sheet;

  /** @param {Unit} unit @param {string} [text] */
  const link = (unit, text = unit.name) =>
    el(
      "a",
      {
        href: hash({ kind: unit.kind, code: unit.code }, null),
        onClick: (/** @type {MouseEvent} */ event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
          event.preventDefault();
          onChoose(unit);
        },
      },
      text,
    );

  /** @param {Ward} ward */
  function ward(ward) {
    const more = el("div", { class: "more", "aria-live": "polite" });
    const mine = draw(
      `Ward ${ward.code}`,
      ward.name,
      el("p", { class: "within" }, link(ward.subCounty), " sub-county"),
      ward.aliases.length > 0 && el("p", { class: "aliases" }, `Also written ${list(ward.aliases)}`),
      measures(ward),
      happens(ward),
      more,
    );
    const load = async () => {
      more.replaceChildren(el("p", { class: "pending" }, "Loading the sources…"));
      try {
        const sources = await provenance(ward.code);
        if (holds(mine)) more.replaceChildren(...disputes(sources, ward), origin(sources, ward));
      } catch (error) {
        if (!holds(mine)) return;
        more.replaceChildren(
          el("p", { class: "failed" }, `The sources did not load. ${error instanceof Error ? error.message : ""}`),
          el("button", { type: "button", class: "button", onClick: load }, "Try again"),
        );
      }
    };
    load();
  }

  /** @param {SubCounty} subCounty */
  function subCounty(subCounty) {
    draw(
      `Sub-county ${subCounty.code}`,
      subCounty.name,
      subCounty.aliases.length > 0 && el("p", { class: "aliases" }, `Also written ${list(subCounty.aliases)}`),
      measures(subCounty),
      el("h3", {}, `${subCounty.wards.length} wards`),
      el(
        "ul",
        { class: "members" },
        ...subCounty.wards.map((ward) => el("li", {}, link(ward), el("span", {}, ward.population === null ? "" : count(ward.population)))),
      ),
    );
  }

  /** @param {Point} point */
  async function place(point) {
    const water = county.waters.find((water) => covers(water.boundary, point));
    const where = el("p", { class: "where" }, el("span", {}, coordinates(point)), el("small", {}, "latitude, longitude"));
    const said = el("div", { class: "said", "aria-live": "polite" });
    const mine = draw(water ? "On the water" : "Point", water ? water.name : "This place", said, where);
    const load = async () => {
      said.replaceChildren(el("p", { class: "pending" }, "Asking the hub…"));
      try {
        const { ward, nearest } = await askPlace(point);
        if (!holds(mine)) return;
        const home = ward && county.unit("ward", ward.code);
        const near = nearest && county.unit("ward", nearest.code);
        if (home) {
          part("card-name").textContent = `In ${home.name}`;
          said.replaceChildren(el("p", {}, "This point lies in ", link(home, `${home.name} ward`), ", ", link(/** @type {Ward} */ (home).subCounty), " sub-county."));
          return;
        }
        if (!water) part("card-name").textContent = "In no ward";
        said.replaceChildren(
          el("p", {}, water ? "The wards end at the shore: this point lies on the lake, in no ward." : "This point lies in no ward of the county."),
        );
        if (near) said.append(el("p", { class: "nearest" }, el("span", {}, "Nearest ward"), link(near), el("strong", {}, distance(nearest.distanceMeters))));
        if (water?.approximate) said.append(el("p", { class: "note" }, water.note ?? "The lake’s outline is approximate."));
      } catch (error) {
        if (!holds(mine)) return;
        said.replaceChildren(
          el("p", { class: "failed" }, `The hub did not say. ${error instanceof Error ? error.message : ""}`),
          el("button", { type: "button", class: "button", onClick: load }, "Try again"),
        );
      }
    };
    await load();
  }

  return {
    /** @param {Unit} unit */
    unit: (unit) => (unit.kind === "ward" ? ward(unit) : subCounty(unit)),
    place,
  };
}

/** @param {string[]} names */
const list = (names) => new Intl.ListFormat("en", { type: "conjunction" }).format(names);

/**
 * People, land and density, each with what it is counted on and when.
 * @param {Unit} unit
 */
function measures(unit) {
  const since = unit.populationYear ? `${unit.populationYear}` : "year unknown";
  /** @param {string} term @param {string | null} value @param {string} said */
  const measure = (term, value, said) =>
    el("div", {}, el("dt", {}, term), el("dd", {}, el("strong", {}, value ?? "not known"), value && el("small", {}, said)));
  return el(
    "dl",
    { class: "measures" },
    measure("People", unit.population === null ? null : count(unit.population), `${since} census`),
    measure("Land", unit.areaKm2 === null ? null : area(unit.areaKm2), "without lake"),
    measure("Density", density(unit), `on land, ${since}`),
  );
}

/**
 * What is contested: another parent than ours that some source gives.
 * @param {Provenance} sources
 * @param {Ward} ward
 * @returns {HTMLElement[]}
 */
function disputes({ memberships }, ward) {
  const others = memberships.filter((membership) => !membership.accepted);
  if (!others.length) return [];
  const ours = memberships.find((membership) => membership.accepted);
  return [
    el(
      "div",
      { class: "dispute" },
      el("h3", {}, "Membership disputed"),
      el("p", {}, "The hub counts this ward in ", el("strong", {}, ours?.parent.name ?? ward.subCounty.name), ours ? ` (${ours.source.title}).` : "."),
      ...others.map((other) =>
        el("p", {}, el("strong", {}, other.parent.name), ` according to ${other.source.title}.`, other.note && ` ${other.note}`),
      ),
    ),
  ];
}

/**
 * Where the figures and names come from, source by source, folded away until somebody asks.
 * @param {Provenance} sources
 * @param {Ward} ward
 */
function origin({ figures, names, memberships }, ward) {
  /** @type {Map<string, { source: import("./api.js").Source, facts: string[], notes: Set<string> }>} */
  const bySource = new Map();
  /** @param {import("./api.js").Source} source @param {string} fact @param {(string | null)[]} details @param {string | null} [note] */
  const tell = (source, fact, details, note) => {
    const told = bySource.get(source.title) ?? { source, facts: [], notes: new Set() };
    const said = details.filter(Boolean).join(", ");
    told.facts.push(said ? `${fact} (${said})` : fact);
    if (note) told.notes.add(note);
    if (source.publisher) told.source = source;
    bySource.set(source.title, told);
  };
  for (const { figure, value, asOf, note, source } of figures) {
    tell(source, `${figureName(figure)} ${figure.includes("AREA") ? area(value) : count(value)}`, [year(asOf)], note);
  }
  for (const { name, kind, validFrom, validTo, source } of names) {
    tell(source, `“${name}”`, [kind.toLowerCase().replaceAll("_", " "), span(validFrom, validTo)]);
  }
  for (const { accepted, parent, validFrom, note, source } of memberships) {
    if (accepted) tell(source, `In ${parent.name}`, [span(validFrom, null)], note);
  }
  return el(
    "details",
    { class: "origin" },
    el("summary", {}, "Sources and names"),
    el(
      "ul",
      {},
      ...[...bySource.values()].map(({ source, facts, notes }) =>
        el(
          "li",
          {},
          ...facts.map((fact) => el("span", { class: "what" }, fact)),
          el("span", { class: "by" }, [source.title, source.publisher].filter(Boolean).join(", ")),
          ...[...notes].map((note) => el("span", { class: "by" }, note)),
        ),
      ),
    ),
    ward.generalisedMeters !== null &&
      el("p", { class: "note" }, `The boundary is generalised to about ${count(ward.generalisedMeters)} m and not for legal use.`),
  );
}

/** @param {string | null} from @param {string | null} to */
function span(from, to) {
  if (from && to) return `${year(from)}–${year(to)}`;
  if (from) return `since ${year(from)}`;
  return to ? `until ${year(to)}` : null;
}
