// Assembles a copy of the widget. All copies share the state made by `createShared`.

import { SETTINGS, createOptions, createSettings, createTools, createViewBar } from "./controls.js";
import { button, clamp, icon, make } from "./dom.js";
import { followPointers } from "./gestures.js";
import { createHelp, followKeys, keyTable } from "./keys.js";
import { createPainting } from "./painting.js";
import { createPictures } from "./pictures.js";
import { ZOOM, createViewport } from "./viewport.js";
import { createBadge, createFooter } from "./status.js";
import { VIEWS } from "./views.js";

const CHIP_TITLES = Object.fromEntries(VIEWS.map(({ name, title }) => [name, title]));

/** The line between two views, to be dragged or moved with the arrow keys, and their names. */
function createSplit({ viewport, settings, signal, followed }) {
  const line = make(
    "div",
    {
      className: "mm-split",
      tabIndex: 0,
      role: "slider",
      "aria-label": "Where the two views meet",
      "aria-valuemin": "0",
      "aria-valuemax": "100",
      "aria-orientation": "horizontal",
      "data-mematte": "split",
    },
    make("i", {}, icon("compare")),
  );
  const other = () =>
    settings.set("compare", settings.get("compare") === "photo" ? "trimap" : "photo");
  const left = button("left", "Show the photo or the trimap on this side", other, {
    text: " ",
    kind: "mm-chip mm-side mm-left",
  });
  const right = make("span", { className: "mm-chip mm-side mm-right" });
  const update = () => {
    const shown = viewport.left();
    for (const node of [line, left, right]) node.hidden = !shown;
    if (!shown) return;
    const [from, to] = viewport.span();
    const share = settings.get("split");
    line.style.left = `${from + (to - from) * share}px`;
    line.setAttribute("aria-valuenow", String(Math.round(share * 100)));
    left.firstChild.textContent = CHIP_TITLES[shown];
    left.setAttribute("aria-label", `Left side: ${CHIP_TITLES[shown]}`);
    right.textContent = CHIP_TITLES[viewport.view()];
  };
  const shareAt = (event) => {
    const [from, to] = viewport.span();
    const box = viewport.node.getBoundingClientRect();
    return clamp((event.clientX - box.left - from) / (to - from), 0, 1);
  };
  line.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    line.focus({ preventScroll: true });
    line.setPointerCapture(event.pointerId);
  });
  line.addEventListener("pointermove", (event) => {
    if (line.hasPointerCapture(event.pointerId)) settings.try("split", shareAt(event));
  });
  line.addEventListener("lostpointercapture", () => settings.set("split", settings.get("split")));
  line.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    settings.set("split", clamp(settings.get("split") + step, 0, 1));
  });
  viewport.events.addEventListener("place", update, { signal });
  followed(["pictures", ...SETTINGS], update);
  return [line, left, right];
}

function createZoomBar(viewport) {
  const zoom = (hook, title, picture, act) =>
    button(hook, title, act, { picture, kind: "mm-chip" });
  return make(
    "div",
    { className: "mm-zoom", role: "group", "aria-label": "Zoom" },
    zoom("zoom-out", "Zoom out (-)", "minus", () => viewport.zoomTo(viewport.zoom / ZOOM.step)),
    zoom("zoom-fit", "Whole photo (0)", "fit", () => viewport.fit()),
    zoom("zoom-in", "Zoom in (+)", "plus", () => viewport.zoomTo(viewport.zoom * ZOOM.step)),
  );
}

const OTHER_KEYS = [
  [["wheel"], "Brush size"],
  [["alt", "click"], "Wand: take away"],
  [["space"], "Hold and drag to pan"],
];

function renderCopy({ model, el, shared }) {
  const controller = new AbortController();
  const { signal } = controller;
  const { painting, pictures, settings } = shared;
  /** Call `update` now and after each of these events, a trait's name or one of the painting's. */
  const followed = (names, update) => {
    for (const name of names) painting.events.addEventListener(name, update, { signal });
    update();
  };
  const root = make("div", {
    className: "mm-root",
    "data-mematte": "widget",
    "data-lm-suppress-shortcuts": "true",
    role: "group",
    "aria-label": "Matting: find or paint the subject, compute the matte",
  });
  const viewport = createViewport({ painting, pictures, settings, signal, followed });
  const parts = { model, painting, pictures, settings, signal, followed, root, viewport };
  const gestures = followPointers(parts);
  const help = createHelp(OTHER_KEYS);
  const table = keyTable({ ...parts, gestures, help });
  help.fill(table);
  followKeys({ root, canvas: viewport.canvas, table, gestures, signal });
  viewport.node.append(
    ...createSplit(parts),
    createBadge(parts),
    make("div", { className: "mm-corner" }, createZoomBar(viewport), help.opener),
    help.node,
  );
  const options = make(
    "details",
    { className: "mm-options", open: true },
    make("summary", { textContent: "Trimap and model" }),
    make("div", { className: "mm-fields" }, ...createOptions(parts)),
  );
  root.append(
    createTools(parts),
    make(
      "div",
      { className: "mm-main" },
      make("div", { className: "mm-work" }, viewport.node, createViewBar(parts)),
      options,
    ),
    createFooter(parts),
  );
  el.classList.add("mematte");
  el.replaceChildren(root);
  painting.shown(1);
  return () => {
    controller.abort();
    painting.shown(-1);
  };
}

const TRAITS = [
  ...["inside", "outside", "unpainted", "has_base", "band_counts", "retention", "model", "models"],
  ...["levels_black", "levels_white", "choke", "feather", "despill"],
  ...["live", "status", "job", "message", "notes", "progress", "stage", "blocking"],
];

/** Made once per widget, for all of its copies. */
function createShared(model) {
  const controller = new AbortController();
  const painting = createPainting(model, controller.signal);
  for (const name of [...TRAITS, ...SETTINGS]) {
    model.on(`change:${name}`, () => painting.tell(name));
  }
  const settings = createSettings(model, painting.tell);
  const pictures = createPictures(model, painting);
  return { settings, painting, pictures, end: () => controller.abort() };
}

export default () => {
  let shared = null;
  return {
    initialize({ model }) {
      shared = createShared(model);
      return () => shared.end();
    },
    render({ model, el }) {
      shared ??= createShared(model);
      return renderCopy({ model, el, shared });
    },
  };
};
