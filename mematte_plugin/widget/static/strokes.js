// Strokes as labels, one byte per pixel of the proxy, and what undo needs.

/** A rectangle that grows: left, top, right, bottom; right and bottom are outside of it. */
const emptyBox = () => ({ left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity });
const isEmpty = (box) => box.right <= box.left || box.bottom <= box.top;
function grow(box, other) {
  box.left = Math.min(box.left, other.left);
  box.top = Math.min(box.top, other.top);
  box.right = Math.max(box.right, other.right);
  box.bottom = Math.max(box.bottom, other.bottom);
}

/**
 * Label every pixel whose centre is within `radius` of the line from a to b, which are in pixels.
 * Returns the box that may have changed.
 */
function drawSegment(labels, size, a, b, radius, label) {
  const reach = Math.max(radius, 0.5); // the smallest brush still hits the pixel it is on
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

/** A copy of the labels in a box. */
function cutOut(labels, size, box) {
  const width = box.right - box.left;
  const part = new Uint8Array(width * (box.bottom - box.top));
  for (let row = box.top; row < box.bottom; row++) {
    const start = row * size.width + box.left;
    part.set(labels.subarray(start, start + width), (row - box.top) * width);
  }
  return part;
}

function putBack(labels, size, box, part) {
  const width = box.right - box.left;
  for (let row = box.top; row < box.bottom; row++) {
    const from = (row - box.top) * width;
    labels.set(part.subarray(from, from + width), row * size.width + box.left);
  }
}

const HISTORY = { steps: 200, bytes: 96 * 2 ** 20 };

/** Undo and redo of changes of `labels`, each kept as what was in its box before. */
function createHistory(labels, size) {
  const undone = [];
  const done = [];
  let bytes = 0;
  const swap = (from, to) => {
    const step = from.pop();
    if (!step) return null;
    const now = cutOut(labels, size, step.box);
    putBack(labels, size, step.box, step.part);
    to.push({ box: step.box, part: now });
    return step.box;
  };
  return {
    /** Remember a change: all labels as they were before, and the box in which they differ. */
    add(before, box) {
      if (isEmpty(box)) return;
      const part = cutOut(before, size, box);
      for (const step of undone) bytes -= step.part.length;
      undone.length = 0;
      done.push({ box, part });
      bytes += part.length;
      while (done.length > HISTORY.steps || (bytes > HISTORY.bytes && done.length > 1)) {
        bytes -= done.shift().part.length;
      }
    },
    undo: () => swap(done, undone),
    redo: () => swap(undone, done),
    canUndo: () => done.length > 0,
    canRedo: () => undone.length > 0,
  };
}
