// The keyboard: one table for what keys do and for their list in the corner.

import { button, make } from "./dom.js";
import { ZOOM } from "./viewport.js";
import { VIEWS, isThere } from "./views.js";

/** [keys, what the list says, what happens]. Mod is Ctrl, or Cmd on a Mac. */
export function keyTable({ viewport, painting, pictures, settings, gestures, help }) {
  const brush = (name) => () => painting.setBrush(name);
  const zoom = (factor) => () => viewport.zoomTo(viewport.zoom * factor);
  const view = (step) => () => {
    const names = VIEWS.map(({ name }) => name).filter((name) => isThere(name, pictures));
    const at = names.indexOf(settings.get("view"));
    settings.set("view", names[(at + step + names.length) % names.length]);
  };
  return [
    [["1"], "Subject", brush("foreground")],
    [["2"], "Unsure", brush("unknown")],
    [["3"], "Background", brush("background")],
    [["4"], "Eraser", brush("eraser")],
    [["w"], "Wand", brush("wand")],
    [["x"], "Wand: add or take away", () => painting.wand.setTakes(!painting.wand.takes)],
    [["["], "Smaller brush", () => gestures.resize(-1)],
    [["]"], "Larger brush", () => gestures.resize(1)],
    [["mod+z"], "Undo", () => painting.undo()],
    [["mod+shift+z", "mod+y"], "Redo", () => painting.redo()],
    [["+", "="], "Zoom in (Ctrl + wheel)", zoom(ZOOM.step)],
    [["-", "_"], "Zoom out", zoom(1 / ZOOM.step)],
    [["0"], "Whole photo", () => viewport.fit()],
    [["v"], "Next view", view(1)],
    [["shift+v"], "Previous view", view(-1)],
    [["c"], "Compare", () => settings.toggleCompare()],
    [["enter"], "Run", () => painting.run()],
    [["escape"], "Cancel; close this list", () => help.close() || painting.cancel()],
    [["?"], "This list", () => help.toggle()],
  ];
}

const IS_MAC = /mac|iphone|ipad/i.test(globalThis.navigator?.platform ?? "");
const KEY_NAMES = {
  mod: IS_MAC ? "⌘" : "Ctrl",
  shift: "Shift",
  enter: "Enter",
  escape: "Esc",
  wheel: "Wheel",
  alt: IS_MAC ? "⌥" : "Alt",
  click: "Click",
  space: "Space",
};

const keyTitle = (key) =>
  key
    .split("+")
    .filter(Boolean)
    .map((part) => KEY_NAMES[part] ?? part.toUpperCase())
    .join(" + ") || "+";

/** The key of an event as the table writes it. */
function keyOf(event) {
  const mod = event.ctrlKey || event.metaKey ? "mod+" : "";
  // Shift is part of signs such as ? and +.
  const named = event.key.length > 1 || /[a-z]/i.test(event.key);
  return `${mod}${event.shiftKey && named ? "shift+" : ""}${event.key.toLowerCase()}`;
}

const TAKES_TEXT = new Set(["text", "number", "color", "range"]);
const isField = (node) =>
  node.tagName === "SELECT" || (node.tagName === "INPUT" && TAKES_TEXT.has(node.type));

/** Keys inside `root` stay there: none reaches the notebook. */
export function followKeys({ root, canvas, table, gestures, signal }) {
  const actions = new Map(table.flatMap(([keys, , action]) => keys.map((key) => [key, action])));
  root.addEventListener(
    "keydown",
    (event) => {
      event.stopPropagation();
      const node = event.composedPath()[0];
      if (event.key === " " && node === canvas) {
        event.preventDefault();
        gestures.setSpace(true);
        return;
      }
      const key = keyOf(event);
      const own = isField(node) || (node !== canvas && (key === "enter" || key === " "));
      const action = actions.get(key);
      if (!action || event.altKey || (own && !key.startsWith("mod+") && key !== "escape")) return;
      event.preventDefault();
      if (!event.repeat || !["enter", "c", "v", "?"].includes(key)) action();
    },
    { signal },
  );
  for (const name of ["keyup", "keypress"]) {
    root.addEventListener(
      name,
      (event) => {
        event.stopPropagation();
        if (event.key === " ") gestures.setSpace(false);
      },
      { signal },
    );
  }
  canvas.addEventListener("blur", () => gestures.setSpace(false), { signal });
}

/** The list of keys, in the corner of the photo. */
export function createHelp(entries) {
  const list = make("div", { className: "mm-keys", role: "list" });
  const node = make(
    "div",
    { className: "mm-help", hidden: true, role: "note", "aria-label": "Keyboard shortcuts" },
    make("strong", { textContent: "Keys (click the photo first)" }),
    list,
  );
  const opener = button("help", "Keyboard shortcuts (?)", () => help.toggle(), {
    text: "?",
    kind: "mm-chip",
    "aria-expanded": false,
  });
  const help = {
    node,
    opener,
    toggle(open = node.hidden) {
      node.hidden = !open;
      opener.setAttribute("aria-expanded", String(open));
    },
    close() {
      const wasOpen = !node.hidden;
      help.toggle(false);
      return wasOpen;
    },
    fill(table) {
      const rows = [...table.map(([keys, what]) => [keys.slice(0, 1), what]), ...entries];
      for (const [keys, what] of rows) {
        const names = keys.map((key) => make("kbd", { textContent: keyTitle(key) }));
        list.append(
          make(
            "div",
            { role: "listitem" },
            make("span", {}, ...names),
            make("span", { textContent: what }),
          ),
        );
      }
    },
  };
  return help;
}
