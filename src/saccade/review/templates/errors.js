"use strict";
const $ = id => document.getElementById(id);
const HEIGHT = 60, PAGE = 60;
const SINGLE = [..."123456789qerasfgzxvbyhilmp"];
const KEYS = [...SINGLE, ...SINGLE.map(key => "0" + key)];   // 52 tags with at most two keystrokes
const rows = new Map();          // id -> row
const asked = new Set();         // ids on their way
const items = new Map();         // place in the view -> its node in the list, while in sight
const undo = [];
let state, ids = [], now = 0, prefix = "", writing = Promise.resolve();

const make = (tag, text, name) => {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (name) node.className = name;
  return node;
};
const said = row => ({ relabel: [row.label ? "label: " + row.label : "wrong label"], accept: ["label is right"], drop: ["drop"] })[row.verdict] || [];
const share = value => (100 * value).toFixed(0) + " %";
const number = value => value === null ? "–" : String(value);

async function read(path, query = {}) {
  const answer = await fetch(path + "?" + new URLSearchParams(query));
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  return answer.json();
}

// one change after the other, in the order in which keys were pressed
function change(path, body) {
  const done = writing.then(async () => {
    let answer;
    try {
      answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    } catch {
      throw new Error("Not saved: saccade has stopped. Everything before is saved; start `saccade errors` with --open again.");
    }
    const value = await answer.json();
    if (!answer.ok) throw new Error("Not saved: " + value.error.message);
    return value;
  });
  writing = done.catch(() => {});
  return done;
}

function alarm(error) {
  $("alarm").textContent = error.message;
  $("alarm").hidden = false;
}

function current() { return rows.get(ids[now]); }

async function fetchRows(wanted) {
  const missing = wanted.filter(id => !rows.has(id) && !asked.has(id));
  if (!missing.length) return;
  missing.forEach(id => asked.add(id));
  for (const row of await read("rows", { ids: missing.join(",") })) rows.set(row.id, row);
  missing.forEach(id => asked.delete(id));
  draw();
}

// --- the list: only what is in sight exists ---

function drawList() {
  const list = $("list"), first = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - 4);
  const last = Math.min(ids.length, first + Math.ceil(list.clientHeight / HEIGHT) + 8);
  $("rows").style.height = ids.length * HEIGHT + "px";
  for (const [index, item] of items) {
    if (index < first || index >= last) { item.remove(); items.delete(index); }
  }
  for (let index = first; index < last; index++) {
    if (!items.has(index)) items.set(index, newItem(index));
    fill(items.get(index), index);
  }
  const from = Math.floor(first / PAGE) * PAGE;
  fetchRows(ids.slice(from, from + 2 * PAGE)).catch(alarm);
}

function newItem(index) {
  const item = make("button", undefined, "item"), image = make("img"), text = make("span");
  item.style.top = index * HEIGHT + "px";
  item.tabIndex = -1;
  item.onclick = () => go(index);
  image.alt = "";
  image.src = "thumb?id=" + ids[index];
  text.append(make("b"), make("small"));
  item.append(image, text, make("span", "", "done"));
  $("rows").append(item);
  return item;
}

function fill(item, index) {
  const row = rows.get(ids[index]), [, text, done] = item.children;
  item.classList.toggle("now", index === now);
  const words = row ? [row.true + " → " + row.predicted, [...said(row), ...row.tags].join(", "), row.looked ? "✓" : ""] : ["", "", ""];
  [text.children[0], text.children[1], done].forEach((node, place) => { if (node.textContent !== words[place]) node.textContent = words[place]; });
}

function go(index) {
  now = Math.max(0, Math.min(ids.length - 1, index));
  const list = $("list"), top = now * HEIGHT;
  if (top < list.scrollTop) list.scrollTop = top;
  if (top + HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top + HEIGHT - list.clientHeight;
  draw();
}

// --- one picture ---

function draw() {
  drawList();
  const row = current();
  $("nothing").hidden = ids.length > 0;
  $("picture").hidden = !row;
  for (const id of ["true", "said"]) $(id).replaceChildren();
  $("facts").replaceChildren();
  if (row) drawRow(row);
  drawTags(row);
  drawJudge(row);
  const after = rows.get(ids[now + 1]);
  if (after) new Image().src = "picture?id=" + after.id;
}

function drawRow(row) {
  const image = $("picture"), source = "picture?id=" + row.id;
  if (image.getAttribute("src") !== source) {
    image.onload = () => image.classList.toggle("small", Math.max(image.naturalWidth, image.naturalHeight) < 100);
    image.src = source;
    image.alt = row.key;
  }
  $("true").append(row.true || "(no label)", " ", make("small", row.p_true === null ? "label" : "label, probability " + row.p_true));
  $("said").className = "said" + (row.wrong ? "" : " right");
  $("said").append(row.predicted || "(nothing)", " ", make("small", row.p_predicted === null ? "the network" : "the network, probability " + row.p_predicted));
  const fact = (name, value) => { const node = make("span", name + " "); node.append(make("b", value)); return node; };
  $("facts").append(make("span", row.key, "file"), fact("loss", number(row.loss)), fact("error", number(row.error)));
  if (row.nearest) $("facts").append(fact("nearest class", row.nearest));
  row.traits.forEach(name => $("facts").append(make("span", name, "trait")));
  if (!$("cells").contains(document.activeElement)) drawCells(row);
}

function drawCells(row) {
  const field = name => {
    const label = make("label", name), input = make("input");
    input.value = row.cells[name] || "";
    input.dataset.column = name;
    input.onchange = () => mark(row, "cell", name, input.value.trim(), row.cells[name] || "");
    input.onkeydown = event => { if (event.key === "Enter" || event.key === "Escape") input.blur(); };
    label.append(input);
    return label;
  };
  const more = make("button");
  more.append(make("kbd", "c"), " new column");
  more.onclick = newColumn;
  $("cells").replaceChildren(...state.columns.map(field), more);
}

function drawTags(row) {
  $("tags").replaceChildren(...state.tags.map((tag, place) => {
    const button = make("button", undefined, "tag");
    button.setAttribute("aria-pressed", row ? row.tags.includes(tag.name) : false);
    button.classList.toggle("waiting", Boolean(row && row.waiting === tag.name));
    button.append(make("kbd", KEYS[place] || "·"), make("span", tag.name, "name"), make("span", tag.count, "count"));
    if (tag.slice) button.append(make("small", tag.slice.sentence + ` (${share(tag.slice.share)} of the error, ${share(tag.slice.range[0])} to ${share(tag.slice.range[1])})`));
    button.onclick = () => { toggle(place); button.blur(); };
    return button;
  }));
  $("slices").replaceChildren(...state.automatic.map(item => {
    const line = make("li");
    line.append(make("span", item.name), make("span", share(item.share)), make("small", item.sentence));
    return line;
  }));
  $("progress").textContent = `${state.mistakes} mistakes in ${state.examples} pictures; ${state.looked} looked at`;
  $("progress").title = "Mistake: " + state.rule;
}

function drawJudge(row) {
  for (const verdict of ["relabel", "accept", "drop"]) {
    $(verdict).setAttribute("aria-pressed", Boolean(row && row.verdict === verdict));
  }
  $("class").hidden = !state.classes.length;
  $("class").disabled = !row || row.verdict !== "relabel";
  $("class").value = row && row.verdict === "relabel" ? row.label : "";
}

// --- what a person says ---

async function mark(row, kind, name, value, before) {
  try {
    const answer = await change("mark", { id: row.id, kind, name, value });
    rows.set(row.id, answer.row);
    if (before !== undefined) undo.push({ id: row.id, kind, name, value: before });
    take(answer);
  } catch (error) {
    delete row.waiting;
    alarm(error);
  }
  draw();
}

function take(answer) {
  const columns = state.columns.length;
  Object.assign(state, { tags: answer.tags, columns: answer.columns, looked: answer.looked });
  if (columns !== state.columns.length && current()) drawCells(current());
  drawViews();
}

function toggle(place) {
  const row = current(), tag = state.tags[place];
  if (!row || !tag) return;
  const on = row.tags.includes(tag.name);
  row.waiting = tag.name;
  drawTags(row);
  return mark(row, "tag", tag.name, on ? "" : "1", on ? "1" : "");
}

async function judge(verdict) {
  const row = current();
  if (!row) return;
  const value = row.verdict === verdict ? "" : verdict;
  await mark(row, "label", "verdict", value, row.verdict);
  const label = value === "relabel" ? row.label || (row.predicted === row.true ? "" : row.predicted) : "";
  if (state.classes.length && label !== row.label) await mark(rows.get(row.id), "label", "class", label);
}

async function newTag(name) {
  const known = state.tags.findIndex(tag => tag.name === name);
  if (known < 0) take(await change("name", { kind: "tag", name }));
  const place = state.tags.findIndex(tag => tag.name === name);
  const row = current();
  if (row && !row.tags.includes(name)) await toggle(place);
  draw();
}

async function newColumn() {
  const name = (window.prompt("Name of the new column") || "").trim();
  if (!name) return;
  take(await change("name", { kind: "cell", name }));
  drawCells(current());
  const input = $("cells").querySelectorAll("input")[state.columns.indexOf(name)];
  if (input) input.focus();
}

async function takeBack() {
  const last = undo.pop();
  if (!last) return;
  await fetchRows([last.id]);
  if (ids.includes(last.id)) go(ids.indexOf(last.id));
  await mark(rows.get(last.id), last.kind, last.name, last.value);
}

async function next() {
  const row = current();
  if (row && !row.looked) mark(row, "seen", "", "1");
  go(now + 1);
}

// --- keys ---

const ACTIONS = {
  " ": next, j: next, ArrowDown: next, Enter: next,
  k: () => go(now - 1), ArrowUp: () => go(now - 1), Home: () => go(0), End: () => go(ids.length - 1),
  w: () => judge("relabel"), o: () => judge("accept"), d: () => judge("drop"),
  t: () => $("new").focus(), c: newColumn, u: takeBack,
  n: () => { const input = $("cells").querySelector("input"); if (input) { input.focus(); input.select(); } else newColumn(); },
};

document.addEventListener("keydown", event => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") { prefix = ""; return; }
  if (event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter") && event.target.closest("aside, header, #cells")) return;
  if (event.key === "0" && !prefix) { prefix = "0"; event.preventDefault(); return; }
  const place = KEYS.indexOf(prefix + event.key), pressed = prefix;
  prefix = "";
  const act = place >= 0 ? () => toggle(place) : pressed ? null : ACTIONS[event.key];
  if (!act) return;
  event.preventDefault();
  Promise.resolve(act()).catch(alarm);
});

$("new").onkeydown = event => {
  if (event.key === "Escape") event.target.blur();
  const name = event.target.value.trim().replace(/\s+/g, " ");
  if (event.key !== "Enter" || !name) return;
  event.target.value = "";
  event.target.blur();
  newTag(name).catch(alarm);
};
for (const verdict of ["relabel", "accept", "drop"]) $(verdict).onclick = event => { judge(verdict).catch(alarm); event.currentTarget.blur(); };
$("class").onchange = event => { mark(current(), "label", "class", event.target.value, current().label); event.target.blur(); };
$("list").onscroll = drawList;
window.onresize = drawList;
$("sheets").onclick = () => change("sheets", {}).then(files => { $("sheets").textContent = "Written: " + files.map(file => file.split(/[\\/]/).pop()).join(", "); }).catch(alarm);

// --- views ---

function drawViews() {
  const chosen = $("view").value;
  const names = state.views.map(view => [view.name, view.count]);
  names.splice(1, 0, ["not looked at", state.mistakes - state.looked]);
  names.push(...state.tags.map(tag => ["tag: " + tag.name, tag.count]));
  $("view").replaceChildren(...names.map(([name, count]) => { const option = make("option", `${name} (${count})`); option.value = name; return option; }));
  if (names.some(([name]) => name === chosen)) $("view").value = chosen;
  else $("view").value = names[0][0];
}

async function show() {
  ids = await read("view", { name: $("view").value, order: $("order").value });
  now = 0;
  items.clear();
  $("rows").replaceChildren();
  $("list").scrollTop = 0;
  await fetchRows(ids.slice(0, PAGE));
  draw();
}

for (const id of ["view", "order"]) $(id).onchange = event => { show().catch(alarm); event.target.blur(); };

(async () => {
  state = await read("state");
  $("class").replaceChildren(make("option", "should be ..."), ...state.classes.map(name => make("option", name)));
  $("class").firstChild.value = "";
  drawViews();
  await show();
  document.body.dataset.ready = "yes";
})().catch(alarm);
