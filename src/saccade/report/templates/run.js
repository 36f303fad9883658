"use strict";
// a cursor that reads the curves at the nearest place
for (const svg of document.querySelectorAll("svg[data-curves]")) {
  const data = JSON.parse(svg.dataset.curves);
  const readout = svg.parentElement.querySelector(".readout");
  const cursor = svg.querySelector(".cursor");
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    let near = 0;
    data.px.forEach((px, i) => { if (Math.abs(px - x) < Math.abs(data.px[near] - x)) near = i; });
    cursor.setAttribute("x1", data.px[near]);
    cursor.setAttribute("x2", data.px[near]);
    const values = data.series.map((one) => `${one.name} ${one.y[near]}`).join(", ");
    readout.textContent = `${data.across} ${data.x[near]}: ${values}`;
  });
  svg.addEventListener("pointerleave", () => {
    cursor.setAttribute("x1", -9);
    cursor.setAttribute("x2", -9);
    readout.textContent = "";
  });
}
// the confusion matrix says in words what lies under the pointer
for (const svg of document.querySelectorAll("svg[data-matrix]")) {
  const data = JSON.parse(svg.dataset.matrix);
  const readout = svg.parentElement.querySelector(".readout");
  const pick = svg.querySelector(".pick");
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / box.width;
    const column = Math.floor(((event.clientX - box.left) * scale - data.margin) / data.cell);
    const row = Math.floor(((event.clientY - box.top) * scale - data.margin) / data.cell);
    const size = data.names.length;
    if (row < 0 || column < 0 || row >= size || column >= size) return;
    pick.setAttribute("x", data.margin + column * data.cell);
    pick.setAttribute("y", data.margin + row * data.cell);
    const count = data.counts[row][column], total = data.totals[row];
    const share = total ? ` (${(100 * count / total).toFixed(1)} %)` : "";
    readout.textContent =
      `true ${data.names[row]}, predicted ${data.names[column]}: ${count} of ${total}${share}`;
  });
}
// tables sort by the column whose head is clicked
for (const head of document.querySelectorAll("th.sortable")) {
  head.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0];
    const place = head.cellIndex;
    const rising = head.dataset.rising !== "yes";
    head.dataset.rising = rising ? "yes" : "no";
    const key = (row) => row.cells[place].dataset.key ?? row.cells[place].textContent;
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      const order = isNaN(x) || isNaN(y) ? String(x).localeCompare(String(y)) : x - y;
      return rising ? order : -order;
    });
    body.append(...rows);
  });
}
