// Boxes, points and areas on a picture, in its own pixels: press and drag, or click.
const board = (() => {
  const COLOURS = ["#e6550d", "#1f6fd1", "#14805a", "#b0308f", "#b9880a", "#0097a7", "#7a4fd0", "#6d4c41"];
  const HINTS = {
    boxes: "Drag a box around each thing; Enter when all are boxed, also where there is none.",
    box: "Drag a box around the thing, then Enter; Enter alone where there is none.",
    areas: "Choose what it is, and go around each area with the button pressed. Enter when done; what you leave out is ",
  };
  const svg = $("board");
  let form, names, size, label, drawn, open;

  const node = (tag, values) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(values)) made.setAttribute(name, value);
    return made;
  };
  const tenth = number => Math.round(number * 10) / 10;

  function place(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [tenth(Math.min(Math.max(at.x, 0), size[0])), tenth(Math.min(Math.max(at.y, 0), size[1]))];
  }

  function start(state) {
    ({ form, classes: names, size } = state);
    label ??= form === "areas" ? names[Math.min(1, names.length - 1)] : names[0];
    drawn = [];
    open = null;
    svg.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
    svg.replaceChildren(node("image", { href: "picture?id=" + state.left[0], width: size[0], height: size[1], preserveAspectRatio: "none" }), node("g", {}));
  }

  function shape(each) {
    const colour = COLOURS[Math.max(0, names.indexOf(each.label)) % COLOURS.length], line = { stroke: colour, fill: colour };
    if (each.box) {
      const [left, top, right, bottom] = each.box;
      return node("rect", { ...line, x: left, y: top, width: right - left, height: bottom - top });
    }
    if (each.outline) return node("polygon", { ...line, points: each.outline.map(at => at.join(",")).join(" ") });
    return node("circle", { stroke: "#ffffff", fill: COLOURS[1], cx: each[0], cy: each[1], r: Math.max(...size) / 160 });
  }

  function show() {
    svg.lastChild.replaceChildren(...[...drawn, ...(open ? [open] : [])].map(shape));
    $("hint").textContent = form === "areas" ? HINTS.areas + names[0] + "." : form !== "points" ? HINTS[form]
      : drawn.length < names.length ? `Click on ${names[drawn.length]} (${drawn.length + 1} of ${names.length}); guess where it is hidden.`
      : "All points are there: Enter.";
  }

  function press(event) {
    if (event.button) return;
    svg.setPointerCapture(event.pointerId);
    const at = place(event);
    if (form === "points") { if (drawn.length < names.length) drawn.push(at); }
    else if (form === "areas") open = { label, outline: [at] };
    else open = { label, box: [...at, ...at], from: at };
    show();
  }

  function drag(event) {
    if (!open) return;
    const at = place(event);
    if (open.outline) open.outline.push(at);
    else open.box = [0, 1].map(axis => Math.min(open.from[axis], at[axis])).concat([0, 1].map(axis => Math.max(open.from[axis], at[axis])));
    show();
  }

  function release() {
    if (!open) return;
    const { label, box, outline } = open, [left, top, right, bottom] = box ?? [];
    open = null;
    if (outline ? outline.length > 2 : right - left >= 1 && bottom - top >= 1) {
      if (form === "box") drawn = [];
      drawn.push(outline ? { label, outline } : { label, box });
    }
    show();
  }

  svg.addEventListener("pointerdown", press);
  svg.addEventListener("pointermove", drag);
  svg.addEventListener("pointerup", release);
  svg.addEventListener("pointercancel", release);
  return {
    start, show,
    undo() { drawn.pop(); show(); },
    ready: () => form !== "points" || drawn.length === names.length,
    answer: () => JSON.stringify(drawn),
    get label() { return label; },
    set label(name) { label = name; },
  };
})();
