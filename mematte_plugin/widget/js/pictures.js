// The pictures that the views are drawn from, at the proxy's size.

import { bytesOf, fromRuns, unzipped } from "./bytes.js";
import { canvasOf, packed } from "./dom.js";
import { STROKE_COLOURS } from "./strokes.js";

const WASH = { background: [12, 14, 18], unknown: [255, 214, 10], edge: [255, 250, 225] };
const WASH_OPACITY = { background: 128, unknown: 92, edge: 235 };
const ROUTING = { kept: packed([255, 150, 30], 56), skipped: packed([0, 0, 0], 120) };

/**
 * One per widget. `events` of the painting: "pictures", after one of them has changed.
 *
 * photo, wash (the trimap), strokes, fresh (strokes since the result), mask (white, its opacity the
 * alpha), cutout, routing: [{kept, skipped}] per block; null if there is none yet.
 */
export function createPictures(model, painting) {
  const pictures = {
    photo: null,
    wash: null,
    mask: null,
    cutout: null,
    routing: [],
    scale: [1, 1],
  };
  const turns = {}; // by kind, to drop pictures that arrive late
  let colours = null;
  let ground = null; // the labels that the result belongs to

  /** Make a picture; the newest wins. On failure the old one stays. */
  async function renew(kind, work) {
    const turn = (turns[kind] = (turns[kind] ?? 0) + 1);
    try {
      const use = await work();
      if (turn !== turns[kind]) return;
      use();
      painting.tell("pictures", kind);
    } catch (error) {
      console.error(`mematte-plugin: ${kind} cannot be shown`, error);
    }
  }

  async function bitmap(value) {
    const bytes = bytesOf(value);
    return bytes ? createImageBitmap(new Blob([bytes], { type: "image/jpeg" })) : null;
  }

  const readers = {
    photo: async () => {
      const photo = await bitmap(model.get("_photo"));
      return () => {
        pictures.photo = photo;
      };
    },
    trimap: async () => {
      const { size } = painting;
      const trimap = fromRuns(model.get("_trimap"), size.width * size.height);
      return () => {
        pictures.wash = trimap && wash(trimap, size);
      };
    },
    result: async () => {
      const { size } = painting;
      const result = model.get("_result");
      const alpha = await unzipped(result.alpha, size.width * size.height);
      const found = await bitmap(result.colours);
      const bits = await unzipped(result.routing);
      return () => {
        pictures.mask = alpha && whiteWith(alpha, size);
        colours = found;
        pictures.routing = bits ? routingMaps(bits, result.grids) : [];
        // The grid starts in the upper left corner and may reach beyond the picture.
        pictures.scale = [size.width / result.width, size.height / result.height];
        compose();
        follow();
      };
    },
  };

  /** The cut-out: clean colours within the alpha. */
  function compose() {
    if (!pictures.mask || !colours) {
      pictures.cutout = null;
      return;
    }
    const canvas = canvasOf(pictures.mask.width, pictures.mask.height);
    const context = canvas.getContext("2d");
    context.drawImage(colours, 0, 0, canvas.width, canvas.height);
    context.globalCompositeOperation = "destination-in";
    context.drawImage(pictures.mask, 0, 0);
    pictures.cutout = canvas;
  }

  /** Draw the strokes in a box; those newer than the result are fresh. */
  function paintBox(box) {
    const { labels, size } = painting;
    const width = Math.min(box.right, size.width) - box.left;
    const height = Math.min(box.bottom, size.height) - box.top;
    if (width <= 0 || height <= 0) return;
    const strokes = new ImageData(width, height);
    const fresh = new ImageData(width, height);
    const strokePixels = new Uint32Array(strokes.data.buffer);
    const freshPixels = new Uint32Array(fresh.data.buffer);
    for (let row = 0, to = 0; row < height; row++) {
      let from = (box.top + row) * size.width + box.left;
      for (let column = 0; column < width; column++, to++, from++) {
        const colour = STROKE_COLOURS[labels[from]];
        strokePixels[to] = colour;
        if (!ground || ground[from] !== labels[from]) freshPixels[to] = colour;
      }
    }
    pictures.strokes.getContext("2d").putImageData(strokes, box.left, box.top);
    pictures.fresh.getContext("2d").putImageData(fresh, box.left, box.top);
  }
  pictures.paintBox = paintBox;

  const whole = () => ({
    left: 0,
    top: 0,
    right: painting.size.width,
    bottom: painting.size.height,
  });
  function begin() {
    const { width, height } = painting.size;
    pictures.strokes = canvasOf(width, height);
    pictures.fresh = canvasOf(width, height);
    ground = null;
    renew("photo", readers.photo);
    renew("trimap", readers.trimap);
    renew("result", readers.result);
    paintBox(whole());
  }

  /** A current result covers all strokes. */
  function follow() {
    if (!model.get("current") || painting.owes() === "strokes") return;
    ground = painting.labels.slice();
    paintBox(whole());
  }

  painting.events.addEventListener("photo", begin);
  painting.events.addEventListener("labels", (event) => {
    paintBox(event.detail);
    painting.tell("pictures", "strokes");
  });
  model.on("change:_trimap", () => renew("trimap", readers.trimap));
  model.on("change:_result", () => renew("result", readers.result));
  model.on("change:current", () => {
    follow();
    painting.tell("pictures", "current");
  });
  begin();
  return pictures;
}

/** A trimap of 0, 128 and 255 as a veil: background dark, unknown yellow with a light rim. */
function wash(trimap, { width, height }) {
  const background = packed(WASH.background, WASH_OPACITY.background);
  const unknown = packed(WASH.unknown, WASH_OPACITY.unknown);
  const edge = packed(WASH.edge, WASH_OPACITY.edge);
  const isRim = (i, column, row) =>
    (column > 0 && trimap[i - 1] !== trimap[i]) ||
    (column < width - 1 && trimap[i + 1] !== trimap[i]) ||
    (row > 0 && trimap[i - width] !== trimap[i]) ||
    (row < height - 1 && trimap[i + width] !== trimap[i]);
  return canvasOf(width, height, (pixels) => {
    for (let row = 0, i = 0; row < height; row++) {
      for (let column = 0; column < width; column++, i++) {
        if (trimap[i] === 0) pixels[i] = background;
        else if (trimap[i] !== 255) pixels[i] = isRim(i, column, row) ? edge : unknown;
      }
    }
  });
}

const whiteWith = (alpha, { width, height }) =>
  canvasOf(width, height, (pixels) => {
    for (let i = 0; i < alpha.length; i++) pixels[i] = (alpha[i] << 24) | 0xffffff;
  });

/** Small pictures per block, one pixel per token. */
function routingMaps(bits, grids) {
  let start = 0;
  return grids.map(([height, width]) => {
    const map = bits.subarray(start, (start += height * width));
    const paint = (wanted, colour) =>
      canvasOf(width, height, (pixels) => {
        for (let i = 0; i < map.length; i++) if (Boolean(map[i]) === wanted) pixels[i] = colour;
      });
    return {
      kept: paint(true, ROUTING.kept),
      skipped: paint(false, ROUTING.skipped),
      grey: paint(false, packed([128, 128, 128])),
    };
  });
}
