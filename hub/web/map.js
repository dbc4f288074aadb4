// The map itself: MapLibre over the county's own shapes. It asks nothing of anyone but the hub that served it.

import * as maplibre from "./vendor/maplibre-gl-6.17.0/maplibre-gl.mjs";
import { el, icon, part } from "./elements.js";
import { style } from "./layers.js";
import { box } from "./shapes.js";

/** @typedef {import("./wards.js").County} County */
/** @typedef {import("./wards.js").Unit} Unit */
/** @typedef {import("./wards.js").Ward} Ward */
/** @typedef {import("./api.js").Point} Point */
/** @typedef {import("./address.js").View} View */
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

/**
 * Draws the county.
 * @param {County} county
 * @param {View | null} view  where to stand; the whole county without it
 * @param {{ onWard: (ward: Ward) => void, onPoint: (point: Point) => void, onMoved: (view: View) => void, onWhole: () => void, room: () => Room }} listeners
 */
export function drawMap(county, view, { onWard, onPoint, onMoved, onWhole, room }) {
  const whole = box(county.boundary, ...county.wards.map((ward) => ward.boundary));
  const container = part("map");
  const map = new maplibre.Map({
    container,
    style: style(county, dark.matches),
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
    fadeDuration: still.matches ? 0 : 120,
    locale: { "Map.Title": "Map of the wards. Arrow keys move it, plus and minus zoom, Enter opens the ward in the middle." },
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-left");
  map.addControl(new WholeCounty(onWhole), "top-left");
  map.addControl(new maplibre.ScaleControl({ maxWidth: 110, unit: "metric" }), "bottom-left");

  let styled = false;
  dark.addEventListener("change", () => {
    styled = false;
    map.setStyle(style(county, dark.matches), { diff: false });
  });
  // A style, the first or that of the other palette, begins with nothing chosen and nothing pointed at.
  map.on("style.load", () => {
    styled = true;
    pointed = null;
    outline();
  });
  map.on("moveend", () => onMoved({ zoom: map.getZoom(), center: [map.getCenter().lng, map.getCenter().lat] }));

  /** @param {maplibre.PointLike} at @returns {Ward | null} */
  const wardUnder = (at) => {
    if (!styled) return null;
    const [feature] = map.queryRenderedFeatures(at, { layers: ["wards"] });
    return /** @type {Ward | null} */ (feature ? county.unit("ward", feature.properties.code) ?? null : null);
  };
  /** @param {maplibre.Point} at @param {maplibre.LngLat} where */
  const answer = (at, where) => {
    const ward = wardUnder(at);
    if (ward) onWard(ward);
    else onPoint([where.lng, where.lat]);
  };
  map.on("click", (event) => answer(event.point, event.lngLat));
  map.getCanvas().addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    answer(map.project(map.getCenter()), map.getCenter());
  });

  const hint = part("hint");
  map.on("mousemove", ({ point, originalEvent }) => {
    const ward = originalEvent.buttons ? null : wardUnder(point);
    light(ward);
    map.getCanvas().style.cursor = ward ? "pointer" : "";
    hint.hidden = !ward;
    if (!ward) return;
    hint.replaceChildren(el("strong", {}, ward.name), el("span", {}, ward.subCounty.name));
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

  const duration = () => (still.matches ? 0 : 500);

  return {
    choose,
    light,
    /** @param {Point | null} at */
    pin(at) {
      pin?.remove();
      pin = at && new maplibre.Marker({ element: el("div", { class: "pin", "aria-hidden": "true" }) }).setLngLat(at).addTo(map);
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
