// The page on which people sign in and out.

import { ask, onSend, part, Refusal, show, whoIsHere } from "./door.js";

// The token is not asked for: the browser holds it in a cookie that no script can read.
const SIGN_IN = "mutation SignIn($input: SignInInput!) { signIn(input: $input) { expiresAt person { name displayName roles areas { name } } } }";
const SIGN_OUT = "mutation SignOut { signOut }";

/** The view of the map that one came from: `#map&incident=INC-2026-000123`, or the query editor, `#graphql`; null for whoever came here by themselves. */
const from = location.hash === "#graphql" ? "/graphql" : location.hash.startsWith("#map") ? `/#${location.hash.slice("#map&".length)}`.replace(/#$/, "") : null;

/** @param {import("./door.js").Person} person */
function welcome(person) {
  part("who").textContent = person.displayName;
  const roles = person.roles.map((role) => role.toLowerCase().replaceAll("_", " ")).join(", ");
  const areas = person.areas.map((area) => area.name).join(", ");
  part("to-map").setAttribute("href", from ?? "/");
  if (from === "/graphql") part("to-map").textContent = "To the query editor";
  part("duties").textContent = [roles, areas].filter(Boolean).join(" · ");
  show("signed-in");
  part("to-map").focus();
}

function askForName() {
  show("sign-in");
  part("name").focus();
}

onSend(part("sign-in"), async ({ name, password }) => {
  const { signIn } = await ask(SIGN_IN, { input: { name, password } });
  /** @type {HTMLFormElement} */ (part("sign-in")).reset();
  if (from) location.replace(from);
  else welcome(signIn.person);
});

onSend(part("sign-out"), async () => {
  try {
    await ask(SIGN_OUT);
  } catch (refusal) {
    // Ended already, here or elsewhere: that is what was wanted.
    if (!(refusal instanceof Refusal && refusal.code === "UNAUTHENTICATED")) throw refusal;
  }
  askForName();
});

try {
  const person = await whoIsHere();
  if (person) welcome(person);
  else askForName();
} catch {
  askForName();
}
