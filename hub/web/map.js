// The map itself: MapLibre over the county's own shapes. It asks nothing of anyone but the hub that served it.

import * as maplibre from "./vendor/maplibre-gl-6.17.0/maplibre-gl.mjs";
import { ours } from "./api.js";
import { el, icon, part } from "./elements.js";
import { count } from "./figures.js";
import { CLICKABLE, drawn, features } from "./incident-layers.js";
import { look, style } from "./layers.js";
import { FINE } from "./mark.js";
import { box } from "./shapes.js";
import { TILED } from "./tiled.js";

/** @typedef {import("./wards.js").County} County */
/** @typedef {import("./wards.js").Unit} Unit */
/** @typedef {import("./wards.js").Ward} Ward */
/** @typedef {import("./incidents.js").Incident} Incident */
/** @typedef {import("./api.js").Point} Point */
/** @typedef {import("./address.js").View} View */
/** @typedef {import("./tiled.js").Tiled} Tiled */
/**
 * @typedef {{ sources: () => Record<string, any>, layers: (look: ReturnType<typeof look>) => any[], drawn: (name: string, dark: boolean) => ImageData | null,
 *   clickable: string[], describe: (id: string, properties: any) => [string, string], onChoose: (ids: string[], incidents: string[]) => void,
 *   onDrag: () => void, onZoomed: (zoom: number) => void }} Overlay  what only some see: it brings its own layers
 */
/** @typedef {{ top: number, right: number, bottom: number, left: number }} Room */

// Its worker starts while the hub still answers.
maplibre.prewarm();

const dark = matchMedia("(prefers-color-scheme: dark)");
const still = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * Space around the county that can still be looked at, in degrees: nobody loses the county, and a tall phone, which
 * shows far more from north to south than the county has, can still hold all of its width.
 */
const MARGIN = { lon: 1, lat: 2 };

/** How far beside a mark a click still means it, in pixels: a finger is broader than a mouse. */
const REACH = { mouse: 2, touch: 12, keyboard: 22 };

/** From so many incidents on they are drawn again at most so often. */
const MANY = 500;
const REST_MS = 250;

/** How long the ring around a new incident is to be seen. */
const PULSE_MS = 6_000;

/**
 * Draws the county.
 * @param {County} county
 * @param {View | null} view  where to stand; the whole county without it
 * @param {{ onWard: (ward: Ward) => void, onPoint: (point: Point) => void, onIncidents: (ids: string[]) => void, describe: (id: string, properties: any) => [string, string], onMoved: (view: View) => void, onWhole: () => void, room: () => Room }} listeners
 */
export function drawMap(county, view, { onWard, onPoint, onIncidents, describe, onMoved, onWhole, room }) {
  const whole = box(county.boundary, ...county.wards.map((ward) => ward.boundary));
  const container = part("map");
  /** @type {Incident[]} */
  let incidents = [];
  const map = new maplibre.Map({
    container,
    style: style(county, incidents, dark.matches),
    ...(view ? { center: view.center, zoom: view.zoom } : { bounds: whole, fitBoundsOptions: { padding: room() } }),
    minZoom: 7,
    maxZoom: 18,
    maxBounds: [whole[0] - MARGIN.lon, whole[1] - MARGIN.lat, whole[2] + MARGIN.lon, whole[3] + MARGIN.lat],
    maxPitch: 0,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    renderWorldCopies: false,
    attributionControl: false,
    // Tiles are asked for by whoever looks, through whosever eyes.
    transformRequest: (/** @type {string} */ url) => (url.startsWith(`${location.origin}/tiles/`) ? { url, headers: ours(true) } : { url }),
    fadeDuration: still.matches ? 0 : 120,
    locale: { "Map.Title": "Map of the wards. Arrow keys move it, plus and minus zoom, Enter opens the ward in the middle." },
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-left");
  map.addControl(new WholeCounty(onWhole), "top-left");
  map.addControl(new maplibre.ScaleControl({ maxWidth: 110, unit: "metric" }), "bottom-left");

  // What a source holds, for tests: the map draws on a canvas, where nobody can read it.
  /** @type {any} */ (container).held = async (/** @type {string} */ name) => /** @type {maplibre.GeoJSONSource | undefined} */ (map.getSource(name))?.getData();

  // And what layers show, once everything is drawn.
  /** @type {any} */ (container).seen = (/** @type {string[]} */ layers) =>
    new Promise((resolve) => {
      map.once("idle", () => resolve(map.queryRenderedFeatures({ layers }).map(({ properties }) => properties)));
      map.triggerRepaint();
    });

  let styled = false;
  dark.addEventListener("change", () => {
    styled = false;
    map.setStyle(style(county, incidents, dark.matches), { diff: false });
  });
  // A style, the first or that of the other palette, begins with nothing chosen and nothing pointed at.
  map.on("style.load", () => {
    styled = true;
    pointed = null;
    outline();
    // What came while the style was being made.
    if (incidents.length) redraw();
    lay();
    for (const name of /** @type {Tiled[]} */ (Object.keys(TILED))) show(name);
  });
  // Marks are drawn when one is needed first: of the forty there are, a night shows ten.
  map.setMissingStyleImageResolver(async (/** @type {string} */ id) => {
    const image = drawn(id, dark.matches) ?? over?.drawn(id, dark.matches);
    if (image && !map.hasImage(id)) map.addImage(id, image, { pixelRatio: FINE });
  });
  /** @type {Overlay | null} */
  let over = null;
  /** Over the county, and under the incidents. */
  function lay() {
    if (!over) return;
    for (const [name, source] of Object.entries(over.sources())) map.addSource(name, source);
    for (const layer of over.layers(look(dark.matches))) map.addLayer(layer, "incident-names");
  }
  /** What comes as tiles just now, in place of what the page draws itself. @type {Set<Tiled>} */
  const tiled = new Set();
  /** @param {Tiled} name */
  function show(name) {
    if (!styled) return;
    const drawnHere = name === "incidents" ? [...CLICKABLE, "incident-names"] : [];
    for (const layer of TILED[name]) map.setLayoutProperty(layer, "visibility", tiled.has(name) ? "visible" : "none");
    for (const layer of drawnHere) map.setLayoutProperty(layer, "visibility", tiled.has(name) ? "none" : "visible");
  }
  map.on("dragstart", () => over?.onDrag());
  map.on("zoomend", () => over?.onZoomed(map.getZoom()));
  map.getCanvas().addEventListener("keydown", (event) => event.key.startsWith("Arrow") && over?.onDrag());
  map.on("moveend", () => onMoved({ zoom: map.getZoom(), center: [map.getCenter().lng, map.getCenter().lat] }));

  /** @param {maplibre.PointLike} at @returns {Ward | null} */
  const wardUnder = (at) => {
    if (!styled) return null;
    const [feature] = map.queryRenderedFeatures(at, { layers: ["wards"] });
    return /** @type {Ward | null} */ (feature ? county.unit("ward", feature.properties.code) ?? null : null);
  };
  /**
   * Incidents and discs of them at a point of the screen, topmost first.
   * @param {maplibre.Point} at @param {number} reach
   */
  const marksUnder = ({ x, y }, reach) =>
    styled && (incidents.length || tiled.has("incidents"))
      ? map.queryRenderedFeatures([[x - reach, y - reach], [x + reach, y + reach]], { layers: [...CLICKABLE, ...TILED.incidents] })
      : [];

  /** What else lies there, such as vehicles. @param {maplibre.Point} at @param {number} reach */
  const othersUnder = ({ x, y }, reach) =>
    styled && over && map.getLayer(over.clickable[0]) ? map.queryRenderedFeatures([[x - reach, y - reach], [x + reach, y + reach]], { layers: [...over.clickable, ...TILED.vehicles] }) : [];

  /** A tile tells of many only how many they are: nearer, it tells them apart. @param {maplibre.MapGeoJSONFeature[]} marks */
  function closer(marks) {
    const heap = marks.find(({ properties }) => properties.count > 1);
    if (heap) map.easeTo({ center: /** @type {any} */ (heap.geometry).coordinates, zoom: Math.min(map.getZoom() + 2, 18), duration: duration() });
    return Boolean(heap);
  }

  /** @param {maplibre.MapGeoJSONFeature[]} marks */
  async function openMarks(marks) {
    if (closer(marks)) return;
    const disc = marks.find(({ properties }) => properties.cluster);
    if (!disc) {
      onIncidents([...new Set(marks.map(({ properties }) => properties.id))]);
      return;
    }
    const source = /** @type {maplibre.GeoJSONSource} */ (map.getSource("incidents"));
    const { cluster_id: id, point_count: howMany } = disc.properties;
    const leaves = await source.getClusterLeaves(id, howMany, 0).catch(() => []);
    const spots = new Set(leaves.map((leaf) => String(/** @type {any} */ (leaf.geometry).coordinates)));
    // Where all lie on one spot no zoom takes them apart: a list does.
    if (spots.size <= 1) onIncidents(leaves.map((leaf) => leaf.properties?.id));
    else map.fitBounds(bounds(leaves.map((leaf) => /** @type {any} */ (leaf.geometry).coordinates)), { padding: room(), maxZoom: 15, duration: duration() });
  }

  let drawing = false;
  let lastDrawn = -Infinity;
  function redraw() {
    drawing = false;
    lastDrawn = performance.now();
    if (styled) /** @type {maplibre.GeoJSONSource} */ (map.getSource("incidents")).setData(/** @type {any} */ (features(incidents)));
  }

  /** @type {((point: Point) => void) | null} */
  let placed = null;

  /** @param {maplibre.Point} at @param {maplibre.LngLat} where @param {number} reach */
  const answer = (at, where, reach) => {
    if (placed) return placed([where.lng, where.lat]);
    const marks = marksUnder(at, reach);
    const beside = othersUnder(at, reach);
    const others = [...new Set(beside.map(({ properties }) => properties.id))];
    if (!marks.length && closer(beside)) return;
    // Whoever came to an incident stands on it: both are offered. A disc that counts is taken apart first.
    if (others.length && !marks.some(({ properties }) => properties.cluster)) return over?.onChoose(others, [...new Set(marks.map(({ properties }) => properties.id))]);
    if (marks.length) return openMarks(marks);
    const ward = wardUnder(at);
    if (ward) onWard(ward);
    else onPoint([where.lng, where.lat]);
  };
  map.on("click", ({ point, lngLat, originalEvent }) =>
    answer(point, lngLat, /** @type {any} */ (originalEvent).pointerType === "touch" || matchMedia("(pointer: coarse)").matches ? REACH.touch : REACH.mouse),
  );
  map.getCanvas().addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    answer(map.project(map.getCenter()), map.getCenter(), REACH.keyboard);
  });

  const hint = part("hint");
  map.on("mousemove", ({ point, originalEvent }) => {
    const pressed = Boolean(originalEvent.buttons);
    const [mark] = pressed || placed ? [] : marksUnder(point, REACH.mouse);
    const [other] = pressed || placed || mark ? [] : othersUnder(point, REACH.mouse);
    const ward = pressed ? null : wardUnder(point);
    light(mark || other ? null : ward);
    map.getCanvas().style.cursor = placed ? "crosshair" : mark || other || ward ? "pointer" : "";
    hint.hidden = !(mark || other || ward);
    if (hint.hidden) return;
    const [name, more] = mark
      ? mark.properties.cluster || mark.properties.count > 1
        ? [`${count(mark.properties.point_count ?? mark.properties.count)} incidents`, "Click to see them apart"]
        : describe(mark.properties.id, mark.properties)
      : other
      ? other.properties.count > 1
        ? [`${count(other.properties.count)} vehicles`, "Click to see them apart"]
        : /** @type {Overlay} */ (over).describe(other.properties.id, other.properties)
      : [/** @type {Ward} */ (ward).name, /** @type {Ward} */ (ward).subCounty.name];
    hint.replaceChildren(el("strong", {}, name), el("span", {}, more));
    const onRight = point.x > container.clientWidth - 200;
    hint.style.transform = `translate(${Math.round(point.x)}px, ${Math.round(point.y)}px) translate(${onRight ? "calc(-100% - 14px)" : "14px"}, 16px)`;
  });
  const leave = () => {
    light(null);
    hint.hidden = true;
  };
  map.on("mouseout", leave);
  map.on("movestart", leave);

  /** @type {string | null} */
  let pointed = null;
  /** @param {Unit | null} unit */
  function light(unit) {
    const key = unit?.kind === "ward" ? `ward ${unit.code}` : null;
    if (key === pointed || !styled) return;
    if (pointed) map.setFeatureState({ source: "areas", id: pointed }, { pointed: false });
    if (key) map.setFeatureState({ source: "areas", id: key }, { pointed: true });
    pointed = key;
  }

  /** @type {Unit | null} */
  let chosen = null;
  /** @param {Unit | null} unit */
  function choose(unit) {
    chosen = unit;
    if (styled) outline();
  }

  function outline() {
    const filter = /** @type {any} */ (["==", ["get", "key"], chosen ? `${chosen.kind} ${chosen.code}` : ""]);
    for (const layer of ["chosen-casing", "chosen-chosen", "chosen-name"]) map.setFilter(layer, filter);
  }

  /** @type {maplibre.Marker | null} */
  let pin = null;
  /** @type {maplibre.Marker | null} */
  let ring = null;

  const duration = () => (still.matches ? 0 : 500);

  return {
    choose,
    light,
    /** @param {Point | null} at */
    pin(at) {
      pin?.remove();
      pin = at && new maplibre.Marker({ element: el("div", { class: "pin", "aria-hidden": "true" }) }).setLngLat(at).addTo(map);
    },
    /**
     * Draws these incidents instead of those before.
     * @param {Incident[]} all
     */
    incidents(all) {
      incidents = all;
      container.dataset.incidents = String(all.length);
      // Thousands are gathered anew each time: on a bad night not oftener than the eye follows.
      if (drawing) return;
      const left = all.length > MANY ? lastDrawn + REST_MS - performance.now() : 0;
      if (left <= 0) redraw();
      else {
        drawing = true;
        setTimeout(redraw, left);
      }
    },
    /**
     * A ring around the incident that is open.
     * @param {Point | null} at
     */
    ring(at) {
      if (at && ring) {
        ring.setLngLat(at);
        return;
      }
      ring?.remove();
      ring = at && new maplibre.Marker({ element: el("div", { class: "ring", "aria-hidden": "true" }) }).setLngLat(at).addTo(map);
    },
    /**
     * A ring that goes by itself: here something is new.
     * @param {Point} at
     */
    pulse(at) {
      const marker = new maplibre.Marker({ element: el("div", { class: "pulse", "aria-hidden": "true" }, el("span")) }).setLngLat(at).addTo(map);
      setTimeout(() => marker.remove(), PULSE_MS);
    },
    /**
     * Clicks mean a place until this is called with null.
     * @param {((point: Point) => void) | null} then
     */
    place(then) {
      placed = then;
      map.getCanvas().style.cursor = then ? "crosshair" : "";
      container.toggleAttribute("data-placing", Boolean(then));
    },
    /** Layers that come later, with the desk. @param {Overlay} it */
    overlay(it) {
      over = it;
      if (styled) lay();
    },
    /** Draws other data in a source of the overlay. @param {string} name @param {any} data */
    data(name, data) {
      const source = styled && over ? /** @type {maplibre.GeoJSONSource | undefined} */ (map.getSource(name)) : null;
      source?.setData(data);
    },
    /** Draws the hub's tiles of these, or no longer. @param {Tiled} name @param {boolean} is */
    tiled(name, is) {
      if (tiled.has(name) === is) return;
      if (is) tiled.add(name);
      else tiled.delete(name);
      container.dataset.tiled = [...tiled].sort().join(" ");
      show(name);
    },
    /** Asks for the tiles that are drawn once more. */
    refresh() {
      for (const name of tiled) if (styled) map.refreshTiles(`${name}-tiled`);
    },
    zoom: () => map.getZoom(),
    /** Brings a point into the middle of what is not covered. @param {Point} at */
    centre(at) {
      const { top, right, bottom, left } = room();
      map.easeTo({ center: at, offset: [(left - right) / 2, (top - bottom) / 2], duration: duration() });
    },
    /** @param {Unit} unit */
    show(unit) {
      const [west, south, east, north] = box(unit.boundary);
      const seen = map.getBounds();
      const open = map.getContainer().getBoundingClientRect();
      const { top, right, bottom, left } = room();
      const [low, high] = [map.project([west, south]), map.project([east, north])];
      const inside = low.x >= left && high.x <= open.width - right && high.y >= top && low.y <= open.height - bottom;
      const large = (east - west) / (seen.getEast() - seen.getWest()) > 0.2 || (north - south) / (seen.getNorth() - seen.getSouth()) > 0.2;
      // A map that jumps at every click loses its reader: move only when the unit is out of sight or too small to see.
      if (inside && large) return;
      map.fitBounds([west, south, east, north], { padding: room(), maxZoom: 13, duration: duration() });
    },
    /**
     * @param {Point} at
     * @param {{ close: boolean }} how  whether to go as near as a street corner wants, or only to bring it into sight
     */
    reach(at, { close }) {
      const open = map.getContainer().getBoundingClientRect();
      const { top, right, bottom, left } = room();
      const { x, y } = map.project(at);
      const inside = x >= left && x <= open.width - right && y >= top && y <= open.height - bottom;
      const zoom = close ? Math.max(map.getZoom(), 11) : map.getZoom();
      if (inside && zoom === map.getZoom()) return;
      map.fitBounds([at, at], { padding: room(), maxZoom: zoom, duration: duration() });
    },
    /** Brings what stands in the middle of the screen into the middle of what is not covered. */
    aside() {
      const { top, right, bottom, left } = room();
      map.easeTo({ center: map.getCenter(), offset: [(left - right) / 2, (top - bottom) / 2], duration: duration() });
    },
    /** Brings a line into sight. @param {any} geometry */
    fit(geometry) {
      map.fitBounds(box(geometry), { padding: room(), maxZoom: 15, duration: duration() });
    },
    whole() {
      map.fitBounds(whole, { padding: room(), duration: duration() });
    },
    /** @param {View} to */
    stand({ center, zoom }) {
      map.jumpTo({ center, zoom });
    },
    /** @returns {Promise<number>} how many wards stand on the screen, once everything is drawn */
    settled: () =>
      new Promise((resolve) => {
        const done = () => resolve(new Set(map.queryRenderedFeatures({ layers: ["wards"] }).map(({ properties }) => properties.code)).size);
        map.once("idle", done);
      }),
  };
}

/**
 * @param {Point[]} points
 * @returns {[number, number, number, number]}
 */
function bounds(points) {
  const [lons, lats] = [points.map(([lon]) => lon), points.map(([, lat]) => lat)];
  return [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)];
}

/** The button that brings the whole county back into view. */
class WholeCounty {
  /** @param {() => void} onWhole */
  constructor(onWhole) {
    this.element = el(
      "div",
      { class: "maplibregl-ctrl maplibregl-ctrl-group" },
      el(
        "button",
        { type: "button", class: "whole", title: "Whole county", "aria-label": "Show the whole county", onClick: onWhole },
        icon("M3 7.5V3h4.5M12.5 3H17v4.5M17 12.5V17h-4.5M7.5 17H3v-4.5"),
      ),
    );
  }

  onAdd() {
    return this.element;
  }

  onRemove() {
    this.element.remove();
  }
}
