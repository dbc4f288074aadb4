// Moments as the county reads them: Kenya's clock, wherever the browser stands, and how long ago something was.

import { el } from "./elements.js";

const ZONE = "Africa/Nairobi";
const clock = new Intl.DateTimeFormat("en-GB", { timeZone: ZONE, hour: "2-digit", minute: "2-digit" });
const dayAndMonth = new Intl.DateTimeFormat("en-GB", { timeZone: ZONE, day: "numeric", month: "short" });
const withYear = new Intl.DateTimeFormat("en-GB", { timeZone: ZONE, day: "numeric", month: "short", year: "numeric" });
const iso = new Intl.DateTimeFormat("sv-SE", { timeZone: ZONE, dateStyle: "short", timeStyle: "short" });

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How far this machine's clock lies behind the hub's: a laptop whose clock is wrong must not call a new fire old. */
let behind = 0;

/**
 * Takes the hub's time from an answer's `Date`, which counts whole seconds: a smaller difference is none.
 * @param {string | null} date
 */
export function learnTime(date) {
  const difference = date ? Date.parse(date) - Date.now() : NaN;
  if (Number.isFinite(difference)) behind = Math.abs(difference) > 3000 ? difference : 0;
}

/** The hub's present, in milliseconds. */
export const now = () => Date.now() + behind;

/** @param {number | string | Date} moment */
export const hour = (moment) => clock.format(new Date(moment));

/**
 * "21:04", "yesterday 21:04", "3 May, 21:04": as short as the reader can do with.
 * @param {string | number} moment
 */
export function moment(moment) {
  const date = new Date(moment);
  const day = dayAndMonth.format(date);
  if (Math.abs(now() - date.getTime()) < DAY && day === dayAndMonth.format(now())) return hour(date);
  if (now() - date.getTime() < 2 * DAY && day === dayAndMonth.format(now() - DAY)) return `yesterday ${hour(date)}`;
  const sameYear = withYear.format(date).slice(-4) === withYear.format(now()).slice(-4);
  return `${sameYear ? day : withYear.format(date)}, ${hour(date)}`;
}

/** @param {string | number} moment */
export function ago(moment) {
  const passed = now() - new Date(moment).getTime();
  if (passed < MINUTE) return "just now";
  if (passed < HOUR) return `${Math.floor(passed / MINUTE)} min ago`;
  if (passed < 2 * DAY) return `${Math.floor(passed / HOUR)} h ago`;
  return `${Math.floor(passed / DAY)} days ago`;
}

/**
 * How long ago, kept right while it is on the page.
 * @param {string} moment
 */
export const sinceThen = (moment) => el("time", { datetime: moment, "data-ago": true, title: `${withYear.format(new Date(moment))}, ${hour(moment)} Kenya time` }, ago(moment));

setInterval(() => {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const said = ago(/** @type {HTMLTimeElement} */ (time).dateTime);
    if (time.textContent !== said) time.textContent = said;
  }
}, 15_000);

/**
 * A moment for a field of date and time, by Kenya's clock.
 * @param {string | number} moment
 */
export const forField = (moment) => iso.format(new Date(moment)).replace(" ", "T");

/**
 * What such a field holds, with Kenya's zone, which knows no summer time; null when it is empty.
 * @param {string} value
 */
export const fromField = (value) => (value ? `${value.length === 16 ? `${value}:00` : value}+03:00` : null);
