// Everything around the canvas that is clicked or dragged.

/** What the views of a widget share about what they show; the kernel keeps it. */
const SETTINGS = ["view", "block", "backdrop", "compare", "split"];

function createSettings(model) {
  const events = new EventTarget();
  const local = {}; // while something is dragged
  const tell = (name) => events.dispatchEvent(new CustomEvent("change", { detail: name }));
  for (const name of SETTINGS) model.on(`change:${name}`, () => tell(name));
  const settings = {
    events,
    get: (name) => local[name] ?? model.get(name),
    set(name, value) {
      delete local[name];
      model.set(name, value);
      model.save_changes();
    },
    try(name, value) {
      local[name] = value;
      tell(name);
    },
    toggleCompare: () => settings.set("compare", model.get("compare") === "off" ? "trimap" : "off"),
  };
  return settings;
}

function createTools({ painting, pictures, signal }) {
  const brushes = BRUSHES.map(({ name, title, key, colour }) => {
    const swatch = colour
      ? make("i", { className: `mm-swatch mm-swatch-${name}` })
      : icon("eraser");
    const node = button(`brush-${name}`, {
      title: `${BRUSH_HINTS[name]} (${key})`,
      text: title,
      kind: "mm-brush",
      onclick: () => painting.setBrush(name),
    });
    node.prepend(swatch);
    return node;
  });
  const size = make("input", {
    type: "range",
    min: BRUSH_SIZES.least,
    max: BRUSH_SIZES.most,
    title: "Size of the brush ([ and ], or the wheel over the photo)",
    "data-mematte": "size",
    "aria-label": "Size of the brush",
    oninput: () => painting.setBrushSize(Number(size.value)),
  });
  const sizeText = make("output", { className: "mm-number" });
  const undo = button("undo", {
    title: "Undo (Ctrl + Z)",
    picture: "undo",
    onclick: () => painting.undo(),
  });
  const redo = button("redo", {
    title: "Redo (Ctrl + Shift + Z)",
    picture: "redo",
    onclick: () => painting.redo(),
  });
  const clear = button("clear", {
    title: "Clear all strokes",
    picture: "clear",
    onclick: () => painting.clear(),
  });
  const update = () => {
    for (const [i, { name }] of BRUSHES.entries()) {
      brushes[i].setAttribute("aria-pressed", String(painting.brush === name));
    }
    size.value = painting.brushSize;
    sizeText.textContent = `${painting.brushSize} px`;
    undo.disabled = !painting.history?.canUndo();
    redo.disabled = !painting.history?.canRedo();
    clear.disabled = painting.isEmpty();
  };
  for (const name of ["brush", "history", "photo"]) {
    painting.events.addEventListener(name, update, { signal });
  }
  update();
  return make(
    "div",
    { className: "mm-tools", role: "toolbar", "aria-label": "Painting" },
    make("div", { className: "mm-segments", role: "group", "aria-label": "Brush" }, ...brushes),
    make("div", { className: "mm-size" }, size, sizeText),
    make("div", { className: "mm-group" }, undo, redo, clear),
  );
}

/** Whether there is something to see in a view. */
function isThere(view, { mask, routing }) {
  return view === "routing" ? routing.length > 0 : Boolean(mask) || !NEEDS_RESULT.has(view);
}

const BACKDROPS = [
  ["checkerboard", "Checkerboard"],
  ["#ffffff", "White"],
  ["#000000", "Black"],
];

function createViewBar({ model, painting, pictures, settings, signal }) {
  const tabs = VIEWS.map(({ name, title, hint }) =>
    button(`view-${name}`, {
      title: hint,
      text: title,
      kind: "mm-tab",
      onclick: () => settings.set("view", name),
    }),
  );
  const compare = button("compare", {
    title: "Compare two views, side by side (C)",
    text: "Compare",
    picture: "compare",
    onclick: settings.toggleCompare,
  });
  const block = make("select", {
    "data-mematte": "block",
    "aria-label": "Block whose routing is shown",
    onchange: () => settings.set("block", Number(block.value)),
  });
  const backdrops = BACKDROPS.map(([value, title]) =>
    button(`backdrop-${value.replace("#", "")}`, {
      title,
      kind: `mm-backdrop mm-backdrop-${value.replace("#", "")}`,
      onclick: () => settings.set("backdrop", value),
    }),
  );
  const colour = make("input", {
    type: "color",
    value: "#2fa39a",
    title: "Another colour",
    "data-mematte": "colour",
    "aria-label": "Colour behind the cut-out",
    oninput: () => settings.set("backdrop", colour.value),
  });
  const behind = make(
    "div",
    { className: "mm-group", role: "group", "aria-label": "Behind the cut-out" },
    ...backdrops,
    colour,
  );
  const update = () => {
    const view = settings.get("view");
    const backdrop = settings.get("backdrop");
    for (const [i, { name, hint }] of VIEWS.entries()) {
      tabs[i].setAttribute("aria-pressed", String(view === name));
      tabs[i].disabled = !isThere(name, pictures);
      const why = pictures.mask ? "this model routes no tokens" : "there is none yet, press Run";
      tabs[i].title = tabs[i].disabled ? `${hint}: ${why}` : hint;
    }
    compare.setAttribute("aria-pressed", String(settings.get("compare") !== "off"));
    compare.disabled = !pictures.mask && !pictures.wash;
    block.hidden = view !== "routing" || !pictures.routing.length;
    behind.hidden = view !== "cutout" || !pictures.mask;
    for (const [i, [value]] of BACKDROPS.entries()) {
      backdrops[i].setAttribute("aria-pressed", String(backdrop === value));
    }
    const own = BACKDROPS.every(([value]) => value !== backdrop);
    colour.parentNode.classList.toggle("mm-own-colour", own);
    if (own) colour.value = backdrop;
    fillSelect(
      block,
      pictures.routing.map((_, i) => [i, `${i + 1} of ${pictures.routing.length}${kept(i)}`]),
      settings.get("block"),
    );
  };
  const kept = (i) => {
    const share = model.get("_result").kept?.[i];
    return share === undefined ? "" : `: ${Math.round(share * 100)}% kept`;
  };
  painting.events.addEventListener("pictures", update, { signal });
  settings.events.addEventListener("change", update, { signal });
  update();
  return make(
    "div",
    { className: "mm-viewbar", role: "toolbar", "aria-label": "View" },
    make(
      "div",
      { className: "mm-segments", role: "group", "aria-label": "View", "data-mematte": "view" },
      ...tabs,
    ),
    make("div", { className: "mm-group" }, compare),
    make("div", { className: "mm-group mm-grows" }, behind, block),
  );
}

/** Give a select these [value, text, title] options, unless it has them. */
function fillSelect(select, options, chosen) {
  const key = JSON.stringify(options);
  if (select.dataset.options !== key) {
    select.dataset.options = key;
    select.replaceChildren(
      ...options.map(([value, text, title]) => make("option", { value, textContent: text, title })),
    );
  }
  select.value = String(chosen);
}

const UNPAINTED = [
  ["auto", "automatic", "Background, until you paint some; then unsure"],
  ["background", "background", "A band is laid around the painted subject"],
  ["unknown", "unsure", "The model decides everywhere you have not painted"],
];
const RETENTIONS = [
  ["auto", "automatic"],
  ...[1, 0.75, 0.5, 0.25, 0.1].map((share) => [
    String(share),
    `at most ${Math.round(share * 100)}%`,
  ]),
];
const BAND = { most: 15, step: 0.5 };
const SCREENS = [
  ["off", "off"],
  ["auto", "found by itself", "A green, blue or red screen behind the subject"],
  ...["green", "blue", "red"].map((name) => [name, name]),
];

/** Band, unpainted, retention and model: the kernel's own settings. */
function createOptions({ model, followed, painting }) {
  const field = (label, hook, control, extra) => {
    const id = `mm-${Math.random().toString(36).slice(2)}`;
    control.id = id;
    control.setAttribute("data-mematte", hook);
    const head = make(
      "div",
      { className: "mm-field-head" },
      make("label", { for: id, textContent: label }),
      extra,
    );
    return make("div", { className: "mm-field" }, head, control);
  };
  const band = (name, label, hint) => {
    const text = make("output", { className: "mm-number" });
    const input = make("input", { type: "range", min: 0, max: BAND.most, step: BAND.step });
    input.oninput = () => {
      text.textContent = `${input.value}%`;
      painting.set(name, Number(input.value));
    };
    const node = field(label, name, input, text);
    const update = () => {
      const value = model.get(name);
      input.max = Math.max(BAND.most, value);
      input.value = value;
      text.textContent = `${Math.round(value * 100) / 100}%`;
      const counts = model.get("band_counts");
      input.disabled = !counts;
      const given = "A trimap was given, so no band is laid; give a mask instead, or paint";
      const painted = "Background is painted, so that no band is laid; see “Unpainted is”";
      node.title = counts ? hint : model.get("has_base") ? given : painted;
      node.classList.toggle("mm-off", !counts);
    };
    followed([name, "band_counts", "has_base"], update);
    return node;
  };
  const select = (name, label, hint, options, value = (text) => text) => {
    const input = make("select", { onchange: () => painting.set(name, value(input.value)) });
    const node = field(label, name, input);
    const update = () => {
      const offered = options();
      fillSelect(input, offered, model.get(name));
      node.title = offered.find(([one]) => String(one) === input.value)?.[2] ?? hint;
      node.hidden = name === "unpainted" && model.get("has_base");
    };
    followed([name, "models", "has_base"], update);
    return node;
  };
  const edge = (name, label, hint, least, most, step, unit) => {
    const text = make("output", { className: "mm-number" });
    const input = make("input", { type: "range", min: least, max: most, step });
    const tell = (value) => (text.textContent = `${Math.round(value * 100) / 100}${unit}`);
    input.oninput = () => tell(Number(input.value));
    input.onchange = () => painting.set(name, Number(input.value));
    const node = field(label, name, input, text);
    node.title = hint;
    followed([name], () => {
      const value = model.get(name);
      input.min = Math.min(least, value);
      input.max = Math.max(most, value);
      input.value = value;
      tell(value);
    });
    return node;
  };
  const screens = () => {
    const now = model.get("despill");
    const known = SCREENS.some(([value]) => value === now);
    return known ? SCREENS : [...SCREENS, [now, now, "Chosen in Python"]];
  };
  const retentions = () => {
    const now = model.get("retention");
    const known = RETENTIONS.some(([value]) => value === String(now));
    const own = now >= 16 ? `at most ${now} tokens` : `at most ${Math.round(now * 1000) / 10}%`;
    return known ? RETENTIONS : [...RETENTIONS, [String(now), own]];
  };
  const models = () => {
    const now = model.get("model");
    const offered = model.get("models").map(({ name, title, note }) => [name, title, note]);
    const known = offered.some(([name]) => name === now); // not, where Python has set another one
    return known ? offered : [[now, now, "Chosen in Python"], ...offered];
  };
  return [
    band("inside", "Band inward", "How far into the subject pixels are unsure, in % of its size"),
    band(
      "outside",
      "Band outward",
      "How far around the subject pixels are unsure, in % of its size",
    ),
    select("unpainted", "Unpainted is", "What you have not painted", () => UNPAINTED),
    select(
      "retention",
      "Tokens kept",
      "How many tokens each block may send through full attention; fewer take less memory and time",
      retentions,
      (text) => (text === "auto" ? text : Number(text)),
    ),
    select("model", "Model", "The weights", models),
    edge("levels_black", "Empty up to", "Opacity up to here becomes 0", 0, 0.5, 0.01, ""),
    edge("levels_white", "Solid from", "Opacity from here on becomes 1", 0.5, 1, 0.01, ""),
    edge("choke", "Choke", "Moves the edge inward; negative, outward", -10, 10, 0.25, " px"),
    edge("feather", "Feather", "Blurs the edge", 0, 20, 0.25, " px"),
    select("despill", "Despill", "Takes a screen's light out of the edge's colours", screens),
  ];
}
