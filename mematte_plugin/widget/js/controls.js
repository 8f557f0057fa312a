// What is clicked or dragged around the canvas: brushes, views, options.

import { button, icon, make } from "./dom.js";
import { BRUSHES, BRUSH_HINTS, BRUSH_SIZES } from "./strokes.js";
import { VIEWS, isThere } from "./views.js";

/** Traits for what is shown, which all copies of the widget share. */
export const SETTINGS = ["view", "block", "backdrop", "compare", "split"];

export function createSettings(model, tell) {
  const local = {}; // while something is dragged
  const settings = {
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

/** What the wand does with a click, and the button that asks nothing. */
function createWandTools({ painting, followed }) {
  const way = (takes, name, hint) =>
    button(`wand-${name}`, hint, () => painting.wand.setTakes(takes), {
      text: takes ? "Take away" : "Add",
    });
  const add = way(false, "add", "A click adds what it shows (X; with Alt it takes away)");
  const take = way(true, "take", "A click takes away what it shows (X; with Alt it adds)");
  const find = button("wand-find", "Find the subject without a click", () => painting.wand.find(), {
    text: "Find the subject",
  });
  const node = make(
    "div",
    { className: "mm-wand" },
    make("div", { className: "mm-segments", role: "group", "aria-label": "Wand" }, add, take),
    find,
  );
  const update = () => {
    add.setAttribute("aria-pressed", String(!painting.wand.takes));
    take.setAttribute("aria-pressed", String(painting.wand.takes));
    node.hidden = painting.brush !== "wand";
  };
  followed(["brush"], update);
  return node;
}

/** Wand and brushes, their options, undo, redo and clear. */
export function createTools({ painting, followed }) {
  const wand = button("brush-wand", WAND_HINT, () => painting.setBrush("wand"), {
    text: "Wand",
    picture: "wand",
    kind: "mm-brush",
  });
  const brushes = BRUSHES.map(({ name, title, key, colour }) => {
    const choose = () => painting.setBrush(name);
    const look = { text: title, kind: "mm-brush" };
    const node = button(`brush-${name}`, `${BRUSH_HINTS[name]} (${key})`, choose, look);
    node.prepend(colour ? make("i", { className: `mm-swatch mm-swatch-${name}` }) : icon("eraser"));
    return node;
  });
  const size = make("input", {
    type: "range",
    min: BRUSH_SIZES.least,
    max: BRUSH_SIZES.most,
    title: "Brush size ([ and ], or the wheel over the photo)",
    "data-mematte": "size",
    "aria-label": "Brush size",
    oninput: () => painting.setBrushSize(Number(size.value)),
  });
  const sizeText = make("output", { className: "mm-number" });
  const undo = button("undo", "Undo (Ctrl + Z)", () => painting.undo(), { picture: "undo" });
  const redo = button("redo", "Redo (Ctrl + Shift + Z)", () => painting.redo(), {
    picture: "redo",
  });
  const clear = button("clear", "Clear all strokes and clicks", () => painting.clear(), {
    picture: "clear",
  });
  const sizes = make("div", { className: "mm-size" }, size, sizeText);
  const update = () => {
    for (const [i, { name }] of BRUSHES.entries()) {
      brushes[i].setAttribute("aria-pressed", String(painting.brush === name));
    }
    wand.setAttribute("aria-pressed", String(painting.brush === "wand"));
    sizes.hidden = painting.brush === "wand";
    size.value = painting.brushSize;
    sizeText.textContent = `${painting.brushSize} px`;
    undo.disabled = !painting.history?.canUndo();
    redo.disabled = !painting.history?.canRedo();
    clear.disabled = painting.isEmpty() && !painting.wand.steps.length;
  };
  followed(["brush", "history", "photo"], update);
  return make(
    "div",
    { className: "mm-tools", role: "toolbar", "aria-label": "Painting" },
    make(
      "div",
      { className: "mm-segments", role: "group", "aria-label": "Tool" },
      wand,
      ...brushes,
    ),
    sizes,
    createWandTools({ painting, followed }),
    make("div", { className: "mm-group" }, undo, redo, clear),
  );
}

const WAND_HINT =
  "Wand: click the subject and it is found; Alt + click takes away; drag a box around it (W)";
const BACKDROPS = [
  ["checkerboard", "Checkerboard"],
  ["#ffffff", "White"],
  ["#000000", "Black"],
];

/** Which view is shown, and what is chosen in it. */
export function createViewBar({ model, pictures, settings, followed }) {
  const tabs = VIEWS.map(({ name, title, hint }) =>
    button(`view-${name}`, hint, () => settings.set("view", name), { text: title, kind: "mm-tab" }),
  );
  const compare = button("compare", "Compare two views (C)", settings.toggleCompare, {
    text: "Compare",
    picture: "compare",
  });
  const block = make("select", {
    "data-mematte": "block",
    "aria-label": "Block whose routing is shown",
    onchange: () => settings.set("block", Number(block.value)),
  });
  const backdrops = BACKDROPS.map(([value, title]) => {
    const name = value.replace("#", "");
    const choose = () => settings.set("backdrop", value);
    return button(`backdrop-${name}`, title, choose, { kind: `mm-backdrop mm-backdrop-${name}` });
  });
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
  const blockTitle = (i) => {
    const share = model.get("_result").kept?.[i];
    const kept = share === undefined ? "" : `: ${Math.round(share * 100)}% kept`;
    return `${i + 1} of ${pictures.routing.length}${kept}`;
  };
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
    const blocks = pictures.routing.map((_, i) => [i, blockTitle(i)]);
    fillSelect(block, blocks, settings.get("block"));
  };
  followed(["pictures", ...SETTINGS], update);
  const group = { className: "mm-segments", role: "group", "aria-label": "View" };
  return make(
    "div",
    { className: "mm-viewbar", role: "toolbar", "aria-label": "View" },
    make("div", { ...group, "data-mematte": "view" }, ...tabs),
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
  ["unknown", "unsure", "The model decides wherever you have not painted"],
];
const SCREENS = [
  ["off", "off"],
  ["auto", "automatic", "Finds a green, blue or red screen behind the subject"],
  ...["green", "blue", "red"].map((name) => [name, name]),
];
const RETENTIONS = [["auto", "automatic"], ...[1, 0.75, 0.5, 0.25, 0.1].map(retentionOption)];

function retentionOption(value) {
  const cap = value > 1 ? `${value} tokens` : `${Math.round(value * 1000) / 10}%`;
  return [String(value), `at most ${cap}`];
}

/** The options, and the one that Python has chosen if it is not among them. */
const withOwn = (options, now, own = [now, now, "Chosen in Python"]) =>
  options.some(([value]) => value === String(now)) ? options : [...options, own];

/** The kernel's options, each a label with a slider or a list. */
export function createOptions({ model, followed, painting }) {
  const field = (label, name, control, extra) => {
    const id = `mm-${Math.random().toString(36).slice(2)}`;
    control.id = id;
    control.setAttribute("data-mematte", name);
    const text = make("label", { for: id, textContent: label });
    const head = make("div", { className: "mm-field-head" }, text, extra);
    return make("div", { className: "mm-field" }, head, control);
  };
  /** `whyOff` says why the slider has no effect now, or "". `live` sets the trait while dragging. */
  const slider = (
    name,
    label,
    hint,
    [least, most, step, unit],
    whyOff = () => "",
    live = false,
  ) => {
    const text = make("output", { className: "mm-number" });
    const tell = (value) => (text.textContent = `${Math.round(value * 100) / 100}${unit}`);
    const input = make("input", { type: "range", step });
    const set = () => painting.set(name, Number(input.value));
    input.onchange = set;
    input.oninput = () => {
      tell(Number(input.value));
      if (live) set();
    };
    const node = field(label, name, input, text);
    followed([name, "band_counts", "has_base"], () => {
      const value = model.get(name);
      input.min = Math.min(least, value);
      input.max = Math.max(most, value);
      input.value = value;
      tell(value);
      node.title = whyOff() || hint;
      input.disabled = Boolean(whyOff());
      node.classList.toggle("mm-off", input.disabled);
    });
    return node;
  };
  const select = (name, label, hint, options, parse = (text) => text) => {
    const input = make("select", { onchange: () => painting.set(name, parse(input.value)) });
    const node = field(label, name, input);
    followed([name, "models", "has_base"], () => {
      const offered = options(model.get(name));
      fillSelect(input, offered, model.get(name));
      node.title = offered.find(([value]) => value === input.value)?.[2] ?? hint;
      node.hidden = name === "unpainted" && model.get("has_base");
    });
    return node;
  };
  const whyNoBand = () => {
    if (model.get("band_counts")) return "";
    if (model.get("has_base")) return "No band: a trimap was given; give a mask instead, or paint";
    return "No band: background is painted; see “Unpainted is”";
  };
  const band = (name, label, hint) =>
    slider(name, label, `${hint}, in % of its size`, [0, 15, 0.5, "%"], whyNoBand, true);
  const models = model.get("models").map(({ name, title, note }) => [name, title, note]);
  const tokensHint = "How many tokens a block may send through attention; fewer take less memory";
  const despillHint = "Takes a screen's light out of the edge's colours";
  return [
    band("inside", "Band inward", "How far into the subject pixels are unsure"),
    band("outside", "Band outward", "How far around the subject pixels are unsure"),
    select("unpainted", "Unpainted is", "What you have not painted", () => UNPAINTED),
    select(
      "retention",
      "Tokens kept",
      tokensHint,
      (now) => withOwn(RETENTIONS, now, retentionOption(now)),
      (text) => (text === "auto" ? text : Number(text)),
    ),
    select("model", "Model", "The weights", (now) => withOwn(models, now)),
    slider("levels_black", "Empty up to", "Opacity up to here becomes 0", [0, 0.5, 0.01, ""]),
    slider("levels_white", "Solid from", "Opacity from here on becomes 1", [0.5, 1, 0.01, ""]),
    slider("choke", "Choke", "Moves the edge inward; negative, outward", [-10, 10, 0.25, " px"]),
    slider("feather", "Feather", "Blurs the edge", [0, 20, 0.25, " px"]),
    select("despill", "Despill", despillHint, (now) => withOwn(SCREENS, now)),
  ];
}
