// The page of `wsss tag`: what it shows, and the steps that it sends; keys.js has the selection and the keys. Names of photos and classes are foreign: they become text, and never HTML.
"use strict";

const at = (id) => document.getElementById(id);
const state = { photos: [], tags: [], news: { classes: [] }, likely: {}, doubtful: [], order: "name", like: 0, filter: "untagged" };
let shown = []; // numbers of the photos in the grid, in its order
let cells = new Map(); // number → its element
let selected = new Set();
let cursor = 0; // places in `shown`: of the keyboard, and where a range began
let anchor = 0;
let sending = Promise.resolve(); // steps are sent one after the other, in the order of the keys

function say(text) {
  at("message").textContent = text;
}

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("wsss tag has ended, or cannot be reached: nothing more is saved. Start it again, and use its new address.");
  }
  if (answer.status === 403) throw new Error("This address is of an earlier wsss tag. Use the one that it has printed now.");
  const found = await answer.json();
  if (!answer.ok) throw new Error(`${found.where}: ${found.what}; ${found.fix}`);
  return found;
}

function element(kind, className, text) {
  const made = document.createElement(kind);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// ---- what is shown

function drawTags(number) {
  const cell = cells.get(number);
  if (!cell) return;
  const tags = state.tags[number];
  const row = cell.querySelector(".tags");
  row.replaceChildren();
  for (const tag of tags || []) row.append(element("span", "", tag));
  if (tags && !tags.length) row.append(element("span", "", "no class"));
  const likely = tags ? [] : state.likely[number] || [];
  for (const [tag, chance] of likely) row.append(element("span", "likely", `${tag}? ${Math.round(100 * chance)} %`));
  const said = tags ? tags.join(", ") || "no class" : likely.length ? `perhaps ${likely.map(([tag]) => tag).join(", ")}` : "not tagged";
  cell.setAttribute("aria-label", `${state.photos[number]}: ${said}`);
}

function cellOf(number) {
  const cell = element("div", "photo");
  cell.setAttribute("role", "option");
  cell.tabIndex = -1;
  const image = element("img");
  image.alt = "";
  image.loading = "lazy";
  image.draggable = false;
  image.addEventListener("error", () => cell.classList.add("broken"));
  image.src = `small/${number}`;
  const name = element("div", "name", state.photos[number]);
  name.title = state.photos[number];
  cell.append(image, element("div", "tags"), name);
  cell.addEventListener("click", (event) => click(shown.indexOf(number), event));
  cell.addEventListener("dblclick", look);
  return cell;
}

function drawGrid() {
  const old = cells;
  cells = new Map();
  for (const number of shown) cells.set(number, old.get(number) || cellOf(number));
  at("grid").replaceChildren(...cells.values());
  for (const number of shown) drawTags(number);
  at("empty").hidden = shown.length > 0;
  const early = state.filter === "doubtful" && !state.news.version;
  at("empty").textContent = early
    ? `Doubtful photos are known when ${state.news.first} photos are tagged.`
    : state.filter === "all" ? "There are no photos." : `No ${state.filter} photos.`;
}

function drawSelection() {
  for (const [number, cell] of cells) {
    const on = String(selected.has(number));
    if (cell.getAttribute("aria-selected") !== on) cell.setAttribute("aria-selected", on);
  }
  cells.forEach((cell) => { cell.tabIndex = -1; });
  const here = cells.get(shown[cursor]);
  if (here) here.tabIndex = 0;
  drawClasses();
}

function pressed(test) {
  const hits = [...selected].filter(test).length;
  return !hits ? "false" : hits === selected.size ? "true" : "mixed";
}

function drawClasses() {
  const many = selected.size;
  const only = many === 1 ? state.photos[[...selected][0]] : "";
  at("chosen").textContent = many ? (only ? only : `${many} photos are selected.`) : "No photo is selected.";
  const made = state.news.classes.map(({ name, count }, place) => {
    const button = element("button");
    button.type = "button";
    button.disabled = !many;
    button.setAttribute("aria-pressed", pressed((number) => (state.tags[number] || []).includes(name)));
    button.append(element("kbd", "", place < 9 ? place + 1 : ""), element("span", "", name), element("b", "", count));
    button.addEventListener("click", () => toggle(name));
    return button;
  });
  // A button that has the focus keeps it.
  const place = [...at("classes").children].indexOf(document.activeElement);
  at("classes").replaceChildren(...made);
  if (made[place]) made[place].focus();
  at("none").disabled = !many;
  at("none").setAttribute("aria-pressed", pressed((number) => state.tags[number] && !state.tags[number].length));
  at("nones").textContent = state.tags.filter((tags) => tags && !tags.length).length;
  at("accept").disabled = ![...selected].some((number) => !state.tags[number] && state.likely[number]);
}

function drawNews() {
  const { done, seen, undoable, alike, failed, first, version } = state.news;
  const all = state.photos.length;
  at("counts").textContent = `${done} of ${all} photos are tagged`;
  at("bar").max = all;
  at("bar").value = done;
  at("undo").disabled = !undoable;
  document.querySelector("[data-order=alike]").disabled = !alike;
  document.querySelector("[data-order=like]").disabled = !seen;
  at("looking").textContent = failed
    ? `No suggestions: ${failed}`
    : [
        seen < all ? `Looking at the photos: ${seen} of ${all}.` : alike ? "" : "Ordering the photos.",
        version ? "" : `Suggestions begin when ${first} photos are tagged${state.news.classes.length ? "" : "; first, add a class"}.`,
      ].join(" ");
  drawClasses();
}

function take(news) {
  state.news = news;
  if (news.likely) {
    state.likely = news.likely;
    state.doubtful = news.doubtful;
    for (const number of shown) drawTags(number);
  }
  drawNews();
}

async function list() {
  let order = state.photos.map((_, number) => number);
  if (state.order === "alike") order = await ask("order?by=alike");
  if (state.order === "like") order = await ask(`order?by=like&number=${state.like}`);
  if (state.filter === "untagged") order = order.filter((number) => !state.tags[number]);
  if (state.filter === "doubtful") {
    const doubtful = new Set(state.doubtful);
    order = state.order === "name" ? state.doubtful : order.filter((number) => doubtful.has(number));
  }
  const before = shown[cursor];
  shown = order;
  selected = new Set([...selected].filter((number) => shown.includes(number)));
  cursor = state.order === "like" ? 0 : Math.max(0, shown.indexOf(before));
  anchor = cursor;
  if (!selected.size && shown.length) selected.add(shown[cursor]);
  for (const button of document.querySelectorAll("[data-filter]")) button.setAttribute("aria-pressed", String(button.dataset.filter === state.filter));
  for (const button of document.querySelectorAll("[data-order]")) button.setAttribute("aria-pressed", String(button.dataset.order === state.order));
  drawGrid();
  drawSelection();
}

// ---- steps

function step(work) {
  sending = sending.then(async () => {
    try {
      await work();
      say("");
    } catch (error) {
      say(error.message);
    }
  });
  return sending;
}

function changed(answer) {
  for (const [number, tags] of Object.entries(answer.tags)) {
    state.tags[number] = tags;
    drawTags(Number(number));
  }
  take(answer.news);
}

// What is to be done is decided in turn, too: two quick presses of one key are on and off.
const send = (find) => step(async () => {
  const changes = find();
  if (changes.length) changed(await ask("tag", { changes }));
});

function toggle(name) {
  const photos = [...selected];
  send(() => photos.length ? [{ photos, class: name, on: !photos.every((number) => (state.tags[number] || []).includes(name)) }] : []);
}

function toggleNone() {
  const photos = [...selected];
  send(() => photos.length ? [{ photos, class: null, on: !photos.every((number) => state.tags[number] && !state.tags[number].length) }] : []);
}

function accept() {
  const photos = [...selected].filter((number) => !state.tags[number]);
  send(() => photos.flatMap((number) => (state.likely[number] || []).map(([name]) => ({ photos: [number], class: name, on: true }))));
}

const undo = () => step(async () => changed(await ask("undo", {})));

async function watch() {
  try {
    take(await ask(`news?version=${state.news.version}`));
  } catch (error) {
    say(error.message);
  }
  setTimeout(watch, 2000);
}

step(async () => {
  const found = await ask("state");
  state.photos = found.photos;
  state.tags = found.tags;
  at("folder").textContent = found.folder;
  take(await ask("news"));
  await list();
  setTimeout(watch, 1000);
});
