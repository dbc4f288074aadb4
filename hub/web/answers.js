// How a question was answered: where the milliseconds went, the one SQL statement behind it, and how PostgreSQL went about that.

import { el, part } from "./elements.js";
import { plan } from "./plans.js";

/** @typedef {{ query: string, variables?: unknown, operationName?: string | null }} Question */
/** @typedef {{ name: string, ms: number, total: boolean }} Step */
/** @typedef {{ timing: string | null, elsewhere: number, bytes: number, result: { data?: Record<string, unknown> | null } }} Answer */

const STEPS = /** @type {Record<string, string>} */ ({
  admit: "Counting what it costs",
  parse: "Reading the question",
  validate: "Checking it against the schema",
  compile: "Writing one SQL statement",
  database: "PostGIS answers",
  execute: "Answering",
  total: "In the hub, all together",
});

/**
 * A Server-Timing header as steps.
 * @param {string | null} header
 * @returns {Step[]}
 */
export function steps(header) {
  return (header ?? "")
    .split(",")
    .map((entry) => {
      const [name, ...parameters] = entry.split(";").map((part) => part.trim());
      const said = Object.fromEntries(parameters.map((parameter) => parameter.split("=").map((part) => part.trim().replace(/^"|"$/g, ""))));
      return { name: said.desc ?? STEPS[name] ?? name, ms: Number(said.dur), total: name === "total" };
    })
    .filter(({ ms }) => Number.isFinite(ms))
    .sort((a, b) => Number(a.total) - Number(b.total));
}

/** What stands in the panel before anything was asked. */
export function drawEmpty() {
  part("answer").replaceChildren(
    el("h2", {}, "How it is answered"),
    el("p", { class: "quiet" }, "Run a question. Where its milliseconds went, the SQL statement that answers it, and PostgreSQL’s plan appear here."),
  );
}

/**
 * Shows how a question was answered. The statement is asked for once the answer is here, so that it costs the answer nothing.
 * @param {Question} question
 * @param {Answer} answer
 * @param {boolean} signedIn  whether somebody is: plans are for nobody else
 */
export async function drawAnswer(question, answer, signedIn) {
  const panel = part("answer");
  const statement = el("section", { class: "statement" }, el("h2", {}, "Statement"), el("p", { class: "quiet" }, "Asking the hub…"));
  panel.replaceChildren(timing(answer), statement);
  panel.dataset.of = question.operationName ?? "";
  const said = reads(answer) ?? (await ask(question));
  // A later question has the panel now.
  if (!statement.isConnected) return;
  statement.replaceChildren(...said);
  if (!statement.querySelector("pre")) return;
  const explained = el("section", { class: "explained" }, el("h2", {}, "Plan"));
  panel.append(explained);
  if (!signedIn) {
    explained.append(el("p", { class: "quiet" }, el("a", { href: "/sign-in#graphql" }, "Sign in"), " to see how PostgreSQL goes about it (EXPLAIN)."));
    return;
  }
  const waiting = el("p", { class: "quiet" }, "Running EXPLAIN…");
  explained.append(waiting);
  waiting.replaceWith(...(await plan(question)));
}

/**
 * Why there is no statement to ask for; null where there is one.
 * @param {Answer} answer
 */
function reads({ result: { data } }) {
  const why = !data
    ? "The question was refused before it reached the database."
    : Object.keys(data).every((name) => name.startsWith("__")) && "Answered from the schema itself: no table was read.";
  return why ? [el("h2", {}, "Statement"), el("p", { class: "quiet" }, why)] : null;
}

/** @param {Answer} answer */
function timing({ timing, elsewhere, bytes }) {
  const known = steps(timing);
  const shown = [...known, { name: "Until this page had it", ms: elsewhere, total: true }];
  const longest = Math.max(...shown.map(({ ms }) => ms), 0.001);
  return el(
    "section",
    { class: "timing" },
    el("h2", {}, "Time"),
    known.length === 0 && el("p", { class: "quiet" }, "This hub does not tell its steps (HUB_STATEMENTS)."),
    el(
      "dl",
      {},
      ...shown.map(({ name, ms }) => {
        const bar = el("span", { class: "bar-line" });
        bar.style.width = `${Math.max(1, (ms / longest) * 100).toFixed(1)}%`;
        return el("div", {}, el("dt", {}, name), el("dd", {}, `${ms < 10 ? ms.toFixed(2) : ms.toFixed(0)} ms`), bar);
      }),
    ),
    el("p", { class: "quiet" }, `${bytes < 1000 ? `${bytes} bytes` : `${(bytes / 1000).toFixed(1)} kB`} of JSON`),
  );
}

/**
 * @param {Question} question
 * @returns {Promise<Node[]>}
 */
async function ask(question) {
  const heading = el("h2", {}, "Statement");
  let said;
  try {
    const answer = await fetch("/graphql/sql", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(question),
    });
    said = await answer.json();
  } catch {
    return [heading, el("p", { class: "quiet" }, "The hub did not give its statement.")];
  }
  if (!said.statement) return [heading, el("p", { class: "quiet" }, said.errors?.[0]?.message ?? "The hub did not give its statement.")];
  const copy = el("button", { type: "button", class: "copy" }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(said.statement);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  });
  /** @type {string[]} */
  const parameters = said.parameters ?? [];
  return [
    el("div", { class: "heading" }, heading, copy),
    el("pre", { tabindex: "0", "aria-label": "SQL statement" }, el("code", {}, ...coloured(said.statement))),
    ...(parameters.length
      ? [
          el("h3", {}, "Values"),
          el("ol", { class: "values" }, ...parameters.map((value, i) => el("li", {}, el("span", { class: "parameter" }, `$${i + 1}`), el("code", {}, value)))),
        ]
      : []),
  ];
}

const WORDS = "select|from|where|order by|group by|limit|as|and|or|not|exists|with|lateral|left|join|on|asc|desc|case|when|then|else|end|is|null|in|cast|distinct|union all|over|true|false";
const TOKENS = new RegExp(`('(?:[^']|'')*')|(\\$\\d+)|\\b(${WORDS})\\b|(\\bst_\\w+)`, "gi");

/**
 * @param {string} sql
 * @returns {(Node | string)[]}
 */
function coloured(sql) {
  /** @type {(Node | string)[]} */
  const pieces = [];
  let at = 0;
  for (const match of sql.matchAll(TOKENS)) {
    pieces.push(sql.slice(at, match.index));
    const kind = match[1] ? "text" : match[2] ? "parameter" : match[3] ? "word" : "spatial";
    pieces.push(el("span", { class: kind }, match[0]));
    at = match.index + match[0].length;
  }
  return [...pieces, sql.slice(at)];
}
