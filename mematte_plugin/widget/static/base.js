// What all parts share. The files of this folder are joined into one module, in the order that
// painter.py names; nothing is imported and nothing comes from the network.

/** The brushes; label is mematte_plugin.Stroke, colour RGB. */
const BRUSHES = [
  { name: "foreground", label: 3, title: "Subject", key: "1", colour: [30, 136, 255] },
  { name: "unknown", label: 2, title: "Unsure", key: "2", colour: [255, 214, 10] },
  { name: "background", label: 1, title: "Background", key: "3", colour: [255, 40, 90] },
  { name: "eraser", label: 0, title: "Eraser", key: "4", colour: null },
];
const BRUSH_HINTS = {
  foreground: "Subject: what is to be kept",
  unknown: "Unsure: hair, fur, glass, soft edges; the model decides there",
  background: "Background: what is to go",
  eraser: "Eraser: back to unpainted",
};
const VIEWS = [
  { name: "photo", title: "Photo", hint: "The photo with your strokes" },
  { name: "trimap", title: "Trimap", hint: "Subject clear, unsure yellow, background dark" },
  { name: "alpha", title: "Alpha", hint: "The opacity that was computed" },
  { name: "cutout", title: "Cut-out", hint: "The subject on a checkerboard or a colour" },
  { name: "routing", title: "Routing", hint: "Which tokens each block sent through attention" },
];
const NEEDS_RESULT = new Set(["alpha", "cutout", "routing"]);
const BRUSH_SIZES = { least: 1, most: 240 }; // diameter, pixels of the proxy

const ICONS = {
  undo: "M6 3 3 6l3 3M3 6h6.5a3.5 3.5 0 0 1 0 7H6",
  redo: "m10 3 3 3-3 3m3-3H6.5a3.5 3.5 0 0 0 0 7H10",
  clear: "M3 4.5h10M6.5 4.5V3h3v1.5M4.5 4.5 5 13h6l.5-8.5M7 7v3.5M9 7v3.5",
  compare: "M8 2.5v11M5.5 5 2.5 8l3 3M10.5 5l3 3-3 3",
  run: "M5 3.2v9.6L12.5 8z",
  stop: "M4.5 4.5h7v7h-7z",
  minus: "M4 8h8",
  plus: "M4 8h8M8 4v8",
  fit: "M3 6V3h3M10 3h3v3M13 10v3h-3M6 13H3v-3",
  eraser: "m7 13-4-4 6-6 4 4-6 6zm-2-6 4 4M7 13h6",
  close: "m4.5 4.5 7 7m0-7-7 7",
};

/** An element: properties with a dash or "role" are attributes, on… are listeners. */
function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for")
      node.setAttribute(name, value);
    else node[name] = value;
  }
  // JupyterLab asks the focused element itself before its parents whether keys are the notebook's.
  if (node.matches("button, input, select, canvas, summary, [tabindex]")) {
    node.setAttribute("data-lm-suppress-shortcuts", "true");
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `mm-icon mm-icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button with an icon, a text or both; `hook` is its data-mematte. */
function button(hook, { title, text, picture, onclick, kind = "", ...rest }) {
  const node = make(
    "button",
    {
      type: "button",
      className: `mm-button ${kind}`,
      title,
      onclick,
      "data-mematte": hook,
      ...rest,
    },
    picture ? icon(picture) : null,
    text ? make("span", { textContent: text }) : null,
  );
  if (!text) node.setAttribute("aria-label", title);
  return node;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/** The four bytes of a colour as ImageData has them in memory, least significant byte first. */
const packed = ([red, green, blue], opacity = 255) =>
  ((opacity << 24) | (blue << 16) | (green << 8) | red) >>> 0;

const STROKE_COLOURS = new Uint32Array(256); // by label; 0 stays transparent
for (const { label, colour } of BRUSHES) if (colour) STROKE_COLOURS[label] = packed(colour);

// ---- bytes -------------------------------------------------------------------------------------

/** What the kernel sent, a DataView or typed array, as Uint8Array; null where there is nothing. */
function bytesOf(value) {
  if (!value || !value.byteLength) return null;
  return new Uint8Array(value.buffer ?? value, value.byteOffset ?? 0, value.byteLength);
}

/** The bytes of a value that travels as gzip, or null where it is empty or not of this length. */
async function unzipped(value, length) {
  const bytes = bytesOf(value);
  if (!bytes) return null;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const plain = new Uint8Array(await new Response(stream).arrayBuffer());
  return length === undefined || plain.length === length ? plain : null;
}

/**
 * Labels as runs: 32 bits each, little-endian, the label lowest, above it how many pixels have it.
 * Not gzip: it takes longer than all else between a stroke and its trimap.
 */
function toRuns(labels) {
  let runs = new Uint32Array(4096);
  let count = 0;
  for (let i = 0; i < labels.length;) {
    const label = labels[i];
    const start = i;
    while (i < labels.length && labels[i] === label) i++;
    if (count === runs.length) {
      const more = new Uint32Array(2 * count);
      more.set(runs);
      runs = more;
    }
    runs[count++] = ((i - start) << 8) | label;
  }
  return new Uint8Array(runs.buffer.slice(0, 4 * count));
}

/** Labels from runs, or null where there are none or they are not of this length. */
function fromRuns(value, length) {
  const bytes = bytesOf(value);
  if (!bytes || bytes.length % 4) return null;
  const labels = new Uint8Array(length);
  let end = 0;
  for (const run of new Uint32Array(bytes.slice().buffer)) {
    const start = end;
    end += run >>> 8;
    labels.fill(run & 255, start, end);
  }
  return end === length ? labels : null;
}

/** A text that two different photographs do not share (FNV-1a; crypto.subtle is not everywhere). */
function fingerprint(bytes) {
  let hash = 0x811c9dc5;
  for (const byte of bytes ?? []) hash = Math.imul(hash ^ byte, 0x01000193);
  return `${bytes?.length ?? 0}-${(hash >>> 0).toString(16)}`;
}
