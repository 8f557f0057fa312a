// Pointer, wheel and touch on the canvas: painting, panning, pinching.

import { clamp } from "./dom.js";
import { BRUSHES, drawSegment, emptyBox, grow, isEmpty } from "./strokes.js";
import { beginWand } from "./wand.js";

const LINE = 16; // pixels of a wheel's line
const DAB = 300; // ms: a shorter stroke before the second finger of a pinch is dropped

/** Follow pointers on the canvas. Painting works in every view. */
export function followPointers({ viewport, painting, signal, followed }) {
  const { canvas, cursor } = viewport;
  const down = new Map(); // pointers that touch the canvas, by id
  let stroke = null;
  let aim = null; // of the wand
  let grip = null; // of a pan or pinch: where it began
  const state = { space: false };
  const on = (name, heard, more) => canvas.addEventListener(name, heard, { signal, ...more });

  // ---- the wand

  const share = (event) => {
    const { x, y } = viewport.pointAt(event);
    return [x / painting.size.width, y / painting.size.height];
  };
  function endAim(event, keep) {
    const ended = aim;
    aim = null;
    ended?.end(event, keep);
  }

  // ---- strokes

  function begin(event) {
    const brush = BRUSHES.find(({ name }) => name === painting.brush);
    const { labels } = painting;
    painting.before = labels.slice();
    stroke = {
      pointer: event.pointerId,
      began: performance.now(),
      labels,
      label: brush.label,
      box: emptyBox(),
      last: viewport.pointAt(event),
    };
    extend(stroke.last);
  }

  function extend(point) {
    if (stroke.labels !== painting.labels) return; // another photo was opened meanwhile
    const radius = painting.brushSize / 2;
    const box = drawSegment(stroke.labels, painting.size, stroke.last, point, radius, stroke.label);
    stroke.last = point;
    if (isEmpty(box)) return;
    grow(stroke.box, box);
    painting.tell("labels", box);
  }

  function finish(keep) {
    const ended = stroke;
    const { before } = painting;
    stroke = painting.before = null;
    if (!ended || isEmpty(ended.box) || ended.labels !== painting.labels) return;
    if (keep) painting.commit(before, ended.box);
    else {
      ended.labels.set(before);
      painting.tell("labels", ended.box);
    }
  }

  // ---- pan and pinch

  function hold() {
    const points = [...down.values()];
    const [a, b = a] = points;
    grip = {
      x: (a.x + b.x) / 2,
      y: (a.y + b.y) / 2,
      spread: Math.hypot(a.x - b.x, a.y - b.y),
    };
  }

  function drag() {
    const [a, b = a] = [...down.values()];
    const x = (a.x + b.x) / 2;
    const y = (a.y + b.y) / 2;
    if (grip.spread && a !== b) {
      const spread = Math.hypot(a.x - b.x, a.y - b.y);
      viewport.zoomTo((viewport.zoom * spread) / grip.spread, x, y);
    }
    viewport.moveTo(viewport.x + x - grip.x, viewport.y + y - grip.y);
    hold();
  }

  const place = (event) => {
    const { left, top } = viewport.pointAt(event);
    return { x: left, y: top };
  };

  // ---- events

  on("pointerdown", (event) => {
    if (event.button === 2) return;
    event.preventDefault(); // no selection, no scrolling by the middle button
    canvas.focus({ preventScroll: true });
    capture(event);
    down.set(event.pointerId, place(event));
    const pans = event.button === 1 || state.space;
    if (event.pointerType === "touch" && down.size === 2) {
      endAim(event, false);
      finish(stroke && performance.now() - stroke.began > DAB);
      hold();
    } else if (pans) hold();
    else if (down.size === 1 && painting.brush === "wand")
      aim = beginWand(painting.wand, event, share);
    else if (down.size === 1) begin(event);
    show(event);
  });

  on("pointermove", (event) => {
    show(event);
    if (!down.has(event.pointerId)) return;
    down.set(event.pointerId, place(event));
    if (grip) drag();
    else if (aim?.pointer === event.pointerId) aim.move(event);
    else if (stroke?.pointer === event.pointerId) {
      const passed = event.getCoalescedEvents?.() ?? [];
      for (const one of passed.length ? passed : [event]) extend(viewport.pointAt(one));
    }
  });

  const release = (event) => {
    if (!down.delete(event.pointerId)) return;
    if (stroke?.pointer === event.pointerId) finish(true);
    if (aim?.pointer === event.pointerId) endAim(event, event.type === "pointerup");
    grip = null;
    if (down.size) hold(); // the other finger goes on panning
    if (event.pointerType === "touch") hide();
  };
  on("pointerup", release);
  on("pointercancel", release);
  on("lostpointercapture", release);
  on("pointerleave", hide);

  on(
    "wheel",
    (event) => {
      const { left, top } = viewport.pointAt(event);
      const delta = event.deltaY * (event.deltaMode === 1 ? LINE : 1);
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        viewport.zoomTo(viewport.zoom * Math.exp(-clamp(delta, -60, 60) / 120), left, top);
      } else if (painting.brush !== "wand" && canvas.getRootNode().activeElement === canvas) {
        event.preventDefault();
        resize(delta < 0 ? 1 : -1);
      }
      show(event);
    },
    { passive: false },
  );

  function resize(direction) {
    const size = painting.brushSize;
    painting.setBrushSize(size + direction * Math.max(1, Math.round(size * 0.12)));
  }

  function capture(event) {
    try {
      canvas.setPointerCapture(event.pointerId);
    } catch {
      // the pointer is gone already
    }
  }

  // ---- the brush's outline

  let seen = null;
  function show(event) {
    seen = { clientX: event.clientX, clientY: event.clientY };
    outline();
  }
  function hide() {
    if (stroke) return;
    seen = null;
    cursor.hidden = true;
  }
  function outline() {
    const pans = Boolean(grip) || state.space;
    const aims = painting.brush === "wand";
    canvas.classList.toggle("mm-aims", aims);
    canvas.classList.toggle("mm-pans", pans);
    canvas.classList.toggle("mm-grips", Boolean(grip));
    cursor.hidden = !seen || pans || aims;
    if (cursor.hidden) return;
    const { left, top } = viewport.pointAt(seen);
    const side = Math.max(4, painting.brushSize * viewport.scale);
    cursor.style.width = cursor.style.height = `${side}px`;
    cursor.style.transform = `translate(${left - side / 2}px, ${top - side / 2}px)`;
    cursor.dataset.brush = painting.brush;
  }
  viewport.events.addEventListener("place", outline, { signal });
  hide();
  followed(["brush"], outline);

  return {
    resize,
    setSpace(space) {
      state.space = space;
      outline();
    },
    outline,
  };
}
