// The canvas: what is drawn on it, zoom and pan. Gestures are in gestures.js.

import { canvasOf, clamp, make } from "./dom.js";
import { NEEDS_RESULT } from "./views.js";

export const ZOOM = { most: 24, step: 1.25 };
const STROKE_OPACITY = { photo: 0.55, trimap: 0.45, alpha: 0.6, cutout: 0.6, routing: 0.6 };
const SQUARE = 8; // of the checkerboard, CSS pixels

/** One per view. */
export function createStage({ model, painting, pictures, settings, signal }) {
  const canvas = make("canvas", {
    className: "mm-canvas",
    tabIndex: 0,
    role: "application",
    "data-mematte": "canvas",
    "aria-label": "The photo. Paint with the pointer; press ? for the keys.",
  });
  const cursor = make("div", { className: "mm-cursor", "aria-hidden": "true" });
  const node = make("div", { className: "mm-stage" }, canvas, cursor);
  const context = canvas.getContext("2d");
  const events = new EventTarget(); // "place": zoomed, panned or of another size
  const stage = {
    node,
    canvas,
    cursor,
    events,
    scale: 1,
    zoom: 1,
    x: 0,
    y: 0,
    width: 0,
    height: 0,
  };
  let centre = null; // what is in the middle, in shares of the photo; null while all of it is seen
  let planned = 0;

  stage.plan = () => {
    planned ||= requestAnimationFrame(() => {
      planned = 0;
      draw();
    });
  };

  /** Where the photo lies, from the zoom and the size of the stage. */
  function place() {
    const { width, height } = painting.size;
    if (!width || !stage.width) return;
    stage.scale = Math.min(stage.width / width, stage.height / height) * stage.zoom;
    const across = width * stage.scale;
    const down = height * stage.scale;
    const [cx, cy] = centre ?? [0.5, 0.5];
    const inside = (position, side, room) =>
      side <= room ? (room - side) / 2 : clamp(position, room - side, 0);
    stage.x = inside(stage.width / 2 - cx * across, across, stage.width);
    stage.y = inside(stage.height / 2 - cy * down, down, stage.height);
    centre = [(stage.width / 2 - stage.x) / across, (stage.height / 2 - stage.y) / down];
    stage.plan();
    events.dispatchEvent(new Event("place"));
  }

  /** Zoom so that the point of the photo at (x, y), in CSS pixels of the canvas, stays there. */
  stage.zoomTo = (zoom, x = stage.width / 2, y = stage.height / 2) => {
    const px = (x - stage.x) / stage.scale;
    const py = (y - stage.y) / stage.scale;
    const scale = (stage.scale / stage.zoom) * (stage.zoom = clamp(zoom, 1, ZOOM.most));
    stage.moveTo(x - px * scale, y - py * scale, scale);
  };
  /** Put the photo's upper left corner at (x, y). */
  stage.moveTo = (x, y, scale = stage.scale) => {
    const { width, height } = painting.size;
    centre = [(stage.width / 2 - x) / (width * scale), (stage.height / 2 - y) / (height * scale)];
    place();
  };
  stage.fit = () => {
    stage.zoom = 1;
    centre = null;
    place();
  };
  /** The point of the proxy under a pointer. */
  stage.pointAt = (event) => {
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    return { x: (x - stage.x) / stage.scale, y: (y - stage.y) / stage.scale, left: x, top: y };
  };
  /** Left and right end of what is seen of the photo, CSS pixels. */
  stage.span = () => [
    Math.max(0, stage.x),
    Math.min(stage.width, stage.x + painting.size.width * stage.scale),
  ];

  // ---- drawing

  const layers = {
    photo: () => paint(pictures.photo),
    trimap: () => {
      paint(pictures.photo);
      paint(pictures.wash);
    },
    alpha: () => {
      fill("#000");
      paint(pictures.mask);
    },
    cutout: () => {
      if (settings.get("backdrop") === "checkerboard") checkerboard();
      else fill(settings.get("backdrop"));
      paint(pictures.cutout);
    },
    routing: () => {
      paint(pictures.photo);
      const map = pictures.routing[settings.get("block")];
      if (!map) return;
      paintMap(map.grey, "saturation");
      paintMap(map.skipped);
      paintMap(map.kept);
    },
  };

  function draw() {
    const { width, height } = painting.size;
    const ratio = canvas.width / Math.max(1, stage.width);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!width || !pictures.photo) return;
    const view = stage.view();
    const left = stage.left();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingEnabled = stage.scale < 4; // then pixels are to be seen
    context.imageSmoothingQuality = "medium"; // "high" takes longer than a frame
    const [from, to] = stage.span();
    const middle = left ? from + (to - from) * settings.get("split") : from;
    if (left) part(from, middle, left);
    part(middle, to, view);
  }

  function part(from, to, view) {
    const { width, height } = painting.size;
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, stage.height);
    context.clip();
    context.beginPath();
    context.rect(stage.x, stage.y, width * stage.scale, height * stage.scale);
    context.clip();
    layers[view]();
    context.globalAlpha = STROKE_OPACITY[view];
    paint(NEEDS_RESULT.has(view) ? pictures.fresh : pictures.strokes);
    context.restore();
  }

  function paint(picture) {
    if (!picture) return;
    const { width, height } = painting.size;
    context.drawImage(picture, stage.x, stage.y, width * stage.scale, height * stage.scale);
  }

  function paintMap(map, operation = "source-over") {
    const [across, down] = pictures.scale;
    context.save();
    context.imageSmoothingEnabled = false;
    context.globalCompositeOperation = operation;
    const token = 16 * stage.scale;
    context.drawImage(map, stage.x, stage.y, map.width * token * across, map.height * token * down);
    context.restore();
  }

  function fill(colour) {
    context.fillStyle = colour;
    context.fillRect(0, 0, stage.width, stage.height);
  }

  function checkerboard() {
    const tile = canvasOf(2 * SQUARE, 2 * SQUARE);
    const small = tile.getContext("2d");
    small.fillStyle = "#ccc";
    small.fillRect(0, 0, 2 * SQUARE, 2 * SQUARE);
    small.fillStyle = "#999";
    small.fillRect(SQUARE, 0, SQUARE, SQUARE);
    small.fillRect(0, SQUARE, SQUARE, SQUARE);
    fill(context.createPattern(tile, "repeat"));
  }

  /** The view that is drawn: what there is no result for yet shows the trimap. */
  stage.view = () => {
    const view = settings.get("view");
    return NEEDS_RESULT.has(view) && !pictures.mask ? "trimap" : view;
  };
  /** What the left side of the comparison shows, or "" without one. */
  stage.left = () => {
    const left = settings.get("compare");
    if (left === "off" || (!pictures.mask && stage.view() === left)) return "";
    return stage.view() === left ? (left === "photo" ? "trimap" : "photo") : left;
  };

  // ---- size

  const resized = () => {
    const box = node.getBoundingClientRect();
    const ratio = globalThis.devicePixelRatio || 1;
    stage.width = node.clientWidth;
    stage.height = node.clientHeight;
    canvas.width = Math.max(1, Math.round(stage.width * ratio));
    canvas.height = Math.max(1, Math.round(stage.height * ratio));
    if (box.width) place();
    draw();
  };
  const watch = new ResizeObserver(resized);
  watch.observe(node);
  signal.addEventListener("abort", () => {
    watch.disconnect();
    cancelAnimationFrame(planned);
  });
  const shape = () => {
    const { width, height } = painting.size;
    if (width) node.style.setProperty("--mm-aspect", `${width} / ${height}`);
    stage.fit();
  };
  shape();
  painting.events.addEventListener("photo", shape, { signal });
  painting.events.addEventListener("pictures", stage.plan, { signal });
  settings.events.addEventListener("change", stage.plan, { signal });
  return stage;
}
