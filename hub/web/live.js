// The live line to the hub: a list with the journal's cursor, then every change since, over one websocket that heals itself.
//
// The page is live only while the hub answers pings on that very socket. Anything else is stale, and since when is the
// moment at which the hub was last heard. What came meanwhile is not lost: the next socket resumes after the last cursor.

import { HubError } from "./api.js";
import { now } from "./times.js";

/** @typedef {{ live: boolean, since: number, why: string, ended: boolean, joining?: boolean }} State  `ended`: the sign-in is over; `joining`: not yet tried */

const PING_EVERY_MS = 10_000;
const PONG_WITHIN_MS = 5_000;
const OPEN_WITHIN_MS = 8_000;
const LEAST_WAIT_MS = 500;
const MOST_WAIT_MS = 15_000;

/**
 * @template Event
 * @param {{
 *   query: string,
 *   load: () => Promise<string | null>,
 *   payload: () => Record<string, unknown>,
 *   onEvent: (data: any) => string,
 *   onState: (state: State) => void,
 * }} from  `load` brings the list and gives its cursor; `onEvent` takes a change and gives its cursor
 */
export function startLive({ query, load, payload, onEvent, onState }) {
  /** @type {string | null | undefined} undefined: the list is to be loaded first */
  let cursor;
  let heard = now();
  let stopped = false;
  let live = false;
  /** @type {WebSocket | null} */
  let socket = null;
  /** @type {() => void} */
  let hurry = () => {};
  /** @type {() => void} */
  let check = () => {};

  /** @param {boolean} is @param {string} [why] @param {boolean} [ended] */
  function say(is, why = "", ended = false) {
    live = is;
    onState({ live: is, since: heard, why, ended });
  }

  /**
   * One socket from its opening to its end.
   * @returns {Promise<{ code: number, reload: boolean, why: string }>} why it ended; rejects never
   */
  function session() {
    return new Promise((resolve) => {
      const ws = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/graphql`, "graphql-transport-ws");
      socket = ws;
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let patience = setTimeout(() => end(0, "The hub does not answer."), OPEN_WITHIN_MS);
      /** @type {ReturnType<typeof setInterval> | undefined} */
      let pinging;
      let over = false;
      let subscribed = false;

      /** @param {number} code @param {string} why @param {boolean} [reload] */
      function end(code, why, reload = false) {
        if (over) return;
        over = true;
        clearTimeout(patience);
        clearInterval(pinging);
        check = () => {};
        socket = null;
        // A half-open socket would take minutes to close: nobody waits for it.
        ws.close();
        resolve({ code, reload, why });
      }

      /** @param {Record<string, unknown>} message */
      const send = (message) => ws.readyState === WebSocket.OPEN && ws.send(JSON.stringify(message));

      function ping() {
        send({ type: "ping" });
        clearTimeout(patience);
        patience = setTimeout(() => end(0, "The hub does not answer."), PONG_WITHIN_MS);
      }

      ws.addEventListener("open", () => send({ type: "connection_init", payload: payload() }));
      ws.addEventListener("message", ({ data }) => {
        if (over) return;
        heard = now();
        const message = JSON.parse(data);
        switch (message.type) {
          case "connection_ack":
            subscribed = true;
            send({ id: "changes", type: "subscribe", payload: { query, variables: { after: cursor ?? null } } });
            // Its pong says that the hub heard what was sent before it.
            ping();
            check = ping;
            pinging = setInterval(ping, PING_EVERY_MS);
            break;
          case "ping":
            send({ type: "pong" });
            break;
          case "pong":
            clearTimeout(patience);
            if (!subscribed || live) break;
            say(true);
            // A journal in which nothing stands has no cursor to begin after: what came before the first answer is listed.
            if (cursor === null) load().then((found) => (cursor ??= found)).catch(() => end(0, "The list did not load.", true));
            break;
          case "next": {
            const [refusal] = message.payload.errors ?? [];
            if (refusal) refused(refusal);
            else cursor = onEvent(message.payload.data);
            break;
          }
          case "error":
            refused(message.payload[0]);
            break;
          case "complete":
            end(0, "The hub ended the live line.");
        }
      });
      ws.addEventListener("close", ({ code, reason }) => end(code, reason || "The hub can’t be reached."));

      /** @param {{ message: string, extensions?: { code?: string, reason?: string } }} error */
      function refused({ message, extensions }) {
        const ended = extensions?.code === "UNAUTHENTICATED";
        end(ended ? 4403 : 0, message, extensions?.reason === "RESYNC");
      }
    });
  }

  /** @param {number} attempt */
  function wait(attempt) {
    return new Promise((resolve) => {
      const longest = Math.min(MOST_WAIT_MS, LEAST_WAIT_MS * 2 ** attempt);
      // Not all pages of a hub that was away come back at the same moment.
      const timer = setTimeout(go, longest * (0.5 + Math.random() / 2));
      function go() {
        clearTimeout(timer);
        hurry = () => {};
        resolve(null);
      }
      hurry = go;
    });
  }

  async function run() {
    for (let attempt = 0; !stopped; attempt++) {
      try {
        if (cursor === undefined) {
          cursor = await load();
          heard = now();
        }
      } catch (error) {
        if (stopped) return;
        const ended = error instanceof HubError && error.code === "UNAUTHENTICATED";
        say(false, error instanceof Error ? error.message : String(error), ended);
        if (ended) return;
        await wait(attempt);
        continue;
      }
      if (stopped) return;
      const { code, reload, why } = await session();
      if (stopped) return;
      if (live) attempt = 0;
      const ended = code === 4401 || code === 4403;
      if (reload || cursor === null) cursor = undefined;
      // What the hub could not resume is loaded anew at once; that is no outage.
      if (!(reload && attempt === 0)) say(false, why, ended);
      else live = false;
      if (ended) return;
      if (!reload || attempt > 0) await wait(attempt);
    }
  }

  const atOnce = () => {
    hurry();
    check();
  };
  const onVisible = () => document.visibilityState === "visible" && atOnce();
  const onOffline = () => check();
  addEventListener("online", atOnce);
  addEventListener("offline", onOffline);
  document.addEventListener("visibilitychange", onVisible);
  run();

  return {
    /** Not wait for the next try. */
    hurry: atOnce,
    stop() {
      stopped = true;
      hurry();
      socket?.close(1000);
      removeEventListener("online", atOnce);
      removeEventListener("offline", onOffline);
      document.removeEventListener("visibilitychange", onVisible);
    },
  };
}
