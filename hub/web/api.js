// What the map asks of the hub: GraphQL over one POST, with errors as people can read them.

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

const COUNTY = `query Map {
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
   */
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

/** The county with its waters, sub-counties and wards: everything that the first drawing needs, in one question. */
export async function county() {
  const data = await ask(COUNTY);
  if (!data.county || !data.wards.nodes.length) throw new HubError("The hub is up; the county’s wards are still being loaded into it.", "UNAVAILABLE");
  return { county: data.county, subCounties: data.subCounties.nodes, wards: data.wards.nodes };
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
 * @param {string} query
 * @param {Record<string, unknown>} [variables]
 * @returns {Promise<any>}
 */
async function ask(query, variables = {}) {
  let answer;
  try {
    answer = await fetch("/graphql", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new HubError(late ? `The hub did not answer within ${PATIENCE_MS / 1000} seconds.` : "The hub can’t be reached.", "UNREACHABLE");
  }
  const body = await answer.json().catch(() => null);
  const [refusal] = body?.errors ?? [];
  if (refusal) throw new HubError(refusal.message, refusal.extensions?.code ?? "INTERNAL");
  if (!answer.ok || !body?.data) throw new HubError(`The hub answered with status ${answer.status}.`, "UNAVAILABLE");
  return body.data;
}
