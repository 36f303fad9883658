const SINGLE = [..."1234567890qwertyuiopadfghjklzxcvbnm"];   // s skips
let state, keys = [], chosen = new Set(), busy = false;

const make = (tag, text) => { const node = document.createElement(tag); if (text !== undefined) node.textContent = text; return node; };
const alarm = error => { $("alarm").textContent = error.message; $("alarm").hidden = false; };

// a class called 7 is answered with 7; more classes than keys are typed
function keysOf(classes) {
  const own = classes.map(name => name.toLowerCase());
  if (own.every(name => name.length === 1 && name !== "s") && new Set(own).size === own.length) return own;
  return classes.length <= SINGLE.length ? SINGLE.slice(0, classes.length) : [];
}

async function answer(text) {
  if (busy || !state.left.length) return;
  busy = true;
  try {
    let reply;
    try {
      reply = await fetch("answer", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ id: state.left[0], answer: text }) });
    } catch { throw new Error("Not saved: saccade has stopped. Everything before is saved; start `saccade human` again to go on."); }
    const value = await reply.json();
    if (!reply.ok) throw new Error(value.error.message);
    $("alarm").hidden = true;
    state = value;
    chosen = new Set();
    draw();
  } catch (error) { alarm(error); }
  busy = false;
}

function draw() {
  const done = state.count - state.left.length, over = !state.left.length;
  $("progress").max = state.count;
  $("progress").value = done;
  $("count").textContent = `${done} of ${state.count}`;
  $("shot").hidden = $("answers").hidden = $("hint").hidden = over;
  $("end").hidden = !over;
  if (over) return drawEnd();
  if (state.size) return drawBoard();
  const image = $("picture");
  image.onload = () => image.classList.toggle("small", Math.max(image.naturalWidth, image.naturalHeight) < 100);
  image.src = "picture?id=" + state.left[0];
  if (state.left.length > 1) new Image().src = "picture?id=" + state.left[1];
  drawAnswers();
}

function drawBoard() {
  board.start(state);
  board.show();
  drawAnswers();
}

function drawAnswers() {
  const drawn = Boolean(state.size), several = state.form === "classes" || drawn;
  const typed = !drawn && (state.form === "numbers" || !keys.length);
  const nodes = [];
  if (typed) {
    const input = make("input"), names = make("datalist");
    input.placeholder = state.form === "numbers" ? state.classes.join(" ") + ", then Enter" : "Class, then Enter";
    names.id = "names";
    names.append(...(state.form === "numbers" ? [] : state.classes).map(name => { const option = make("option"); option.value = name; return option; }));
    input.setAttribute("list", "names");
    input.onkeydown = event => { if (event.key === "Enter" && input.value.trim()) answer(input.value.trim()); };
    nodes.push(input, names);
    setTimeout(() => input.focus());
  } else if (!["points", "box"].includes(state.form)) {
    state.classes.forEach((name, place) => {
      const button = make("button");
      if (keys[place]) button.append(make("kbd", keys[place]));
      if (keys[place] !== name.toLowerCase()) button.append(" " + name);
      button.setAttribute("aria-pressed", drawn ? name === board.label : chosen.has(name));
      button.onclick = () => choose(name);
      nodes.push(button);
    });
  }
  if (several) {
    const go = make("button", " done");
    go.prepend(make("kbd", "Enter"));
    go.onclick = finish;
    nodes.push(go);
  }
  if (drawn) {
    const back = make("button", " take back");
    back.prepend(make("kbd", "Backspace"));
    back.onclick = board.undo;
    nodes.push(back);
  }
  const skip = make("button", typed ? "skip" : " skip");
  if (!typed) skip.prepend(make("kbd", "s"));
  skip.onclick = () => answer("");
  nodes.push(skip);
  $("answers").replaceChildren(...nodes);
}

function choose(name) {
  if (state.form === "class") return answer(name);
  if (state.size) board.label = name;
  else chosen.has(name) ? chosen.delete(name) : chosen.add(name);
  drawAnswers();
}

function finish() {
  if (!state.size) return answer([...chosen].join("|") || "none");
  if (board.ready()) answer(board.answer());
}

function drawEnd() {
  const result = state.result;
  if (!result) { $("told").textContent = "Every picture was skipped: nothing is known."; return; }
  const told = value => state.form === "numbers" ? value.toPrecision(3) : (100 * value).toFixed(1) + " %";
  $("value").textContent = told(result.value);
  $("told").textContent = `is the error of people here, ${told(result.low)} to ${told(result.high)} with ${result.n} answers. It stands in the run; saccade diagnose uses it from now on.`;
}

document.addEventListener("keydown", event => {
  if (event.repeat || event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey || !state || !state.left.length) return;
  const place = keys.indexOf(event.key.toLowerCase());
  if (place >= 0) { event.preventDefault(); choose(state.classes[place]); }
  else if (event.key === "s") answer("");
  else if (event.key === "Backspace" && state.size) board.undo();
  else if (event.key === "Enter" && (state.size || state.form === "classes")) { event.preventDefault(); finish(); }
});

(async () => {
  state = await (await fetch("state")).json();
  keys = ["numbers", "points", "box"].includes(state.form) ? [] : keysOf(state.classes);
  $("picture").hidden = Boolean(state.size);
  $("board").toggleAttribute("hidden", !state.size);
  draw();
  document.body.dataset.ready = "yes";
})().catch(alarm);
