// The page's half of hub/client/live.py; `L` is Leaflet, put before it there.

export default { render({ model, el }) {
  const style = document.createElement("style");
  style.textContent = model.get("css") + ".leaflet-container { background: #dfe8ee }";
  const box = document.createElement("div");
  box.style.cssText = `height: ${model.get("height")}px`;
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", "Vehicles, live");
  el.append(style, box);
  const map = L.map(box, { preferCanvas: true, attributionControl: false, zoomControl: true });
  const wards = L.geoJSON(JSON.parse(model.get("wards")), {
    style: { color: "#5b666c", weight: 1, fillColor: "#f6f4ef", fillOpacity: 1 },
  }).addTo(map);
  const marks = new Map();
  const colours = { AVAILABLE: "#14713f", ASSIGNED: "#1552a8" };
  const draw = () => {
    for (const [plate, { lon, lat, name, status, at }] of Object.entries(model.get("vehicles"))) {
      let mark = marks.get(plate);
      if (!mark) {
        mark = L.circleMarker([lat, lon], { radius: 6, weight: 2, color: "#fff", fillOpacity: 1 }).addTo(map);
        marks.set(plate, mark);
      }
      mark.setLatLng([lat, lon]).setStyle({ fillColor: colours[status] ?? "#66727a" });
      const words = document.createElement("span");
      words.textContent = `${name} · ${at}`;
      mark.unbindTooltip().bindTooltip(words);
    }
    box.dataset.vehicles = String(marks.size);
  };
  const fit = () => { map.invalidateSize(); map.fitBounds(wards.getBounds()); };
  fit();
  requestAnimationFrame(fit);
  draw();
  model.on("change:vehicles", draw);
  return () => map.remove();
} };
