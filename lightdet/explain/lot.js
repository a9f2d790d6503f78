"use strict";
// Orders and filters the parts of a lot.
const list = document.getElementById("lot");
const [find, order, shown] = ["find", "order", "shown"].map((id) => document.getElementById(id));
const choices = ["class", "verdict"].map((id) => document.getElementById(id)).filter(Boolean);

function fits(part) {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  const named = part.dataset.name.toLowerCase();
  const chosen = choices.every((choice) => choice.selectedIndex === 0 || part.dataset[choice.id] === choice.value);
  return chosen && words.every((word) => named.includes(word));
}

function compare(first, second) {
  const key = order.value.replace("-", "");
  const [a, b] = [first.dataset[key], second.dataset[key]];
  if (key === "name") return a.localeCompare(b, undefined, { numeric: true });
  return (order.value.startsWith("-") ? -1 : 1) * (Number(a) - Number(b));
}

function update() {
  const parts = [...list.children];
  for (const part of parts) part.hidden = !fits(part);
  list.append(...parts.sort(compare));
  shown.textContent = `${parts.filter((part) => !part.hidden).length} of ${parts.length}`;
}

for (const control of [find, order, ...choices]) control.addEventListener("input", update);
document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
update();
