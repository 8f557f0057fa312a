// The views: what the canvas can show.

export const VIEWS = [
  { name: "photo", title: "Photo", hint: "The photo with your strokes" },
  { name: "trimap", title: "Trimap", hint: "Subject clear, unsure yellow, background dark" },
  { name: "alpha", title: "Alpha", hint: "The opacity that was computed" },
  { name: "cutout", title: "Cut-out", hint: "The subject on a checkerboard or a colour" },
  { name: "routing", title: "Routing", hint: "Which tokens each block sent through attention" },
];
export const NEEDS_RESULT = new Set(["alpha", "cutout", "routing"]);

/** Whether there is something to see in a view. */
export function isThere(view, { mask, routing }) {
  return view === "routing" ? routing.length > 0 : Boolean(mask) || !NEEDS_RESULT.has(view);
}
