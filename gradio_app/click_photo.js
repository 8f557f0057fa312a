// The photo that is clicked to say what its subject is. `element` holds the HTML that click_photo.py
// makes; its own attributes and listeners stay when that changes.
const STEP = 0.02;
const LABEL =
  "Photo. Arrow keys move the cross, with Shift in small steps; Enter clicks there, Delete takes away.";
let cross = [0.5, 0.5];
let pointer = "mouse";

const shot = () => element.querySelector(".shot");

/** Say where it was clicked, in parts of the photo's width and height; what is beside it is not meant. */
function click(x, y, out) {
  if (x >= 0 && x < 1 && y >= 0 && y < 1) trigger("click", { x, y, out });
}

function clickAt(event, out) {
  if (!shot()) return;
  const box = shot().getBoundingClientRect();
  click((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, out);
}

function moveCross(x, y) {
  cross = [x, y].map((part) => Math.min(0.999, Math.max(0, part)));
  element.style.setProperty("--x", cross[0]);
  element.style.setProperty("--y", cross[1]);
}

function press(event) {
  if (!shot() || event.ctrlKey || event.metaKey) return;
  const step = event.shiftKey ? STEP / 8 : STEP;
  const [x, y] = cross;
  const moves = {
    ArrowLeft: [x - step, y],
    ArrowRight: [x + step, y],
    ArrowUp: [x, y - step],
    ArrowDown: [x, y + step],
  };
  if (event.key in moves) moveCross(...moves[event.key]);
  else if (event.key === "Enter" || event.key === " ") click(x, y, event.altKey);
  else if (event.key === "Delete" || event.key === "Backspace") click(x, y, true);
  else return;
  event.preventDefault();
}

function adapt() {
  const there = Boolean(shot());
  element.classList.toggle("clickable", there);
  for (const [name, value] of Object.entries({ tabindex: "0", role: "application", "aria-label": LABEL }))
    if (there) element.setAttribute(name, value);
    else element.removeAttribute(name);
}

element.addEventListener("pointerdown", (event) => (pointer = event.pointerType));
element.addEventListener("click", (event) => clickAt(event, event.altKey));
element.addEventListener("contextmenu", (event) => {
  if (!shot() || pointer === "touch") return; // a long press is not a right button
  event.preventDefault();
  clickAt(event, true);
});
element.addEventListener("keydown", press);
moveCross(...cross);
adapt();
watch("value", () => {
  if (!shot()) moveCross(0.5, 0.5);
  adapt();
});
