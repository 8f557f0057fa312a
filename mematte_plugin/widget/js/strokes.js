// Strokes as labels, one byte per pixel of the proxy, and their undo.

import { fromRuns, toRuns } from "./bytes.js";
import { clamp, packed } from "./dom.js";

/** The brushes; label is mematte_plugin.Stroke, colour RGB. */
export const BRUSHES = [
  { name: "foreground", label: 3, title: "Subject", key: "1", colour: [30, 136, 255] },
  { name: "unknown", label: 2, title: "Unsure", key: "2", colour: [255, 214, 10] },
  { name: "background", label: 1, title: "Background", key: "3", colour: [255, 40, 90] },
  { name: "eraser", label: 0, title: "Eraser", key: "4", colour: null },
];
export const BRUSH_HINTS = {
  foreground: "Subject: what to keep",
  unknown: "Unsure: hair, fur, glass, soft edges; the model decides there",
  background: "Background: what to remove",
  eraser: "Eraser: back to unpainted",
};
export const BRUSH_SIZES = { least: 1, most: 240 }; // diameter, pixels of the proxy

export const STROKE_COLOURS = new Uint32Array(256); // by label; 0 stays transparent
for (const { label, colour } of BRUSHES) if (colour) STROKE_COLOURS[label] = packed(colour);

/** A rectangle that grows: left, top, right, bottom; right and bottom are outside of it. */
export const emptyBox = () => ({
  left: Infinity,
  top: Infinity,
  right: -Infinity,
  bottom: -Infinity,
});
export const isEmpty = (box) => box.right <= box.left || box.bottom <= box.top;
export function grow(box, other) {
  box.left = Math.min(box.left, other.left);
  box.top = Math.min(box.top, other.top);
  box.right = Math.max(box.right, other.right);
  box.bottom = Math.max(box.bottom, other.bottom);
}

/**
 * Label every pixel whose centre is within `radius` of the line from a to b, which are in pixels.
 * Returns the box that may have changed.
 */
export function drawSegment(labels, size, a, b, radius, label) {
  const reach = Math.max(radius, 0.5); // even the smallest brush hits its pixel
  const box = {
    left: clamp(Math.floor(Math.min(a.x, b.x) - reach), 0, size.width),
    top: clamp(Math.floor(Math.min(a.y, b.y) - reach), 0, size.height),
    right: clamp(Math.ceil(Math.max(a.x, b.x) + reach), 0, size.width),
    bottom: clamp(Math.ceil(Math.max(a.y, b.y) + reach), 0, size.height),
  };
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const length2 = dx * dx + dy * dy;
  const reach2 = reach * reach;
  for (let row = box.top; row < box.bottom; row++) {
    const y = row + 0.5 - a.y;
    for (let column = box.left; column < box.right; column++) {
      const x = column + 0.5 - a.x;
      const along = length2 ? clamp((x * dx + y * dy) / length2, 0, 1) : 0;
      const offX = x - along * dx;
      const offY = y - along * dy;
      if (offX * offX + offY * offY <= reach2) labels[row * size.width + column] = label;
    }
  }
  return box;
}

/** The box in which two labellings differ. */
export function differing(one, other, { width, height }) {
  const box = emptyBox();
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++, i++) {
      if (one[i] === other[i]) continue;
      box.left = Math.min(box.left, column);
      box.right = Math.max(box.right, column + 1);
      box.top = Math.min(box.top, row);
      box.bottom = row + 1;
    }
  }
  return box;
}

const STEPS = 200;

/** Undo and redo: each entry is all labels, as runs, or all steps of the wand. */
export function createHistory(labels, size, wand) {
  const done = [];
  const undone = [];
  const swap = (from, to) => {
    if (!from.length) return null;
    const { runs, steps } = from.pop();
    if (steps) {
      to.push({ steps: wand.steps });
      wand.restore(steps);
      return null;
    }
    const before = labels.slice();
    labels.set(fromRuns(runs, labels.length));
    to.push({ runs: toRuns(before) });
    return differing(before, labels, size);
  };
  const add = (entry) => {
    undone.length = 0;
    done.push(entry);
    if (done.length > STEPS) done.shift();
  };
  const drop = (entries, unwanted) =>
    entries.splice(0, entries.length, ...entries.filter((entry) => !unwanted(entry)));
  return {
    /** Remember the labels as they were before a change. */
    add: (before) => add({ runs: toRuns(before) }),
    /** Remember the wand's steps as they were before a change. */
    addSteps: (steps) => add({ steps }),
    /** Steps after these did not count: they leave nothing to undo or redo. */
    refuse(steps) {
      const at = done.findIndex((entry) => entry.steps === steps);
      if (at >= 0) done.push(...done.splice(at).filter((entry) => !entry.steps));
      drop(undone, (entry) => entry.steps);
    },
    /** The wand's entries are of no use any more. */
    forget() {
      drop(done, (entry) => entry.steps);
      drop(undone, (entry) => entry.steps);
    },
    undo: () => swap(done, undone),
    redo: () => swap(undone, done),
    canUndo: () => done.length > 0,
    canRedo: () => undone.length > 0,
  };
}
