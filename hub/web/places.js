// Where an incident is to be: a spot, a landmark or a ward, and what the page can say of it without asking the hub.

import { coordinates, distance, position } from "./figures.js";
import { landmarks } from "./incidents.js";
import { covers } from "./shapes.js";
import { finder } from "./wards.js";

/** @typedef {import("./api.js").Point} Point */
/** @typedef {import("./wards.js").County} County */
/** @typedef {{ kind: "spot", point: Point } | { kind: "landmark", id: string, name: string, meters: number, point: Point } | { kind: "ward", code: string }} Spot */

/**
 * A place in words.
 * @param {County} county
 * @param {Spot} spot
 */
export function inWords(county, spot) {
  if (spot.kind === "ward") return `Somewhere in ${county.unit("ward", spot.code)?.name ?? spot.code} ward`;
  const ward = county.wards.find((ward) => covers(ward.boundary, spot.point));
  const water = !ward && county.waters.find((water) => covers(water.boundary, spot.point));
  const where = ward ? `In ${ward.name} ward` : water ? `On the lake (${water.name})` : "Outside of the county: up to 2 km beyond its border are taken";
  return spot.kind === "landmark" ? `Near ${spot.name}, within about ${distance(spot.meters)}. ${where}` : where;
}

/**
 * What fits what somebody typed: positions and wards at once, landmarks when the hub has answered.
 * @param {County} county
 * @param {(spot: Spot) => void} onSpot
 */
export function offers(county, onSpot) {
  const find = finder(county);
  return {
    /** @param {string} text @returns {import("./combobox.js").Offer[]} */
    offered(text) {
      const point = position(text);
      if (point) return [{ label: coordinates(point), detail: "This position", choose: () => onSpot({ kind: "spot", point }) }];
      return find(text)
        .filter(({ unit }) => unit.kind === "ward")
        .slice(0, 5)
        .map(({ unit, alias }) => ({
          label: unit.name,
          detail: [alias && `also ${alias}`, "Somewhere in this ward"].filter(Boolean).join(" · "),
          choose: () => onSpot({ kind: "ward", code: unit.code }),
        }));
    },
    /** @param {string} text @returns {Promise<import("./combobox.js").Offer[]>} */
    async asked(text) {
      return (await landmarks(text)).map(({ id, name, kind, location, accuracyMeters, ward }) => ({
        label: name,
        detail: [kind.toLowerCase().replaceAll("_", " "), ward?.name].filter(Boolean).join(" · "),
        choose: () => onSpot({ kind: "landmark", id, name, meters: accuracyMeters, point: location.coordinates }),
      }));
    },
    /** @param {string} text */
    nothing: (text) => `No landmark or ward is called “${text}”.`,
  };
}
