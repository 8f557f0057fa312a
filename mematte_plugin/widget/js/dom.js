// Elements, icons and buttons.

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
  wand: "m3 13 6.5-6.5M11 2v2.5M11 7v2M7.5 5.5H10M12.5 5.5H14M13.2 3.3l-.9.9M8.8 3.3l.9.9M13.2 7.7l-.9-.9",
  close: "m4.5 4.5 7 7m0-7-7 7",
};

/** An element: properties with a dash or "role" are attributes, on… are listeners. */
export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for")
      node.setAttribute(name, value);
    else node[name] = value;
  }
  // JupyterLab looks for this at the focused element before its parents.
  if (node.matches("button, input, select, canvas, summary, [tabindex]")) {
    node.setAttribute("data-lm-suppress-shortcuts", "true");
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function icon(name) {
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

/**
 * A button with an icon, a text or both.
 * @param {string} hook its data-mematte
 * @param {string} title
 * @param {(event: Event) => unknown} onclick
 * @param {{text?: string, picture?: string, kind?: string, [attribute: string]: unknown}} [look]
 */
export function button(hook, title, onclick, { text, picture, kind = "", ...rest } = {}) {
  const node = make(
    "button",
    { type: "button", className: `mm-button ${kind}`, title, onclick, "data-mematte": hook },
    picture ? icon(picture) : null,
    text ? make("span", { textContent: text }) : null,
  );
  if (!text) node.setAttribute("aria-label", title);
  for (const [name, value] of Object.entries(rest)) node.setAttribute(name, String(value));
  return node;
}

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** A canvas; `fill` sets its pixels, 32 bits each, as `packed` makes them. */
export function canvasOf(width, height, fill = null) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  if (fill) {
    const image = new ImageData(width, height);
    fill(new Uint32Array(image.data.buffer));
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
  return canvas;
}

/**
 * A colour as ImageData has it in memory, least significant byte first.
 * @param {number[]} colour red, green, blue
 */
export const packed = ([red, green, blue], opacity = 255) =>
  ((opacity << 24) | (blue << 16) | (green << 8) | red) >>> 0;
