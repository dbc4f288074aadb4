// Photos of an incident: small ones in its card, a large one on demand, and new ones on their way to the hub.

import { HubError } from "./api.js";
import { el, icon } from "./elements.js";
import { addPhoto } from "./incidents.js";
import { moment } from "./times.js";

/** @typedef {import("./incidents.js").Photo} Photo */
/** @typedef {{ file: File, state: "waiting" | "sending" | "failed", why: string }} Upload */

/** The longer side of a photo as it is sent: plates and water marks can be read, and a bad link still carries it. */
const LONGEST = 2048;
const TYPES = ["image/jpeg", "image/png", "image/webp"];
/** What the hub takes. */
const MOST_BYTES = 10 * 1024 * 1024;

/**
 * Thumbnails that open large.
 * @param {Photo[]} photos
 * @param {string} title
 */
export const strip = (photos, title) =>
  el(
    "ul",
    { class: "photos" },
    ...photos.map((photo, place) =>
      el(
        "li",
        {},
        el(
          "button",
          { type: "button", class: "thumbnail", "aria-label": `Photo ${place + 1} of ${photos.length}, ${moment(photo.addedAt)}`, onClick: () => enlarge(photos, place, title) },
          el("img", { src: photo.thumbnailUrl, alt: "", loading: "lazy", width: 84, height: 84 }),
        ),
      ),
    ),
  );

/**
 * @param {Photo[]} photos
 * @param {number} place
 * @param {string} title
 */
function enlarge(photos, place, title) {
  const picture = el("div", { class: "picture" });
  const words = el("p", { class: "caption" });
  const dialog = /** @type {HTMLDialogElement} */ (
    el(
      "dialog",
      {
        class: "lightbox",
        "aria-label": `Photos of ${title}`,
        onKeyDown: (/** @type {KeyboardEvent} */ event) => {
          if (event.key === "Escape") event.stopPropagation();
          if (event.key === "ArrowRight") show(place + 1);
          if (event.key === "ArrowLeft") show(place - 1);
        },
        onClick: (/** @type {Event} */ event) => event.target === dialog && dialog.close(),
        onClose: () => dialog.remove(),
      },
      el(
        "header",
        {},
        words,
        photos.length > 1 && el("button", { type: "button", class: "close", "aria-label": "Photo before", onClick: () => show(place - 1) }, icon("m12 4-6 6 6 6")),
        photos.length > 1 && el("button", { type: "button", class: "close", "aria-label": "Next photo", onClick: () => show(place + 1) }, icon("m8 4 6 6-6 6")),
        el("button", { type: "button", class: "close", "aria-label": "Close the photo", onClick: () => dialog.close() }, icon("m5 5 10 10M15 5 5 15")),
      ),
      picture,
    )
  );
  /** @param {number} to */
  function show(to) {
    place = (to + photos.length) % photos.length;
    const photo = photos[place];
    words.textContent = [photos.length > 1 && `${place + 1} of ${photos.length}`, photo.addedBy?.displayName, moment(photo.addedAt)].filter(Boolean).join(" · ");
    picture.replaceChildren(el("img", { src: photo.url, alt: `Photo ${place + 1} of ${title}`, width: photo.width, height: photo.height }));
  }
  show(place);
  document.body.append(dialog);
  dialog.showModal();
}

/**
 * Photos that wait to be sent, by incident. One goes at a time: a bad link does not carry two.
 * @param {{ onChange: (id: string) => void, onSent: (id: string) => void }} listeners
 */
export function startUploads({ onChange, onSent }) {
  /** @type {Map<string, Upload[]>} */
  const byIncident = new Map();
  let busy = false;

  async function work() {
    if (busy) return;
    busy = true;
    for (;;) {
      const next = [...byIncident].flatMap(([id, uploads]) => uploads.filter(({ state }) => state === "waiting").map((upload) => ({ id, upload })))[0];
      if (!next) break;
      const { id, upload } = next;
      upload.state = "sending";
      onChange(id);
      try {
        await addPhoto(id, await smaller(upload.file));
        drop(id, upload);
        onSent(id);
      } catch (error) {
        upload.state = "failed";
        upload.why = error instanceof HubError ? error.message : "The file can’t be read as a photo.";
        onChange(id);
      }
    }
    busy = false;
  }

  /** @param {string} id @param {Upload} upload */
  function drop(id, upload) {
    byIncident.set(id, (byIncident.get(id) ?? []).filter((other) => other !== upload));
  }

  return {
    /** @param {string} id @param {Iterable<File>} files */
    add(id, files) {
      const uploads = [...files].map((file) => /** @type {Upload} */ ({ file, state: "waiting", why: "" }));
      byIncident.set(id, [...(byIncident.get(id) ?? []), ...uploads]);
      onChange(id);
      work();
    },
    /** @param {string} id */
    drawn(id) {
      const uploads = byIncident.get(id) ?? [];
      return uploads.length > 0 && el(
        "ul",
        { class: "uploads" },
        ...uploads.map((upload) =>
          el(
            "li",
            { class: upload.state },
            el("span", {}, upload.file.name),
            el("span", { class: "help", role: "status" }, upload.state === "failed" ? upload.why : upload.state === "sending" ? "Sending…" : "Waiting"),
            upload.state === "failed" && el("button", { type: "button", class: "button-plain", onClick: () => { upload.state = "waiting"; onChange(id); work(); } }, "Send again"),
            upload.state === "failed" && el("button", { type: "button", class: "button-plain", onClick: () => { drop(id, upload); onChange(id); } }, "Leave out"),
          ),
        ),
      );
    },
  };
}

/**
 * The photo as it is sent: made smaller where it is large, which leaves its place and camera out as well.
 * @param {File} file
 * @returns {Promise<Blob>}
 */
async function smaller(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
  if (!bitmap) return TYPES.includes(file.type) && file.size <= MOST_BYTES ? file : Promise.reject(new Error("no photo"));
  const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  const sheet = document.createElement("canvas");
  sheet.width = Math.round(bitmap.width * scale);
  sheet.height = Math.round(bitmap.height * scale);
  sheet.getContext("2d")?.drawImage(bitmap, 0, 0, sheet.width, sheet.height);
  bitmap.close();
  const made = await new Promise((/** @type {(blob: Blob | null) => void} */ resolve) => sheet.toBlob(resolve, "image/jpeg", 0.85));
  return made ?? file;
}

/**
 * A field for photos.
 * @param {(files: File[]) => void} onFiles
 * @param {string} words
 */
export function photoField(onFiles, words) {
  const input = /** @type {HTMLInputElement} */ (
    el("input", { type: "file", accept: TYPES.join(","), multiple: true, class: "file", onChange: () => { onFiles([...(input.files ?? [])]); input.value = ""; } })
  );
  return el("label", { class: "button-plain file-button" }, words, input);
}
