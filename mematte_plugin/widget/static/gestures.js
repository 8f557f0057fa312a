// Pointer, wheel and touch on the canvas: painting, panning, pinching.

const LINE = 16; // pixels of a wheel's line
const DAB = 300; // ms: what a finger painted before a second one came was not meant

/** Listens on the stage's canvas. Painting is allowed in every view. */
function followPointers({ stage, painting, signal }) {
  const { canvas, cursor } = stage;
  const down = new Map(); // pointers that touch the canvas, by id
  let stroke = null;
  let grip = null; // of a pan or pinch: where it began
  const state = { space: false };
  const options = { signal };
  const on = (name, heard, more) => canvas.addEventListener(name, heard, { signal, ...more });

  // ---- strokes

  function begin(event) {
    const brush = BRUSHES.find(({ name }) => name === painting.brush);
    const erases = event.pointerType === "pen" && (event.button === 5 || event.buttons & 32);
    const { labels } = painting;
    painting.before = labels.slice();
    stroke = {
      pointer: event.pointerId,
      kind: event.pointerType,
      began: performance.now(),
      labels,
      label: erases ? 0 : brush.label,
      box: emptyBox(),
      last: stage.pointAt(event),
    };
    extend(stroke.last);
  }

  function extend(point) {
    if (stroke.labels !== painting.labels) return; // another photo has been opened meanwhile
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
      left: stage.x,
      top: stage.y,
      zoom: stage.zoom,
    };
  }

  function drag() {
    const [a, b = a] = [...down.values()];
    const x = (a.x + b.x) / 2;
    const y = (a.y + b.y) / 2;
    if (grip.spread && a !== b) {
      const spread = Math.hypot(a.x - b.x, a.y - b.y);
      stage.zoomTo((stage.zoom * spread) / grip.spread, x, y);
    }
    stage.moveTo(stage.x + x - grip.x, stage.y + y - grip.y);
    hold();
  }

  const place = (event) => {
    const { left, top } = stage.pointAt(event);
    return { x: left, y: top };
  };

  // ---- events

  on("pointerdown", (event) => {
    const palm = event.pointerType === "touch" && stroke?.kind === "pen";
    if (event.button === 2 || palm) return;
    event.preventDefault(); // no text is marked, no scrolling by the middle button
    canvas.focus({ preventScroll: true });
    capture(event);
    down.set(event.pointerId, place(event));
    const pans = event.button === 1 || state.space;
    if (event.pointerType === "touch" && down.size === 2) {
      finish(stroke && performance.now() - stroke.began > DAB);
      hold();
    } else if (pans) hold();
    else if (down.size === 1) begin(event);
    show(event);
  });

  on("pointermove", (event) => {
    show(event);
    if (!down.has(event.pointerId)) return;
    down.set(event.pointerId, place(event));
    if (grip) drag();
    else if (stroke?.pointer === event.pointerId) {
      const passed = event.getCoalescedEvents?.() ?? [];
      for (const one of passed.length ? passed : [event]) extend(stage.pointAt(one));
    }
  });

  const release = (event) => {
    if (!down.delete(event.pointerId)) return;
    if (stroke?.pointer === event.pointerId) finish(true);
    grip = null;
    if (down.size) hold(); // one finger is left of two: it goes on panning
    if (event.pointerType === "touch") hide();
  };
  on("pointerup", release);
  on("pointercancel", release);
  on("lostpointercapture", release);
  on("pointerleave", hide);
  on("contextmenu", (event) => down.size && event.preventDefault());

  on(
    "wheel",
    (event) => {
      const { left, top } = stage.pointAt(event);
      const delta = event.deltaY * (event.deltaMode === 1 ? LINE : 1);
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        stage.zoomTo(stage.zoom * Math.exp(-clamp(delta, -60, 60) / 120), left, top);
      } else if (document.activeElement === canvas || isWithin(canvas)) {
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
      // a pointer that is gone already, or one that a test made
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
    canvas.classList.toggle("mm-pans", pans);
    canvas.classList.toggle("mm-grips", Boolean(grip));
    cursor.hidden = !seen || pans;
    if (cursor.hidden) return;
    const { left, top } = stage.pointAt(seen);
    const side = Math.max(4, painting.brushSize * stage.scale);
    canvas.classList.toggle("mm-fine", side < 10); // or the outline alone is lost in the picture
    cursor.style.width = cursor.style.height = `${side}px`;
    cursor.style.transform = `translate(${left - side / 2}px, ${top - side / 2}px)`;
    cursor.dataset.brush = painting.brush;
  }
  painting.events.addEventListener("brush", outline, options);
  stage.events.addEventListener("place", outline, options);
  hide();

  return {
    resize,
    setSpace(space) {
      state.space = space;
      outline();
    },
    outline,
  };
}

/** Whether the canvas has the focus, also inside of a shadow tree. */
function isWithin(canvas) {
  return canvas.getRootNode().activeElement === canvas;
}
