// How PostgreSQL went about a statement: EXPLAIN as an indented list of its steps, the deepest first to be done.

import { el } from "./elements.js";

/**
 * @typedef {{
 *   does: string, table?: string, index?: string, part?: string, function?: string, rows: number, expected: number, loops: number,
 *   ms: number, removed: number, pages: number, conditions?: Record<string, string>, steps: Step[],
 * }} Step
 * @typedef {{ plan: Step, planningMs: number, executionMs: number }} Plan
 */

/** From this share of the whole on, a step's own time is worth looking at; of less than a millisecond nothing is. */
const HEAVY = 0.3;

const words = new Intl.NumberFormat("en-GB");

/** @param {number} ms */
const time = (ms) => `${ms < 10 ? ms.toFixed(2) : ms.toFixed(0)} ms`;

/**
 * Asks for the plan of a question, and runs the statement once more for it.
 * @param {import("./answers.js").Question} question
 * @returns {Promise<Node[]>}
 */
export async function plan(question) {
  let told;
  try {
    const answer = await fetch("/graphql/explain", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(question),
    });
    told = await answer.json();
  } catch {
    return [el("p", { class: "quiet" }, "The hub did not give its plan.")];
  }
  return told.plan ? drawn(told) : [el("p", { class: "quiet" }, told.errors?.[0]?.message ?? "The hub did not give its plan.")];
}

/** @param {Plan} told */
function drawn({ plan, planningMs, executionMs }) {
  return [
    el("p", { class: "quiet" }, `Run once more to be measured: ${time(planningMs)} to plan, ${time(executionMs)} to run.`),
    el("ul", { class: "plan", "aria-label": "Steps of the plan" }, step(plan, executionMs)),
  ];
}

/**
 * @param {Step} told
 * @param {number} whole  milliseconds of all steps together
 * @returns {HTMLElement}
 */
function step(told, whole) {
  // A step's time holds that of the steps below it.
  const own = Math.max(0, told.ms - told.steps.reduce((sum, { ms }) => sum + ms, 0));
  const on = [told.table && ["on", told.table], told.index && ["by", told.index], told.function && ["of", told.function]].filter((each) => Array.isArray(each));
  const heavy = whole >= 1 && own / whole >= HEAVY;
  const said = [
    `${words.format(told.rows)} ${told.rows === 1 ? "row" : "rows"}`,
    told.loops > 1 && `${words.format(told.loops)} times`,
    told.removed > 0 && `${words.format(told.removed)} left out`,
    told.pages > 0 && `${words.format(told.pages)} ${told.pages === 1 ? "page" : "pages"}`,
  ].filter(Boolean);
  return el(
    "li",
    {},
    el(
      "div",
      { class: heavy ? "step heavy" : "step" },
      el("p", { class: "does" }, told.part && el("span", { class: "part" }, told.part), el("strong", {}, told.does), ...on.flatMap(([how, what]) => [` ${how} `, el("code", {}, what)])),
      el("span", { class: "ms", title: heavy ? "Most of the time goes here" : null }, time(own)),
      el("p", { class: "counts" }, said.join(" · ")),
      ...Object.entries(told.conditions ?? {}).map(([name, text]) => el("p", { class: "condition" }, el("span", {}, name), " ", el("code", {}, text))),
    ),
    told.steps.length > 0 && el("ul", {}, ...told.steps.map((below) => step(below, whole))),
  );
}
