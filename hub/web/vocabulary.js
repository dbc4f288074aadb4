// The words of incidents: what the API's names are called on the page, in which order, and which step may follow which.

/** @typedef {"EXTREME" | "SEVERE" | "MODERATE" | "MINOR" | "UNKNOWN"} Severity */
/** @typedef {"REPORTED" | "VERIFIED" | "RESPONDING" | "CONTAINED" | "CLOSED" | "REJECTED"} Status */
/** @typedef {{ to: Status, does: string, doing: string, note: boolean }} Step  `note`: it must be explained */

/** Worst first. */
export const SEVERITIES = /** @type {Severity[]} */ (["EXTREME", "SEVERE", "MODERATE", "MINOR", "UNKNOWN"]);
export const CERTAINTIES = ["OBSERVED", "LIKELY", "POSSIBLE", "UNLIKELY", "UNKNOWN"];
export const URGENCIES = ["IMMEDIATE", "EXPECTED", "FUTURE", "PAST", "UNKNOWN"];
export const STATUSES = /** @type {Status[]} */ (["REPORTED", "VERIFIED", "RESPONDING", "CONTAINED", "CLOSED", "REJECTED"]);
export const SOURCES = ["PHONE", "RADIO", "FIELD", "PUBLIC", "PARTNER", "SENSOR"];
export const KINDS = [
  "FLOOD", "DROWNING", "BOAT_ACCIDENT", "FIRE", "ROAD_CRASH", "MEDICAL", "BUILDING_COLLAPSE", "LANDSLIDE", "LIGHTNING", "STORM",
  "DISEASE_OUTBREAK", "MISSING_PERSON", "WILD_ANIMAL", "PUBLIC_DISORDER", "CRIME", "HAZARDOUS_SPILL", "POWER_FAILURE", "WATER_FAILURE",
  "BLOCKED_ROAD", "OTHER",
];

const WORDS = /** @type {Record<string, string>} */ ({
  PHONE: "Phone call",
  RADIO: "Radio message",
  FIELD: "Officer on the spot",
  PUBLIC: "Somebody from the public",
  PARTNER: "Partner",
  SENSOR: "Gauge or device",
});

/**
 * A name of the API as a word, also one that this page is older than: `BOAT_ACCIDENT` is "Boat accident".
 * @param {string} name
 */
export const word = (name) => WORDS[name] ?? name.charAt(0) + name.slice(1).toLowerCase().replaceAll("_", " ");

/**
 * How bad, as a number: 0 is the worst.
 * @param {string} severity
 */
export function rank(severity) {
  const place = SEVERITIES.indexOf(/** @type {Severity} */ (severity));
  return place < 0 ? SEVERITIES.length - 1 : place;
}

/** @param {string} status */
export const isOver = (status) => status === "CLOSED" || status === "REJECTED";

/** The state machine that the hub's database holds; see the table `incident_transitions`. */
const STEPS = /** @type {Record<string, Step[]>} */ ({
  REPORTED: [
    { to: "VERIFIED", does: "Verify", doing: "Verify: it is so", note: false },
    { to: "REJECTED", does: "Reject", doing: "Reject: it is not so, or is another incident", note: true },
  ],
  VERIFIED: [
    { to: "RESPONDING", does: "Respond", doing: "Respond: somebody deals with it", note: false },
    { to: "CLOSED", does: "Close", doing: "Close: nothing is left to do", note: true },
    { to: "REJECTED", does: "Reject", doing: "Reject: it is not so, or is another incident", note: true },
  ],
  RESPONDING: [
    { to: "CONTAINED", does: "Contained", doing: "Contained: it no longer grows", note: false },
    { to: "CLOSED", does: "Close", doing: "Close: nothing is left to do", note: false },
  ],
  CONTAINED: [
    { to: "CLOSED", does: "Close", doing: "Close: nothing is left to do", note: false },
    { to: "RESPONDING", does: "Respond again", doing: "Respond again: it grows, or there is more to do", note: false },
  ],
  CLOSED: [{ to: "RESPONDING", does: "Reopen", doing: "Reopen: somebody deals with it again", note: true }],
  REJECTED: [{ to: "REPORTED", does: "Reopen", doing: "Reopen: it has to be checked again", note: true }],
});

/** @param {string} status @returns {Step[]} */
export const stepsFrom = (status) => STEPS[status] ?? [];
