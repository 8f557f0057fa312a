// A widget's strokes, shared by its copies on the page: labels, undo, exchange with the kernel.

import { bytesOf, fingerprint, fromRuns, toRuns } from "./bytes.js";
import { clamp } from "./dom.js";
import { BRUSH_SIZES, createHistory, differing, isEmpty } from "./strokes.js";
import { createWand } from "./wand.js";

const QUIET = 1500; // ms without an answer after which the page calls the kernel busy
const KEPT = 8; // paintings of widgets that are gone

/** The paintings of all widgets on this page, so that strokes outlive a kernel. */
const shelf = (globalThis[Symbol.for("mematte-plugin")] ??= {
  records: [],
  events: new EventTarget(),
});

/**
 * One per widget. Its `events`: "labels" (detail: the box), "history", "brush", "connection",
 * "offer", "photo".
 */
export function createPainting(model, signal) {
  const events = new EventTarget();
  const page = Math.random().toString(36).slice(2, 10);
  const painting = { model, events, size: { width: 0, height: 0 }, labels: null, history: null };
  const tell = (name, detail) => events.dispatchEvent(new CustomEvent(name, { detail }));
  Object.assign(painting, { brush: "foreground", brushSize: 40, tell, lost: false, copies: 0 });
  const wand = (painting.wand = createWand(model, painting));
  painting.before = null; // the labels before the stroke that is being drawn

  let count = 0;
  let mark = ""; // of the newest strokes that were sent
  const since = { strokes: 0, run: 0 }; // time of the first unanswered message; 0 for none
  let refused = false; // the offer of older strokes
  const record = {
    manager: model.widget_manager,
    print: "",
    labels: null,
    changed: 0,
    gone: () => painting.lost || painting.copies === 0,
  };

  /** Start over with the model's photo. */
  painting.begin = () => {
    const [height, width] = model.get("_proxy_size");
    painting.size = { width, height };
    painting.labels = new Uint8Array(width * height);
    painting.history = createHistory(painting.labels, painting.size, wand);
    painting.brushSize = clamp(Math.round(Math.max(width, height) / 26), 6, 60);
    mark = "";
    since.strokes = 0;
    record.print = fingerprint(bytesOf(model.get("_photo")));
    record.labels = painting.labels;
    record.changed = 0;
    painting.born = performance.now();
    tell("photo");
    receive();
  };

  /** Take over strokes that came from the kernel: after a reload, or set in Python. */
  function receive() {
    // Until the kernel answers, its strokes are older than the page's, which will win.
    if (since.strokes || (mark && model.get("_mark") === mark)) return;
    const { length } = painting.labels;
    replace(fromRuns(model.get("_strokes"), length) ?? new Uint8Array(length));
  }

  /** Replace all labels, as one step to undo. */
  function replace(labels) {
    const before = painting.labels.slice();
    const box = differing(before, labels, painting.size);
    if (isEmpty(box)) return false;
    painting.labels.set(labels);
    painting.history.add(before);
    if (painting.before) painting.before = labels.slice(); // the current stroke continues on top
    changed(box);
    return true;
  }

  function changed(box) {
    record.changed = performance.now();
    tell("labels", box);
    tell("history");
    tell("offer");
  }

  /** Send the labels to the kernel. */
  function send() {
    mark = `${page}:${++count}`;
    since.strokes ||= performance.now();
    model.set("_mark", mark); // before the strokes, to mark them as the page's own
    model.set("_strokes", toRuns(painting.labels));
    model.save_changes();
  }

  painting.commit = (before, box) => {
    painting.history.add(before);
    changed(box);
    send();
  };
  painting.undo = () => painting.before || step(painting.history.undo());
  painting.redo = () => painting.before || step(painting.history.redo());
  function step(box) {
    if (!box) return;
    changed(box);
    send();
  }
  painting.clear = () => {
    wand.clear();
    if (replace(new Uint8Array(painting.labels.length))) send();
  };
  painting.isEmpty = () => !painting.labels?.some((label) => label !== 0);

  /** Set a trait of the model. */
  painting.set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  painting.run = () => {
    since.run ||= performance.now();
    painting.set("_run", model.get("_run") + 1);
  };
  // Not a trait, which would queue behind others. Also cancels a run that has not arrived yet.
  painting.cancel = () => model.send({ kind: "cancel", run: model.get("_run") });
  painting.setBrush = (name) => {
    painting.brush = name;
    tell("brush");
  };
  painting.setBrushSize = (size) => {
    painting.brushSize = clamp(Math.round(size), BRUSH_SIZES.least, BRUSH_SIZES.most);
    tell("brush");
  };

  // ---- the connection

  /** "" while the kernel answers, otherwise "busy" or "lost". */
  painting.silence = () => {
    if (painting.lost) return "lost";
    const first = Math.min(since.strokes || Infinity, since.run || Infinity, unheard());
    const waited = performance.now() - first;
    return waited > QUIET ? "busy" : "";
  };
  /** When the wand's step was sent that the kernel has not begun to find yet. */
  const unheard = () => (wand.waits && model.get("job") !== "find" ? wand.waits : Infinity);
  painting.owes = () =>
    since.strokes ? "strokes" : since.run ? "run" : unheard() < Infinity ? "wand" : "";
  painting.setLost = (lost) => {
    if (lost === painting.lost) return;
    painting.lost = lost;
    if (!lost && since.strokes) send();
    if (!lost) wand.resend();
    tell("connection");
    shelf.events.dispatchEvent(new Event("change"));
  };
  let disconnected = false;
  const first = model.widget_manager?.kernel?.id;
  /** Whether the kernel was replaced or died; known in Jupyter only. */
  function isGone() {
    const kernel = model.widget_manager?.kernel;
    return Boolean(first) && (kernel?.id !== first || kernel.status === "dead");
  }
  let reported = "";
  const clock = setInterval(() => {
    painting.setLost(disconnected || isGone());
    if (reported === painting.silence()) return;
    reported = painting.silence();
    tell("connection");
  }, 250);

  // ---- strokes left by an earlier widget of the same photo

  painting.offer = () => {
    if (refused || !painting.isEmpty()) return null;
    const fits = (other) =>
      other !== record &&
      other.gone() &&
      other.manager === record.manager &&
      other.print === record.print &&
      other.changed > 0 &&
      other.changed < painting.born &&
      other.labels.some((label) => label !== 0);
    return shelf.records.filter(fits).sort((a, b) => b.changed - a.changed)[0] ?? null;
  };
  painting.restore = () => {
    const offer = painting.offer();
    if (offer && replace(offer.labels.slice())) send();
  };
  painting.refuse = () => {
    refused = true;
    tell("offer");
  };
  painting.shown = (by) => {
    painting.copies += by;
    shelf.events.dispatchEvent(new Event("change"));
  };
  shelf.records.push(record);
  const gone = shelf.records.filter((other) => other.gone() && other.changed > 0);
  for (const old of gone.slice(0, -KEPT)) shelf.records.splice(shelf.records.indexOf(old), 1);
  const offers = () => tell("offer");
  shelf.events.addEventListener("change", offers);

  model.on("change:_photo", () => painting.begin());
  model.on("change:_strokes", () => receive());
  model.on("change:_mark", () => receive());
  model.on("change:_seen", () => {
    if (model.get("_seen") !== mark) return;
    since.strokes = 0;
    tell("seen");
  });
  model.on("change:_ran", () => {
    since.run = 0;
  });
  model.on("destroy", () => {
    disconnected = true;
    painting.setLost(true);
  });
  /** Only the full model knows whether its comm is alive. */
  async function ask() {
    const whole = await model.widget_manager?.get_model?.(model.get("_id"));
    disconnected = whole?.comm_live === false;
    painting.setLost(disconnected || isGone());
  }
  const connection = () => ask().catch(() => {}); // not in this host
  model.on("comm_live_update", connection);
  signal.addEventListener("abort", () => {
    clearInterval(clock);
    if (!record.changed) shelf.records.splice(shelf.records.indexOf(record), 1);
    shelf.events.removeEventListener("change", offers);
  });
  painting.begin();
  connection();
  return painting;
}
