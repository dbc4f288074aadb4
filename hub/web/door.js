// What the pages of signing in share: asking the hub in our own name, and forms that say what is wrong.

/** Our own header: no other site can make a browser send it, so that the cookie counts and may be set. */
const HEADERS = { "Content-Type": "application/json", Accept: "application/json", "X-Hub": "1" };

/** How long the hub may take. It refuses by itself after ten seconds; later than this the link is what is broken. */
const PATIENCE_MS = 15_000;

/** The hub refused. `code` is one of the API's, or UNREACHABLE; `wait` are seconds after which another try is taken. */
export class Refusal extends Error {
  /**
   * @param {string} message
   * @param {string} code
   * @param {number} [wait]
   */
  constructor(message, code, wait = 0) {
    super(message);
    this.code = code;
    this.wait = wait;
  }
}

/**
 * Posts JSON to the hub.
 * @param {string} path
 * @param {Record<string, unknown>} body
 * @returns {Promise<any>} the answer's data
 */
export async function post(path, body) {
  let answer;
  try {
    answer = await fetch(path, { method: "POST", headers: HEADERS, body: JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    throw new Refusal("The hub can’t be reached. Check the connection and try again.", "UNREACHABLE");
  }
  const told = await answer.json().catch(() => null);
  const [refusal] = told?.errors ?? [];
  if (refusal) throw new Refusal(refusal.message, refusal.extensions?.code ?? "INTERNAL", refusal.extensions?.retryAfter);
  if (!answer.ok || !told?.data) throw new Refusal(`The hub answered with status ${answer.status}.`, "UNAVAILABLE");
  return told.data;
}

/**
 * Asks in GraphQL.
 * @param {string} query
 * @param {Record<string, unknown>} [variables]
 */
export const ask = (query, variables = {}) => post("/graphql", { query, variables });

/** @typedef {{ name: string, displayName: string, roles: string[], areas: { name: string }[] }} Person */

/**
 * Who is signed in here, or null.
 * @returns {Promise<Person | null>}
 */
export async function whoIsHere() {
  const query = "{ me { name displayName roles areas { name } } }";
  try {
    return (await ask(query)).me;
  } catch (refusal) {
    // A sign-in that has ended: the refusal took the cookie away, so that nobody is here.
    if (refusal instanceof Refusal && refusal.code === "UNAUTHENTICATED") return null;
    throw refusal;
  }
}

/**
 * The element with this id; the page is ours, so its absence is a mistake in it.
 * @template {HTMLElement} T
 * @param {string} id
 * @returns {T}
 */
export function part(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page holds no #${id}`);
  return /** @type {T} */ (found);
}

/**
 * Shows one of the page's views, and says on the body that it is there.
 * @param {string} name
 */
export function show(name) {
  for (const view of document.querySelectorAll("[data-view]")) {
    if (view instanceof HTMLElement) view.hidden = view.dataset.view !== name;
  }
  document.body.dataset.ready = name;
}

/**
 * Sends a form by script: its button rests meanwhile, and what was wrong is said beside it and read aloud.
 * @param {HTMLFormElement} form
 * @param {(values: Record<string, string>) => Promise<void>} send
 */
export function onSend(form, send) {
  const button = /** @type {HTMLButtonElement} */ (form.querySelector("button[type=submit]"));
  const problem = /** @type {HTMLElement} */ (form.querySelector("[role=alert]"));
  const words = button.textContent ?? "";
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    problem.textContent = "";
    button.disabled = true;
    try {
      await send(/** @type {Record<string, string>} */ (Object.fromEntries(new FormData(form))));
    } catch (refusal) {
      problem.textContent = refusal instanceof Error ? refusal.message : String(refusal);
      const wait = refusal instanceof Refusal ? refusal.wait : 0;
      for (let left = wait; left > 0; left--) {
        button.textContent = `${words} (in ${left} s)`;
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
    button.textContent = words;
    button.disabled = false;
  });
  const reveal = form.querySelector("[data-reveal]");
  reveal?.addEventListener("change", () => {
    const field = form.elements.namedItem("password");
    if (field instanceof HTMLInputElement && reveal instanceof HTMLInputElement) field.type = reveal.checked ? "text" : "password";
  });
}
