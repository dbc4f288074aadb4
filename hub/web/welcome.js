// The page that a one-time link opens: its person chooses the name that others read and a password, and is signed in.

import { onSend, part, post, Refusal, show } from "./door.js";

/** The code from the link. It leaves the address at once, so that nobody reads it over a shoulder or in the history. */
const code = location.hash.slice(1) || history.state?.code || "";
history.replaceState({ code }, "", location.pathname);

onSend(part("choose"), async ({ displayName, password, again }) => {
  if (password !== again) throw new Refusal("The two passwords differ.", "BAD_USER_INPUT");
  await post("/welcome/acceptance", { code, displayName, password });
  history.replaceState(null, "", location.pathname);
  location.replace("/");
});

if (!code) {
  part("closed-why").textContent = "Open the link that you were given: this page belongs to it.";
  show("closed");
} else {
  try {
    const invited = await post("/welcome/invitation", { code });
    /** @type {HTMLInputElement} */ (part("name")).value = invited.name;
    /** @type {HTMLInputElement} */ (part("display-name")).value = invited.displayName;
    show("choose");
    part("display-name").focus();
  } catch (refusal) {
    part("closed-why").textContent = refusal instanceof Error ? refusal.message : String(refusal);
    show("closed");
  }
}
