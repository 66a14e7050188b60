// Keys, clicks and buttons of the page of `wsss tag`: what is selected, and which step they mean.
"use strict";

function select(place, extend) {
  if (!shown.length) return;
  cursor = Math.min(Math.max(place, 0), shown.length - 1);
  if (!extend) anchor = cursor;
  selected = new Set(shown.slice(Math.min(anchor, cursor), Math.max(anchor, cursor) + 1));
  drawSelection();
  const cell = cells.get(shown[cursor]);
  cell.focus({ preventScroll: true });
  cell.scrollIntoView({ block: "nearest" });
}

function click(place, event) {
  if (!event.ctrlKey && !event.metaKey) return select(place, event.shiftKey);
  const number = shown[place];
  if (!selected.delete(number)) selected.add(number);
  cursor = anchor = place;
  drawSelection();
  cells.get(number).focus({ preventScroll: true });
}

function columns() {
  return Math.max(1, getComputedStyle(at("grid")).gridTemplateColumns.split(" ").length);
}

function look() {
  const number = shown[cursor];
  if (number === undefined) return;
  at("picture").src = `large/${number}`;
  at("picture").alt = at("caption").textContent = state.photos[number];
  if (!at("viewer").open) at("viewer").showModal();
}

function orderLike() {
  if (!state.news.seen || !shown.length) return;
  state.order = "like";
  state.like = shown[cursor];
  step(list);
}

const moves = {
  ArrowLeft: () => -1, ArrowRight: () => 1, ArrowUp: () => -columns(), ArrowDown: () => columns(),
  PageUp: () => -3 * columns(), PageDown: () => 3 * columns(), Home: () => -shown.length, End: () => shown.length,
};
const keys = {
  0: toggleNone, Enter: accept, u: undo, l: orderLike, n: () => step(list), " ": look,
  a: () => { selected = new Set(shown); drawSelection(); },
};

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input") || event.altKey) return;
  const open = at("viewer").open;
  if ((event.ctrlKey || event.metaKey) && event.key === "z") {
    event.preventDefault();
    undo();
  } else if (event.ctrlKey || event.metaKey) {
    return;
  } else if (event.key in moves) {
    event.preventDefault();
    select(cursor + moves[event.key](), event.shiftKey);
    if (open) look();
  } else if (/^[1-9]$/.test(event.key)) {
    const found = state.news.classes[Number(event.key) - 1];
    if (found) toggle(found.name);
  } else if (event.key in keys) {
    if ((event.key === "Enter" || event.key === " ") && event.target.matches("button, summary")) return;
    event.preventDefault();
    if (open && event.key === " ") at("viewer").close();
    else keys[event.key]();
  }
});

for (const button of document.querySelectorAll("[data-filter]")) {
  button.addEventListener("click", () => { state.filter = button.dataset.filter; step(list); });
}
for (const button of document.querySelectorAll("[data-order]")) {
  button.addEventListener("click", () => {
    if (button.dataset.order === "like") return orderLike();
    state.order = button.dataset.order;
    step(list);
  });
}
at("undo").addEventListener("click", undo);
at("none").addEventListener("click", toggleNone);
at("accept").addEventListener("click", accept);
at("close").addEventListener("click", () => at("viewer").close());
at("adding").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = at("name").value;
  step(async () => {
    take(await ask("class", { name }));
    at("name").value = "";
  });
});
