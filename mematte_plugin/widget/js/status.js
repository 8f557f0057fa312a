// What the widget reports: message, progress, badge, and strokes of a lost kernel.

import { button, make } from "./dom.js";

const STAGES = {
  reading: "Reading",
  model: "Loading the model",
  encoder: "Encoder",
  decoder: "Decoder",
  foreground: "Clean colours",
  subject: "Finding",
};
const BUSY = new Set(["running", "waiting"]);

const BUSY_KERNEL = {
  strokes: "The kernel is busy; your strokes are kept and will be sent.",
  run: "The kernel is busy; the run begins when it is free.",
  wand: "The kernel is busy; the wand's click counts when it is free.",
};
const LOST =
  "The kernel was restarted or disconnected: strokes are kept in this page; run the cell again.";
const BLOCKED = "A cell waits for it; the notebook's interrupt button stops it too.";

/** Run, Cancel, Live, message, notes and progress. */
export function createFooter({ model, followed, painting, root }) {
  const run = button("run", "Compute the matte at full size (Enter)", () => painting.run(), {
    text: "Run",
    picture: "run",
    kind: "mm-primary",
  });
  const cancel = button("cancel", "Cancel (Esc)", () => painting.cancel(), {
    text: "Cancel",
    picture: "stop",
  });
  const live = button(
    "live",
    "Live: a small preview after each change; Run computes the full size",
    () => painting.set("live", !model.get("live")),
    { text: "Live", kind: "mm-switch", role: "switch" },
  );
  live.prepend(make("i", { className: "mm-track" }));
  const message = make("p", { className: "mm-message", role: "status", "data-mematte": "message" });
  const progress = make("progress", {
    max: 1,
    "data-mematte": "progress",
    "aria-label": "Progress",
  });
  const stage = make("span", { className: "mm-stage-name" });
  const bar = make("div", { className: "mm-progress" }, progress, stage);
  const notes = make("ul", { className: "mm-notes" });
  const offer = createOffer({ painting, followed });

  const update = () => {
    const status = model.get("status");
    const busy = BUSY.has(status);
    const silence = painting.silence();
    root.dataset.status = status;
    root.dataset.connection = silence || "live";
    run.disabled = silence === "lost" || (busy && model.get("job") === "full");
    cancel.disabled = !busy || silence === "lost";
    live.setAttribute("aria-checked", String(model.get("live")));
    bar.classList.toggle("mm-idle", !busy);
    const share = model.get("progress");
    if (status === "waiting") progress.removeAttribute("value");
    else progress.value = busy ? share : 0;
    const name = STAGES[model.get("stage")] ?? model.get("stage");
    const running = status === "waiting" ? "Waiting" : `${name} ${Math.round(share * 100)}%`;
    stage.textContent = busy ? running : "";
    const text =
      (silence === "lost" && LOST) ||
      (silence && BUSY_KERNEL[painting.owes()]) ||
      (model.get("blocking") && `${model.get("message")} ${BLOCKED}`) ||
      model.get("message") ||
      "Ready.";
    if (message.textContent !== text) message.textContent = text; // or it is read aloud again
    message.dataset.kind = silence ? "warning" : status === "failed" ? "error" : status;
    notes.replaceChildren(...model.get("notes").map((note) => make("li", { textContent: note })));
    notes.hidden = !model.get("notes").length;
  };
  followed(["status", "job", "message", "notes", "progress", "stage", "blocking", "live"], update);
  followed(["connection", "seen"], update);
  return make(
    "div",
    { className: "mm-footer" },
    offer,
    make("div", { className: "mm-actions" }, run, cancel, live, bar),
    message,
    notes,
  );
}

/** "Restore my strokes", if a widget of this photo is gone that had some. */
function createOffer({ painting, followed }) {
  const text = "There are strokes on this photo from before the cell was run again.";
  const restore = button("restore", text, () => painting.restore(), {
    text: "Restore my strokes",
    kind: "mm-primary",
  });
  const refuse = button("refuse", "No, start over", () => painting.refuse(), { picture: "close" });
  const node = make(
    "div",
    { className: "mm-offer", hidden: true },
    make("span", { textContent: text }),
    restore,
    refuse,
  );
  const update = () => {
    node.hidden = !painting.offer();
  };
  followed(["offer"], update);
  return node;
}

/** The badge on the photo: what the result is. */
export function createBadge({ model, followed }) {
  const node = make("div", {
    className: "mm-badge mm-chip",
    "data-mematte": "badge",
    hidden: true,
  });
  const update = () => {
    const { kind, width, height } = model.get("_result");
    const current = model.get("current");
    node.hidden = !kind;
    if (!kind) return;
    const what =
      kind === "preview" ? `preview ${Math.max(width, height)} px` : `full size ${width}×${height}`;
    node.textContent = current ? what : `${what}, older than the trimap`;
    node.classList.toggle("mm-old", !current);
  };
  followed(["pictures"], update);
  return node;
}
