// What the page asks and tells the hub about incidents.

import { ask, HubError, ours, parsed, refuse } from "./api.js";
import { MOST_LISTED } from "./tiled.js";

/**
 * @typedef {{ type: "Point", coordinates: [number, number] }} Where
 * @typedef {{ id: string, reference: string, version: number, kind: string, title: string, severity: import("./vocabulary.js").Severity,
 *   certainty: string, urgency: string, status: import("./vocabulary.js").Status, location: Where, place: string | null,
 *   beyondBorder: boolean, precision: "POINT" | "LANDMARK" | "WARD", occurredAt: string, reportedAt: string, ward: { code: string, name: string } | null }} Incident
 * @typedef {{ id: string, at: string, kind: string, fromStatus: string | null, toStatus: string | null, note: string | null, actor: { displayName: string } | null }} Entry
 * @typedef {{ id: string, width: number, height: number, addedAt: string, addedBy: { displayName: string } | null, url: string, thumbnailUrl: string }} Photo
 * @typedef {Incident & { description: string | null, source: string, reporter: { name: string | null, phone: string | null } | null,
 *   reportedBy: { id: string, displayName: string } | null, timeline: { nodes: Entry[] }, photos: Photo[] }} Details
 * @typedef {{ cursor: string, change: "CREATED" | "UPDATED" | "GONE", id: string, at: string, incident: Incident | null }} Event
 * @typedef {{ id: string, name: string, kind: string, location: Where, accuracyMeters: number, ward: { code: string, name: string } | null }} Landmark
 */

const INCIDENT =
  "id reference version kind title severity certainty urgency status location place beyondBorder precision occurredAt reportedAt ward { code name }";
const DETAILS = `${INCIDENT} description source reporter { name phone } reportedBy { id displayName }
  timeline(last: 200) { nodes { id at kind fromStatus toStatus note actor { displayName } } }
  photos { id width height addedAt addedBy { displayName } url thumbnailUrl }`;

const PAGE = 2000;

const OPEN = `query OpenIncidents($first: Int!, $after: String) {
  liveCursor
  incidents(where: { status: { notIn: [CLOSED, REJECTED] } }, orderBy: [{ reportedAt: DESC }], first: $first, after: $after) {
    nodes { ${INCIDENT} } pageInfo { hasNextPage endCursor }
  }
}`;

const OVER = `query PastIncidents($first: Int!) {
  incidents(where: { status: { in: [CLOSED, REJECTED] } }, orderBy: [{ reportedAt: DESC }], first: $first) { nodes { ${INCIDENT} } }
}`;

/** What the socket is asked for; it begins after the cursor that came with the list. */
export const CHANGES = `subscription Changes($after: String) {
  incidentChanged(after: $after) { cursor change id at incident { ${INCIDENT} } }
}`;

/** How many are open that one may see. @returns {Promise<number>} */
export const howManyOpen = async () => (await ask(`{ incidents(where: { status: { notIn: [CLOSED, REJECTED] } }, first: 0) { totalCount } }`)).incidents.totalCount;

/**
 * The incidents that are open, the newest where there are more than are listed, and the cursor of the journal as the
 * first of them were read. `unlisted`: how many more there are.
 * @returns {Promise<{ incidents: Incident[], cursor: string | null, milliseconds: number, unlisted: number }>}
 */
export async function openIncidents() {
  const begun = performance.now();
  const first = await ask(OPEN, { first: PAGE });
  const milliseconds = performance.now() - begun;
  const found = [...first.incidents.nodes];
  let page = first.incidents.pageInfo;
  while (page.hasNextPage && found.length < MOST_LISTED) {
    const next = await ask(OPEN, { first: PAGE, after: page.endCursor });
    found.push(...next.incidents.nodes);
    page = next.incidents.pageInfo;
  }
  const unlisted = page.hasNextPage ? Math.max((await howManyOpen()) - found.length, 1) : 0;
  return { incidents: found, cursor: first.liveCursor, milliseconds, unlisted };
}

/**
 * The latest incidents that are closed or rejected.
 * @returns {Promise<Incident[]>}
 */
export const pastIncidents = async () => (await ask(OVER, { first: PAGE })).incidents.nodes;

/**
 * One incident with its timeline and photos; null where there is none that the caller may see.
 * @param {string} reference
 * @returns {Promise<Details | null>}
 */
export const incident = async (reference) => (await ask(`query Incident($reference: String!) { incident(reference: $reference) { ${DETAILS} } }`, { reference })).incident;

/** What an incident is called. @param {string} id @returns {Promise<string | null>} */
export const referenceOf = async (id) => (await ask(`query Reference($id: ID!) { incident(id: $id) { reference } }`, { id })).incident?.reference ?? null;

/**
 * @param {string} name
 * @param {string} type
 */
const mutation = (name, type) => async (/** @type {Record<string, unknown>} */ input) =>
  /** @type {Details} */ ((await ask(`mutation Tell($input: ${type}!) { ${name}(input: $input) { incident { ${DETAILS} } } }`, { input }))[name].incident);

export const report = mutation("reportIncident", "ReportIncidentInput");
export const changeStatus = mutation("changeIncidentStatus", "ChangeIncidentStatusInput");
export const edit = mutation("editIncident", "EditIncidentInput");
export const note = mutation("noteOnIncident", "NoteOnIncidentInput");

/**
 * Landmarks whose name holds these letters.
 * @param {string} text
 * @returns {Promise<Landmark[]>}
 */
export async function landmarks(text) {
  const data = await ask(
    `query Landmarks($text: String!) { landmarks(where: { name: { contains: $text } }, first: 8) { nodes { id name kind location accuracyMeters ward { code name } } } }`,
    { text },
  );
  return data.landmarks.nodes;
}

/** A photo goes over a bad link for minutes, not seconds. */
const PHOTO_PATIENCE_MS = 180_000;

/**
 * Adds one image to an incident.
 * @param {string} id
 * @param {Blob} image
 */
export async function addPhoto(id, image) {
  let answer;
  let body;
  try {
    answer = await fetch(`/incidents/${encodeURIComponent(id)}/photos`, {
      method: "POST",
      headers: { "Content-Type": image.type, Accept: "application/json", ...ours(false) },
      body: image,
      signal: AbortSignal.timeout(PHOTO_PATIENCE_MS),
    });
    body = await answer.text();
  } catch {
    throw new HubError("The hub can’t be reached.", "UNREACHABLE");
  }
  const told = parsed(body);
  refuse(told, answer.status);
  if (!answer.ok) throw new HubError(`The hub answered with status ${answer.status}.`, "UNAVAILABLE");
  return told?.photo;
}

/** A key of the page's own for one change: sent again with the same input, the change happens once. */
export const newKey = () => (crypto.randomUUID ? crypto.randomUUID() : Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join(""));
