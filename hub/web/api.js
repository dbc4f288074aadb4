// What the map asks of the hub: GraphQL over one POST, with errors as people can read them.

import { learnTime } from "./times.js";

/**
 * @typedef {{ type: string, coordinates: any }} Geometry
 * @typedef {[number, number]} Point  longitude, latitude
 * @typedef {{ title: string, publisher?: string | null, attribution?: string | null }} Source
 * @typedef {{ figure: string, value: number, asOf: string | null, note: string | null, source: Source }} Figure
 * @typedef {{ name: string, kind: string, validFrom: string | null, validTo: string | null, source: Source }} Name
 * @typedef {{ accepted: boolean, validFrom: string | null, note: string | null, parent: { name: string }, source: Source }} Membership
 * @typedef {{ figures: Figure[], names: Name[], memberships: Membership[] }} Provenance
 * @typedef {{ ward: { code: string, name: string } | null, nearest: { code: string, name: string, distanceMeters: number } | null }} Place
 */

const AREA = "code name population populationYear areaKm2 boundary labelPoint";

const ME = "id name displayName roles areas { code name level }";

const COUNTY = `query Map {
  me { ${ME} }
  county { ${AREA} generalisedMeters waters { nodes { name boundary areaKm2 approximate note } } }
  subCounties(first: 100, orderBy: [{ code: ASC }]) { nodes { ${AREA} aliases } }
  wards(first: 100, orderBy: [{ code: ASC }]) { nodes { ${AREA} aliases generalisedMeters subCounty { code name } } }
}`;

const PROVENANCE = `query WardCard($code: String!) {
  ward(code: $code) {
    figures { nodes { figure value asOf note source { title publisher attribution } } }
    names { nodes { name kind validFrom validTo source { title } } }
    memberships { nodes { accepted validFrom note parent { name } source { title } } }
  }
}`;

const PLACE = `query Place($point: Position!) {
  wardAt(point: $point) { code name }
  nearestWard(point: $point) { code name distanceMeters(from: $point) }
}`;

/** How long the hub may take. It refuses by itself after ten seconds; later than this the link is what is broken. */
const PATIENCE_MS = 15_000;

/** The hub did not answer, or answered that it can't. `code` is one of the API's, or UNREACHABLE. */
export class HubError extends Error {
  /**
   * @param {string} message
   * @param {string} code
   * @param {Record<string, any>} [details]  what else the answer said
   */
  constructor(message, code, details = {}) {
    super(message);
    this.code = code;
    this.details = details;
  }

  /** Whether the hub may have done what it was told all the same: telling it again, under the same key, is safe. */
  get unknown() {
    return ["UNREACHABLE", "UNAVAILABLE", "INTERNAL"].includes(this.code);
  }
}

/** Whose eyes an administrator looks through: `public`, `coordinator`, `ward_administrator@1208`; null: their own. */
let eyes = /** @type {string | null} */ (null);

/** @param {string | null} words */
export function lookAs(words) {
  eyes = words;
}

export const looksAs = () => eyes;

/**
 * The county with its waters, sub-counties and wards, and who is signed in: everything that the first drawing needs, in
 * one question.
 */
export async function county() {
  const data = await ask(COUNTY).catch((error) => {
    // A sign-in that has ended: the refusal took the cookie away, so that the public asks now.
    if (error instanceof HubError && error.code === "UNAUTHENTICATED") return ask(COUNTY);
    throw error;
  });
  if (!data.county || !data.wards.nodes.length) throw new HubError("The hub is up; the county’s wards are still being loaded into it.", "UNAVAILABLE");
  return { county: data.county, subCounties: data.subCounties.nodes, wards: data.wards.nodes, me: data.me };
}

/**
 * Where a ward's figures, names and membership come from.
 * @param {string} code
 * @returns {Promise<Provenance>}
 */
export async function provenance(code) {
  const { ward } = await ask(PROVENANCE, { code });
  if (!ward) throw new HubError(`The hub knows no ward ${code}.`, "NOT_FOUND");
  return { figures: ward.figures.nodes, names: ward.names.nodes, memberships: ward.memberships.nodes };
}

/**
 * The ward of a point, and the nearest one for a point that lies in none.
 * @param {Point} point
 * @returns {Promise<Place>}
 */
export async function place(point) {
  const data = await ask(PLACE, { point });
  return { ward: data.wardAt, nearest: data.nearestWard };
}

/**
 * What every request of ours carries: no other site can make a browser send it, so that the cookie counts.
 * @param {boolean} reading  whether it may be looked through somebody else's eyes
 */
export const ours = (reading) => ({ "X-Hub": "1", ...(reading && eyes ? { "X-Hub-See-As": eyes } : {}) });

/**
 * @param {string} query
 * @param {Record<string, unknown>} [variables]
 * @returns {Promise<any>}
 */
export async function ask(query, variables = {}) {
  let answer;
  let body;
  try {
    answer = await fetch("/graphql", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json", ...ours(!query.startsWith("mutation")) },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    learnTime(answer.headers.get("date"));
    body = await answer.text();
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new HubError(late ? `The hub did not answer within ${PATIENCE_MS / 1000} seconds.` : "The hub can’t be reached.", "UNREACHABLE");
  }
  const told = parsed(body);
  refuse(told, answer.status);
  if (!answer.ok || !told?.data) throw new HubError(`The hub answered with status ${answer.status}.`, "UNAVAILABLE");
  return told.data;
}

/**
 * Raises what an answer's `errors` say.
 * @param {any} told
 * @param {number} status
 */
export function refuse(told, status) {
  const [refusal] = told?.errors ?? [];
  if (!refusal) return;
  const { code = status === 404 ? "NOT_FOUND" : "INTERNAL", ...details } = refusal.extensions ?? {};
  throw new HubError(refusal.message, code, details);
}

/** @param {string} text */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
