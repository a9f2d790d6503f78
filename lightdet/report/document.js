"use strict";
// Sorts, filters and opens rows. Everything is written as text, never as markup.
const details = JSON.parse(document.getElementById("details").textContent);
const table = document.getElementById("rows");

function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

// ---------------------------------------------------------------- sorting

function sortValue(row, column) {
  const cell = row.cells[column];
  return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

function sortBy(header) {
  const owner = header.closest("table");
  const column = header.cellIndex;
  const numeric = header.classList.contains("number") && column > 0;
  const before = header.getAttribute("aria-sort");
  const order = before ? (before === "ascending" ? "descending" : "ascending") : numeric ? "descending" : "ascending";
  closeAll(owner);
  const body = owner.tBodies[0];
  const rows = [...body.rows].map((row, index) => ({ row, index, value: sortValue(row, column) }));
  const known = (item) => (header.classList.contains("number") ? typeof item.value === "number" : true);
  rows.sort((a, b) => {
    if (known(a) !== known(b)) return known(a) ? -1 : 1; // a row without the number comes last either way
    return (order === "ascending" ? 1 : -1) * compare(a.value, b.value) || a.index - b.index;
  });
  body.append(...rows.map((item) => item.row));
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", order);
}

// ---------------------------------------------------------------- filtering

const lists = [...document.querySelectorAll(".filters select")];
const find = document.getElementById("find");

function shows(row) {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.every((word) => row.dataset.find.includes(word))) return false;
  const choices = JSON.parse(row.dataset.choices);
  return lists.every((list) => {
    if (list.selectedIndex === 0) return true;
    return (list.dataset.key ? choices[list.dataset.key] : row.dataset.state) === list.value;
  });
}

function filter() {
  closeAll(table);
  const rows = [...table.tBodies[0].rows];
  const shown = new Set(rows.filter(shows).map((row) => row.dataset.row));
  for (const row of document.querySelectorAll("table:not(.whole) tr[data-row]")) row.hidden = !shown.has(row.dataset.row);
  const all = shown.size === rows.length;
  document.getElementById("shown").textContent = all ? "" : `${shown.size} of ${rows.length} rows`;
}

// ---------------------------------------------------------------- a row opened

function closeAll(owner) {
  for (const row of owner.querySelectorAll("tr.detail")) close(row.previousElementSibling);
}

function close(row) {
  row.nextElementSibling.remove();
  row.classList.remove("open");
  row.querySelector("button").setAttribute("aria-expanded", "false");
}

function open(row) {
  const shown = details.rows[row.dataset.row];
  const options = Object.entries(shown.options).map(([key, value]) => `${key}=${value}`).join("  ");
  const inner = make("div", { class: "inner" }, make("h3", {}, shown.label));
  for (const line of shown.compared) inner.append(make("p", {}, line));
  inner.append(make("p", { class: "facts" }, options));
  for (const job of shown.jobs) inner.append(...jobParts(job, shown.jobs.length > 1));
  row.after(make("tr", { class: "detail" }, make("td", { colspan: row.cells.length }, inner)));
  row.classList.add("open");
  row.querySelector("button").setAttribute("aria-expanded", "true");
}

function jobParts(job, several) {
  const run = details.runs[job.run];
  const state = job.done ? "finished" : "unfinished";
  const parts = [make("h3", { class: `status ${several ? state : ""}` }, `seed ${job.seed}: ${job.status}`)];
  const best = run.bestEpoch === null ? "" : `best epoch ${run.bestEpoch + 1}; `;
  const shares = Object.entries(run.point).map(([key, value]) => `${key.replaceAll("_", " ")} ${value.toFixed(3)}`);
  parts.push(make("p", { class: "facts" }, `${best}${[...shares, `folder ${job.run}`].join("; ")}`));
  for (const note of run.notes) parts.push(make("p", { class: "status failed" }, note));
  if (run.traceback) parts.push(make("p", { class: "facts" }, `traceback: ${run.traceback}`));
  const side = make("div", { class: "side" });
  if (Object.keys(run.classes).length) side.append(make("div", { class: "wide" }, classTable(run.classes)));
  const scores = Object.entries(run.curves).filter(([name]) => name !== details.loss);
  if (scores.length) side.append(captioned(chart(scores, "scores on validation, by epoch")));
  const loss = run.curves[details.loss];
  if (loss) side.append(captioned(chart([[details.loss, loss]], "training loss, by epoch")));
  parts.push(side);
  if (run.pictures.length) parts.push(gallery(run.pictures));
  else parts.push(make("p", { class: "facts" }, "this run has no pictures"));
  return parts;
}

function classTable(classes) {
  const header = make("tr", {}, ...["class", ...details.perClass].map((name) => make("th", {}, name)));
  const body = make("tbody");
  for (const [name, values] of Object.entries(classes)) {
    const cells = values.map((value) =>
      make("td", { class: "number" }, value === null ? "-" : Number.isInteger(value) && value > 1 ? String(value) : value.toFixed(3)));
    body.append(make("tr", {}, make("td", {}, name), ...cells));
  }
  return make("table", {}, make("thead", {}, header), body);
}

function chart(curves, title) {
  const width = 460, left = 42, right = 12, bottom = 26;
  const words = curves.map(([name, [, points]]) => `${name} ${points[points.length - 1].toFixed(3)}`);
  const places = []; // of the legend: x and line
  for (const [index, text] of words.entries()) {
    const [x, line] = index ? places[index - 1] : [left, 0];
    const after = index ? x + 28 + 6.6 * words[index - 1].length : x;
    places.push(after + 13 + 6.6 * text.length > width && index ? [left, line + 1] : [after, line]);
  }
  const top = 26 + 15 * places[places.length - 1][1], height = 204 + top;
  const node = (name, attributes, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const drawing = node("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": title });
  const lastEpoch = Math.max(1, ...curves.map(([, [epochs]]) => epochs[epochs.length - 1]));
  const values = curves.flatMap(([, points]) => points[1]).sort((a, b) => a - b);
  const usual = values[Math.floor(0.98 * (values.length - 1))];
  const highest = values[values.length - 1];
  const most = 1.05 * (highest < 2 * usual ? highest : 1.3 * usual) || 1; // a spike must not flatten the rest
  const step = niceStep(most / 4);
  const x = (epoch) => left + (epoch / lastEpoch) * (width - left - right);
  const y = (value) => height - bottom - (Math.min(value, most) / most) * (height - top - bottom);
  for (let value = 0; value <= most; value += step) {
    drawing.append(node("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "grid" }));
    drawing.append(node("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, String(Number(value.toPrecision(3)))));
  }
  for (let part = 0; part <= 4; part += 1) {
    const epoch = Math.round((lastEpoch * part) / 4);
    drawing.append(node("text", { x: x(epoch), y: height - 8, "text-anchor": part === 4 ? "end" : "middle" }, String(epoch)));
  }
  curves.forEach(([, [epochs, points]], index) => {
    const colour = `var(--line${index % 8})`;
    const path = epochs.map((epoch, k) => `${x(epoch).toFixed(1)},${y(points[k]).toFixed(1)}`).join(" ");
    if (epochs.length > 1) drawing.append(node("polyline", { points: path, style: `stroke:${colour}` }));
    else drawing.append(node("circle", { cx: x(epochs[0]), cy: y(points[0]), r: 4, style: `fill:${colour}` }));
    const [place, line] = places[index];
    drawing.append(node("rect", { x: place, y: 9 + 15 * line, width: 9, height: 9, style: `fill:${colour}` }));
    drawing.append(node("text", { x: place + 13, y: 17 + 15 * line }, words[index]));
  });
  return drawing;
}

function captioned(drawing) {
  return make("figure", {}, drawing, make("figcaption", {}, drawing.getAttribute("aria-label")));
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
}

// ---------------------------------------------------------------- pictures

const large = make("dialog");
large.append(make("img", { alt: "" }));
large.addEventListener("click", () => large.close());
document.body.append(large);

function gallery(pictures) {
  return make("div", { class: "gallery" }, ...pictures.map((picture) => shown(picture.src, picture.title)));
}

function shown(source, title) {
  const picture = make("img", { src: source, alt: title, loading: "lazy" });
  picture.addEventListener("click", (event) => {
    event.stopPropagation();
    large.firstChild.src = source;
    large.showModal();
  });
  return make("figure", {}, picture, make("figcaption", {}, title));
}

function firstOfEach(kind, id) {
  const section = document.getElementById(id);
  const place = section.querySelector(".gallery");
  const shared = new Map(); // rows that one training answers show its picture once
  for (const row of Object.keys(details.rows).map(Number).sort((a, b) => a - b)) {
    const first = (job) => details.runs[job.run].pictures.find((picture) => picture.kind === kind);
    const job = details.rows[row].jobs.find(first);
    if (!job) continue;
    if (!shared.has(job.run)) shared.set(job.run, { source: first(job).src, names: [] });
    shared.get(job.run).names.push(`row ${row}: ${details.rows[row].label}`);
  }
  for (const { source, names } of [...shared.values()].slice(0, 6)) place.append(shown(source, names.join("; ")));
  section.hidden = place.children.length === 0;
}

// ---------------------------------------------------------------- start

for (const header of document.querySelectorAll("th")) header.querySelector("button")?.addEventListener("click", () => sortBy(header));
for (const row of table.tBodies[0].rows) {
  row.addEventListener("click", () => (row.classList.contains("open") ? close(row) : open(row)));
}
for (const list of lists) list.addEventListener("change", filter);
find.addEventListener("input", filter);
document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
firstOfEach("overview", "examples");
firstOfEach("explained", "explained");
