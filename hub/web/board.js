// The incidents that this page holds: what the hub listed, kept right by what it tells since.

/** @typedef {import("./incidents.js").Incident} Incident */
/** @typedef {import("./incidents.js").Event} Event */
/**
 * @typedef {{ fresh: Incident[], changed: { before: Incident, after: Incident, told: boolean }[], gone: Incident[], learned: Incident[] }} News
 *   `learned`: new to this page, not to the county; `told`: by the live line, not by an answer to this page
 */

/**
 * @param {(news: News | null) => void} onChange  what changed, once for all events of a frame; null: everything is new
 */
export function startBoard(onChange) {
  /** @type {Map<string, Incident>} */
  let held = new Map();
  /** @type {{ id: string, incident: Incident | null, told: boolean }[]} */
  let waiting = [];

  function work() {
    const events = waiting;
    waiting = [];
    /** @type {Map<string, { before: Incident | undefined, after: Incident | undefined, told: boolean }>} */
    const touched = new Map();
    for (const { id, incident, told } of events) {
      const present = held.get(id);
      if (!touched.has(id)) touched.set(id, { before: present, after: present, told: false });
      const entry = /** @type {{ after: Incident | undefined, told: boolean }} */ (touched.get(id));
      entry.told ||= told;
      // An answer that this page asked for may have come before the event of the same change.
      if (incident && present && incident.version < present.version) continue;
      if (incident) held.set(id, incident);
      else held.delete(id);
      entry.after = incident ?? undefined;
    }
    /** @type {News} */
    const news = { fresh: [], changed: [], gone: [], learned: [] };
    for (const { before, after, told } of touched.values()) {
      if (after && !before) (told ? news.fresh : news.learned).push(after);
      else if (after && before) news.changed.push({ before, after, told });
      else if (before) news.gone.push(before);
    }
    onChange(news);
  }

  let asked = false;
  /** Once a frame, however many events come; a page in the background has no frames and is told a little later. */
  function soon() {
    if (asked) return;
    asked = true;
    const go = () => {
      asked = false;
      if (waiting.length) work();
    };
    if (document.hidden) setTimeout(go, 200);
    else requestAnimationFrame(go);
  }

  return {
    /** @param {Event} event */
    take({ id, incident }) {
      waiting.push({ id, incident, told: true });
      soon();
    },
    /**
     * What an answer to this page said of incidents: no news to whoever asked.
     * @param {Incident[]} incidents
     */
    learn(incidents) {
      for (const incident of incidents) waiting.push({ id: incident.id, incident, told: false });
      soon();
    },
    /**
     * The hub's list instead of what was held.
     * @param {Incident[]} incidents
     */
    replace(incidents) {
      waiting = [];
      held = new Map(incidents.map((incident) => [incident.id, incident]));
      onChange(null);
    },
    all: () => [...held.values()],
    /** @param {string} id */
    get: (id) => held.get(id),
    /** @param {string} reference */
    called: (reference) => [...held.values()].find((incident) => incident.reference === reference),
    get size() {
      return held.size;
    },
  };
}
