// What the widget tells: message, progress, badge, and what becomes of strokes without a kernel.

const STAGES = {
  reading: "Reading",
  model: "Loading the model",
  encoder: "Encoder",
  decoder: "Decoder",
  foreground: "Clean colours",
};
const BUSY = new Set(["running", "waiting"]);

const SILENCES = {
  strokes: {
    busy: "The kernel is busy; your strokes are kept and will be sent.",
    long: "No answer from the kernel for a minute: it is busy, restarted or disconnected. Your strokes are kept in this page.",
  },
  run: {
    busy: "The kernel is busy; the run begins when it is free.",
    long: "No answer from the kernel for a minute: it is busy, restarted or disconnected.",
  },
  "": {},
};
const LOST =
  "The kernel was restarted or disconnected: strokes are kept in this page; run the cell again.";
const BLOCKED = "A cell waits for it; the notebook's interrupt button stops it, too.";

/** Run, Cancel, Live, message, notes and progress. */
function createFooter({ model, followed, painting, signal, root }) {
  const run = button("run", {
    title: "Compute the matte at full size (Enter)",
    text: "Run",
    picture: "run",
    kind: "mm-primary",
    onclick: () => painting.run(),
  });
  const cancel = button("cancel", {
    title: "Cancel (Esc)",
    text: "Cancel",
    picture: "stop",
    onclick: () => painting.cancel(),
  });
  const live = make(
    "button",
    {
      type: "button",
      role: "switch",
      className: "mm-button mm-switch",
      title: "Live: a small preview after each change; Run computes the full size",
      "data-mematte": "live",
      onclick: () => painting.set("live", !model.get("live")),
    },
    make("i", { className: "mm-track" }),
    make("span", { textContent: "Live" }),
  );
  const message = make("p", { className: "mm-message", role: "status", "data-mematte": "message" });
  const progress = make("progress", {
    max: 1,
    "data-mematte": "progress",
    "aria-label": "Progress",
  });
  const stage = make("span", { className: "mm-stage-name" });
  const bar = make("div", { className: "mm-progress" }, progress, stage);
  const notes = make("ul", { className: "mm-notes" });
  const offer = createOffer({ painting, signal });

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
    stage.textContent = !busy
      ? ""
      : status === "waiting"
        ? "Waiting"
        : `${name} ${Math.round(share * 100)}%`;
    const said =
      (silence === "lost" && LOST) ||
      SILENCES[painting.owes()][silence] ||
      (model.get("blocking") && `${model.get("message")} ${BLOCKED}`) ||
      model.get("message") ||
      "Ready.";
    if (message.textContent !== said) message.textContent = said; // or it is read aloud again
    message.dataset.kind = silence ? "warning" : status === "failed" ? "error" : status;
    notes.replaceChildren(...model.get("notes").map((note) => make("li", { textContent: note })));
    notes.hidden = !model.get("notes").length;
  };
  followed(["status", "job", "message", "notes", "progress", "stage", "blocking", "live"], update);
  painting.events.addEventListener("connection", update, { signal });
  painting.events.addEventListener("seen", update, { signal });
  return make(
    "div",
    { className: "mm-footer" },
    offer,
    make("div", { className: "mm-actions" }, run, cancel, live, bar),
    message,
    notes,
  );
}

/** "Restore my strokes", where a widget of this photo is gone that had some. */
function createOffer({ painting, signal }) {
  const text = "There are strokes on this photo from before the cell was run again.";
  const restore = button("restore", {
    title: text,
    text: "Restore my strokes",
    kind: "mm-primary",
    onclick: () => painting.restore(),
  });
  const refuse = button("refuse", {
    title: "No, begin anew",
    picture: "close",
    onclick: () => painting.refuse(),
  });
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
  painting.events.addEventListener("offer", update, { signal });
  update();
  return node;
}

/** The badge on the stage: what the result is. */
function createBadge({ model, painting, pictures, stage, settings, signal }) {
  const node = make("div", {
    className: "mm-badge mm-chip",
    "data-mematte": "badge",
    hidden: true,
  });
  const update = () => {
    const { kind, width, height } = model.get("_result");
    const current = model.get("_current");
    node.hidden = !kind;
    if (!kind) return;
    const what =
      kind === "preview" ? `preview ${Math.max(width, height)} px` : `full size ${width}×${height}`;
    node.textContent = current ? what : `${what}, older than the trimap`;
    node.classList.toggle("mm-old", !current);
  };
  painting.events.addEventListener("pictures", update, { signal });
  update();
  return node;
}
