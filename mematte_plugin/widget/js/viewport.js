// The canvas: drawing, zoom and pan. Gestures are in gestures.js.

import { SETTINGS } from "./controls.js";
import { canvasOf, clamp, make } from "./dom.js";
import { NEEDS_RESULT } from "./views.js";

export const ZOOM = { most: 24, step: 1.25 };
const STROKE_OPACITY = { photo: 0.55, trimap: 0.45, alpha: 0.6, cutout: 0.6, routing: 0.6 };
const WAND_COLOURS = ["rgb(225 35 80)", "rgb(20 150 70)"]; // takes away, adds
const DOT = 6; // radius of a click, CSS pixels
const SQUARE = 8; // of the checkerboard, CSS pixels

/** One per copy of the widget. */
export function createViewport({ painting, pictures, settings, signal, followed }) {
  const canvas = make("canvas", {
    className: "mm-canvas",
    tabIndex: 0,
    role: "application",
    "data-mematte": "canvas",
    "aria-label": "The photo. Click with the wand or paint; press ? for the keys.",
  });
  const cursor = make("div", { className: "mm-cursor", "aria-hidden": "true" });
  const node = make("div", { className: "mm-viewport" }, canvas, cursor);
  const context = canvas.getContext("2d");
  const events = new EventTarget(); // "place": zoomed, panned or resized
  const viewport = {
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
  let centre = null; // the photo's point in the middle, 0 to 1; null shows all of it
  let planned = 0;

  viewport.plan = () => {
    planned ||= requestAnimationFrame(() => {
      planned = 0;
      draw();
    });
  };

  /** Where the photo lies, from the zoom and the size of the viewport. */
  function place() {
    const { width, height } = painting.size;
    if (!width || !viewport.width) return;
    viewport.scale = Math.min(viewport.width / width, viewport.height / height) * viewport.zoom;
    const across = width * viewport.scale;
    const down = height * viewport.scale;
    const [cx, cy] = centre ?? [0.5, 0.5];
    const inside = (position, side, room) =>
      side <= room ? (room - side) / 2 : clamp(position, room - side, 0);
    viewport.x = inside(viewport.width / 2 - cx * across, across, viewport.width);
    viewport.y = inside(viewport.height / 2 - cy * down, down, viewport.height);
    centre = [
      (viewport.width / 2 - viewport.x) / across,
      (viewport.height / 2 - viewport.y) / down,
    ];
    viewport.plan();
    events.dispatchEvent(new Event("place"));
  }

  /** Zoom so that the point of the photo at (x, y), in CSS pixels of the canvas, stays there. */
  viewport.zoomTo = (zoom, x = viewport.width / 2, y = viewport.height / 2) => {
    const px = (x - viewport.x) / viewport.scale;
    const py = (y - viewport.y) / viewport.scale;
    const scale = (viewport.scale / viewport.zoom) * (viewport.zoom = clamp(zoom, 1, ZOOM.most));
    viewport.moveTo(x - px * scale, y - py * scale, scale);
  };
  /** Put the photo's upper left corner at (x, y). */
  viewport.moveTo = (x, y, scale = viewport.scale) => {
    const { width, height } = painting.size;
    centre = [
      (viewport.width / 2 - x) / (width * scale),
      (viewport.height / 2 - y) / (height * scale),
    ];
    place();
  };
  viewport.fit = () => {
    viewport.zoom = 1;
    centre = null;
    place();
  };
  /** The point of the proxy under a pointer. */
  viewport.pointAt = (event) => {
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    return {
      x: (x - viewport.x) / viewport.scale,
      y: (y - viewport.y) / viewport.scale,
      left: x,
      top: y,
    };
  };
  /** Left and right end of what is seen of the photo, CSS pixels. */
  viewport.span = () => [
    Math.max(0, viewport.x),
    Math.min(viewport.width, viewport.x + painting.size.width * viewport.scale),
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
    const ratio = canvas.width / Math.max(1, viewport.width);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!width || !pictures.photo) return;
    const view = viewport.view();
    const left = viewport.left();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingEnabled = viewport.scale < 4; // beyond that, show the pixels
    context.imageSmoothingQuality = "medium"; // "high" takes longer than a frame
    const [from, to] = viewport.span();
    const middle = left ? from + (to - from) * settings.get("split") : from;
    if (left) part(from, middle, left);
    part(middle, to, view);
    drawWand();
  }

  /** The wand's clicks and boxes. */
  function drawWand() {
    const { wand, size } = painting;
    const across = (share) => viewport.x + share * size.width * viewport.scale;
    const down = (share) => viewport.y + share * size.height * viewport.scale;
    context.setLineDash([]);
    const outlined = (colour, width) => {
      for (const [style, more] of [
        ["rgb(0 0 0 / 65%)", 2],
        [colour, 0],
      ]) {
        context.strokeStyle = style;
        context.lineWidth = width + more;
        context.stroke();
      }
    };
    const frame = ([left, top, right, bottom], label) => {
      context.beginPath();
      context.rect(across(left), down(top), across(right) - across(left), down(bottom) - down(top));
      outlined(WAND_COLOURS[label], 1.5);
    };
    const dot = ([x, y], label) => {
      context.beginPath();
      context.arc(across(x), down(y), DOT, 0, 2 * Math.PI);
      context.fillStyle = WAND_COLOURS[label];
      context.fill();
      outlined("#fff", 1.5);
      context.beginPath();
      context.moveTo(across(x) - DOT / 2, down(y));
      context.lineTo(across(x) + DOT / 2, down(y));
      if (label) {
        context.moveTo(across(x), down(y) - DOT / 2);
        context.lineTo(across(x), down(y) + DOT / 2);
      }
      context.strokeStyle = "#fff";
      context.lineWidth = 1.5;
      context.stroke();
    };
    for (const { kind, at, label } of wand.steps) {
      if (kind === "box") frame(at, label);
      else if (kind === "point") dot(at, label);
    }
    if (wand.box) frame(wand.box, 1);
  }

  function part(from, to, view) {
    const { width, height } = painting.size;
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, viewport.height);
    context.clip();
    context.beginPath();
    context.rect(viewport.x, viewport.y, width * viewport.scale, height * viewport.scale);
    context.clip();
    layers[view]();
    context.globalAlpha = STROKE_OPACITY[view];
    paint(NEEDS_RESULT.has(view) ? pictures.fresh : pictures.strokes);
    context.restore();
  }

  function paint(picture) {
    if (!picture) return;
    const { width, height } = painting.size;
    context.drawImage(
      picture,
      viewport.x,
      viewport.y,
      width * viewport.scale,
      height * viewport.scale,
    );
  }

  function paintMap(map, operation = "source-over") {
    const [across, down] = pictures.scale;
    context.save();
    context.imageSmoothingEnabled = false;
    context.globalCompositeOperation = operation;
    const token = 16 * viewport.scale;
    context.drawImage(
      map,
      viewport.x,
      viewport.y,
      map.width * token * across,
      map.height * token * down,
    );
    context.restore();
  }

  function fill(colour) {
    context.fillStyle = colour;
    context.fillRect(0, 0, viewport.width, viewport.height);
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

  /** The view that is drawn; the trimap while there is no result. */
  viewport.view = () => {
    const view = settings.get("view");
    return NEEDS_RESULT.has(view) && !pictures.mask ? "trimap" : view;
  };
  /** What the left side of the comparison shows, or "" without one. */
  viewport.left = () => {
    const left = settings.get("compare");
    if (left === "off" || (!pictures.mask && viewport.view() === left)) return "";
    return viewport.view() === left ? (left === "photo" ? "trimap" : "photo") : left;
  };

  // ---- size

  const resized = () => {
    const box = node.getBoundingClientRect();
    const ratio = globalThis.devicePixelRatio || 1;
    viewport.width = node.clientWidth;
    viewport.height = node.clientHeight;
    canvas.width = Math.max(1, Math.round(viewport.width * ratio));
    canvas.height = Math.max(1, Math.round(viewport.height * ratio));
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
    viewport.fit();
  };
  followed(["photo"], shape);
  followed(["pictures", "wand", ...SETTINGS], viewport.plan);
  return viewport;
}
