// What the page asks the hub about vehicles, and the words for what it answers.

import { ask } from "./api.js";
import { MOST_LISTED } from "./tiled.js";
import { now } from "./times.js";

/**
 * @typedef {{ recordedAt: string, location: import("./incidents.js").Where, speedKmh: number | null, heading: number | null,
 *   accuracyMeters: number | null, battery: number | null, ward: { code: string, name: string } | null }} Position
 * @typedef {{ id: string, plate: string, kind: string, callSign: string | null, status: string, demonstration: boolean, department: { name: string } | null }} Vehicle
 * @typedef {Vehicle & { at: Position | null }} Placed  a vehicle, and where it was last
 * @typedef {Position & { doubts: string[], vehicle: Vehicle | null }} Move
 */

export const KINDS = [
  "AMBULANCE", "FIRE_ENGINE", "RESCUE_BOAT", "PATROL_CAR", "MOTORCYCLE", "PICKUP", "TRUCK", "TIPPER", "BUS", "CAR", "WATER_BOWSER",
  "EXCAVATOR", "ON_FOOT", "OTHER",
];
export const STATUSES = ["AVAILABLE", "ASSIGNED", "OUT_OF_SERVICE"];

/** Roles that see the fleet. The hub is the judge; nobody else's page asks it. */
export const SEES_FLEET = ["DISPATCHER", "COORDINATOR", "FLEET_MANAGER", "ENFORCEMENT_SUPERVISOR", "PLANNER", "AUDITOR", "ADMINISTRATOR"];

/** Older than this a position no longer says where a vehicle is. */
const STALE_MS = 15 * 60_000;

const VEHICLE = "id plate kind callSign status demonstration department { name }";
const POSITION = "recordedAt location speedKmh heading accuracyMeters battery ward { code name }";
const PAGE = 1000;

const FLEET = `query Fleet($first: Int!, $after: String) {
  vehicles(first: $first, after: $after) {
    nodes { ${VEHICLE} latestPosition { ${POSITION} } } pageInfo { hasNextPage endCursor }
  }
}`;

/** What the socket is asked for. The vehicle comes along: its status may have changed, and it may be new. */
export const MOVES = `subscription Moves($after: String) {
  vehicleMoved(after: $after) { cursor positions { ${POSITION} doubts vehicle { ${VEHICLE} } } }
}`;

/**
 * The vehicles that one may see, those that never said where they are too; `more` where there are more than are listed.
 * @returns {Promise<{ found: Placed[], more: boolean }>}
 */
export async function fleet() {
  /** @type {Placed[]} */
  const found = [];
  /** @type {string | null} */
  let after = null;
  do {
    const { vehicles } = /** @type {any} */ (await ask(FLEET, { first: PAGE, after }));
    for (const { latestPosition, ...vehicle } of vehicles.nodes) found.push({ ...vehicle, at: latestPosition });
    after = vehicles.pageInfo.hasNextPage ? vehicles.pageInfo.endCursor : null;
  } while (after && found.length < MOST_LISTED);
  return { found, more: Boolean(after) };
}

const DAY = 24 * 3600_000;
/** Kenya knows no summer time. */
const EAST = 3 * 3600_000;

/**
 * A vehicle that is drawn, or called in the address, and not listed.
 * @param {{ id: string } | { plate: string }} given
 * @returns {Promise<Placed | null>}
 */
export async function vehicleOf(given) {
  const { vehicle } = await ask(`query Vehicle($id: ID, $plate: String) { vehicle(id: $id, plate: $plate) { ${VEHICLE} latestPosition { ${POSITION} } } }`, given);
  if (!vehicle) return null;
  const { latestPosition, ...rest } = vehicle;
  return { ...rest, at: latestPosition };
}

/**
 * Where a vehicle drove since midnight in Kenya, as fine as a zoom can show, and who drives it.
 * @param {string} id
 * @param {number} zoom
 * @returns {Promise<{ line: [number, number][], driver: string | null }>}
 */
export async function today(id, zoom) {
  const present = now();
  const midnight = Math.floor((present + EAST) / DAY) * DAY - EAST;
  const { vehicle } = await ask(`query Track($id: ID!, $from: DateTime!, $to: DateTime!, $zoom: Float!) { vehicle(id: $id) { track(from: $from, to: $to, zoom: $zoom) driver { person { displayName } } } }`, {
    id,
    from: new Date(midnight).toISOString(),
    // A device's clock may be a little ahead.
    to: new Date(present + 5 * 60_000).toISOString(),
    zoom,
  });
  return { line: vehicle?.track?.coordinates ?? [], driver: vehicle?.driver?.person?.displayName ?? null };
}

/** What it is called: on the radio, or by its plate. @param {Vehicle} vehicle */
export const called = ({ callSign, plate }) => callSign || plate;

/** @param {Placed} vehicle */
export const isStale = ({ at }) => Boolean(at) && now() - Date.parse(/** @type {Position} */ (at).recordedAt) > STALE_MS;

const WINDS = ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"];

/** @param {number} degrees */
export const inWords = (degrees) => WINDS[Math.round(degrees / 45) % 8];
