// Who is signed in, at the head of the page: name, roles, signing out, and for administrators whose eyes they look through.

import { ask } from "./api.js";
import { el, icon, part } from "./elements.js";
import { word } from "./vocabulary.js";

/** @typedef {{ id: string, name: string, displayName: string, roles: string[], areas: { code: string, name: string, level: string }[] }} Person */

/** Where to sign in, and come back to this view. */
export const signInHref = () => `/sign-in#map${location.hash.length > 1 ? `&${location.hash.slice(1)}` : ""}`;

/**
 * @param {Person | null} person
 * @param {{ county: import("./wards.js").County, onEyes: (words: string | null, label: string) => void, onSignOut: () => void }} how
 */
export function startAccount(person, { county, onEyes, onSignOut }) {
  const place = part("account");
  if (!person) {
    const link = el("a", { class: "sign-in", href: "/sign-in#map" }, "Sign in");
    // The address changes while one looks around: the way back is taken when it is used.
    for (const event of ["pointerdown", "focus", "click"]) link.addEventListener(event, () => link.setAttribute("href", signInHref()));
    place.append(link);
    return { eyes: null };
  }
  const roles = person.roles.map(word);
  const eyes = person.roles.includes("ADMINISTRATOR") ? seeAs(county, onEyes) : null;
  const menu = /** @type {HTMLDetailsElement} */ (
    el(
      "details",
      {
        class: "who",
        onKeyDown: (/** @type {KeyboardEvent} */ event) => {
          if (event.key !== "Escape" || !menu.open) return;
          event.preventDefault();
          event.stopPropagation();
          menu.open = false;
          menu.querySelector("summary")?.focus();
        },
      },
      el("summary", { "aria-label": `Signed in as ${person.displayName}, ${roles.join(", ")}` }, el("span", { class: "name" }, person.displayName), el("span", { class: "role" }, roles.join(", ") || "Signed in"), icon("m6 8 4 4 4-4")),
      el(
        "div",
        { class: "menu" },
        el("p", { class: "menu-name" }, person.displayName),
        el("p", { class: "help" }, [roles.join(", "), person.areas.map(({ name }) => name).join(", ")].filter(Boolean).join(" · ")),
        eyes && el("label", { class: "eyes" }, el("span", {}, "See as"), eyes),
        el("a", { class: "menu-item editor-item", href: "/graphql" }, "Query editor (GraphQL)"),
        el("button", { type: "button", class: "menu-item", onClick: signOut }, "Sign out"),
        el("p", { class: "problem", role: "alert" }),
      ),
    )
  );
  place.append(menu);
  document.addEventListener("pointerdown", (event) => {
    if (menu.open && !menu.contains(/** @type {Node} */ (event.target))) menu.open = false;
  });

  async function signOut() {
    try {
      await ask("mutation SignOut { signOut }");
    } catch (error) {
      const ended = /** @type {{ code?: string }} */ (error).code === "UNAUTHENTICATED";
      if (!ended) {
        /** @type {HTMLElement} */ (menu.querySelector(".problem")).textContent = `You are still signed in: ${error instanceof Error ? error.message : error}`;
        return;
      }
    }
    onSignOut();
  }
  return { eyes };
}

/**
 * @param {import("./wards.js").County} county
 * @param {(words: string | null, label: string) => void} onEyes
 */
function seeAs(county, onEyes) {
  /** @param {string} value @param {string} words */
  const option = (value, words) => el("option", { value }, words);
  const select = /** @type {HTMLSelectElement} */ (
    el(
      "select",
      { onChange: () => onEyes(select.value || null, eyesInWords(county, select.value)) },
      option("", "Myself"),
      option("public", "The public"),
      option("coordinator", "A coordinator"),
      el("optgroup", { label: "Ward administrator of" }, ...[...county.wards].sort((a, b) => a.name.localeCompare(b.name)).map((ward) => option(`ward_administrator@${ward.code}`, ward.name))),
      el("optgroup", { label: "Sub-county administrator of" }, ...county.subCounties.map((unit) => option(`sub_county_administrator@${unit.code}`, unit.name))),
    )
  );
  return select;
}

/**
 * @param {import("./wards.js").County} county
 * @param {string} words  such as `ward_administrator@1208`
 */
export function eyesInWords(county, words) {
  if (words === "public") return "the public";
  const [role, code] = words.split("@");
  const unit = code && (county.unit("ward", code) ?? county.unit("subcounty", code));
  return `a ${role.replace("sub_county", "sub-county").replaceAll("_", " ")}${unit ? ` of ${unit.name}` : ""}`;
}
