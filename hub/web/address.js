// What the address bar says: which unit, place, incident or vehicle is open and where the map stands, so that a link or Back brings it again.

/**
 * @typedef {{ zoom: number, center: [number, number] }} View
 * @typedef {{ kind: "ward" | "subcounty", code: string } | { kind: "place", point: [number, number] } | { kind: "incident", reference: string } | { kind: "vehicle", plate: string } | null} Choice
 */

/**
 * The choice and the view of an address such as `#ward=1208&view=11.2/-0.1733/34.9205`. What can't be read is left out.
 * @param {string} [hash]
 * @returns {{ choice: Choice, view: View | null }}
 */
export function read(hash = location.hash) {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  /** @type {Choice} */
  let choice = null;
  for (const kind of /** @type {const} */ (["ward", "subcounty"])) {
    const code = said.get(kind);
    if (code) choice = { kind, code };
  }
  const reference = said.get("incident");
  if (reference) choice = { kind: "incident", reference };
  const plate = said.get("vehicle");
  if (plate) choice = { kind: "vehicle", plate };
  const at = numbers(said.get("place"), 2);
  if (at && onEarth(at[0], at[1])) choice = { kind: "place", point: [at[1], at[0]] };
  const view = numbers(said.get("view"), 3);
  return { choice, view: view && onEarth(view[1], view[2]) ? { zoom: view[0], center: [view[2], view[1]] } : null };
}

/**
 * @param {Choice} choice
 * @param {View | null} view
 */
export function hash(choice, view) {
  const said = [];
  if (choice?.kind === "place") said.push(`place=${choice.point[1].toFixed(5)}/${choice.point[0].toFixed(5)}`);
  else if (choice?.kind === "incident") said.push(`incident=${encodeURIComponent(choice.reference)}`);
  else if (choice?.kind === "vehicle") said.push(`vehicle=${encodeURIComponent(choice.plate)}`);
  else if (choice) said.push(`${choice.kind}=${encodeURIComponent(choice.code)}`);
  if (view) said.push(`view=${view.zoom.toFixed(2)}/${view.center[1].toFixed(4)}/${view.center[0].toFixed(4)}`);
  return said.length ? `#${said.join("&")}` : location.pathname;
}

/**
 * Note where we are: a new choice is a step that Back undoes, a moved map is not.
 * @param {Choice} choice
 * @param {View | null} view
 * @param {{ step: boolean }} how
 */
export function write(choice, view, { step }) {
  const target = hash(choice, view);
  if (step) history.pushState(null, "", target);
  else history.replaceState(null, "", target);
}

/** @param {number} lat @param {number} lon */
const onEarth = (lat, lon) => Math.abs(lat) <= 85 && Math.abs(lon) <= 180;

/**
 * @param {string | null} text
 * @param {number} howMany
 */
function numbers(text, howMany) {
  const parsed = text?.split("/").map(Number) ?? [];
  return parsed.length === howMany && parsed.every(Number.isFinite) ? parsed : null;
}
