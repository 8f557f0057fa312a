// The wand: clicks and boxes that say where the subject is; the kernel finds it.

const MOVED = 6; // CSS pixels: a shorter drag is a click

/**
 * One per widget. Its steps are {kind, at, label, text}, `at` in shares of the photo's width and
 * height; label 1 adds, 0 takes away.
 */
export function createWand(model, painting) {
  const { events, tell } = painting;
  const wand = { steps: [], takes: false, box: null, waits: 0 };
  const page = Math.random().toString(36).slice(2, 10);
  let count = 0;
  let mark = ""; // of the newest steps that were sent
  const asked = new Map(); // steps that were sent, by mark
  let counting = wand.steps; // the newest that the kernel has taken

  function send(steps) {
    mark = `${page}:${++count}`;
    asked.set(mark, steps);
    wand.waits ||= performance.now();
    model.set("_wand", { mark, steps });
    model.save_changes();
    use(steps);
  }

  function use(steps) {
    wand.steps = steps;
    tell("wand");
    tell("history");
  }

  function receive() {
    const answer = model.get("_steps");
    const own = asked.get(answer.mark);
    if (own) {
      if (answer.taken) counting = own;
      if (answer.mark !== mark) return; // a newer answer will come
      wand.waits = 0;
      if (!answer.taken) painting.history.refuse(counting);
    } else {
      counting = answer.steps; // set in Python, or on another page
      painting.history.forget();
    }
    use(counting);
    tell("seen");
  }

  /** Take a step, which undo takes back. */
  function take(steps) {
    if (!painting.size.width) return;
    painting.history.addSteps(wand.steps);
    send(steps);
  }
  const add = (kind, at, label) => take([...wand.steps, { kind, at, label, text: "" }]);
  wand.point = (at, label) => add("point", at, label);
  wand.find = () => take([{ kind: "anew", at: [], label: 1, text: "" }]);
  wand.clear = () => wand.steps.length && take([]);
  wand.restore = send;
  wand.resend = () => wand.waits && send(wand.steps);
  wand.setTakes = (takes) => {
    wand.takes = takes;
    tell("brush");
  };
  /** Show a box while it is dragged; null for none. */
  wand.drag = (box) => {
    wand.box = box;
    tell("wand");
  };
  wand.drop = (label) => {
    const { box } = wand;
    wand.drag(null);
    if (box && box[2] > box[0] && box[3] > box[1]) add("box", box, label);
  };
  events.addEventListener("photo", () => {
    wand.box = null;
    wand.waits = 0;
    mark = "";
    asked.clear();
    receive();
  });
  model.on("change:_steps", receive);
  return wand;
}

/** A gesture with the wand: a click, or a box that is dragged. `share` says where it is, 0 to 1. */
export function beginWand(wand, event, share) {
  const from = { x: event.clientX, y: event.clientY };
  const start = share(event);
  const label = (now) => (now.altKey !== wand.takes ? 0 : 1);
  const clamped = ([x, y]) => [Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y))];
  const inside = ([x, y]) => x >= 0 && x < 1 && y >= 0 && y < 1;
  return {
    pointer: event.pointerId,
    move(now) {
      if (!wand.box && Math.hypot(now.clientX - from.x, now.clientY - from.y) < MOVED) return;
      const [a, b] = [clamped(start), clamped(share(now))];
      const low = [Math.min(a[0], b[0]), Math.min(a[1], b[1])];
      wand.drag([...low, Math.max(a[0], b[0]), Math.max(a[1], b[1])]);
    },
    end(now, keep) {
      if (!keep) wand.drag(null);
      else if (wand.box) wand.drop(label(now));
      else if (inside(start)) wand.point(start, label(now));
    },
  };
}
