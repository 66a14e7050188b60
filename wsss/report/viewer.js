// The dialog: the pictures of one photo, two of them with a divider between them, and zoom.
(() => {
  "use strict";
  const box = document.querySelector("dialog");
  const find = (selector) => box.querySelector(selector);
  const stage = find(".stage"), handle = find(".handle"), heading = find("h2"), keys = find(".keys"), legend = find("ul");
  const under = find(".under"), over = find(".over"), left = find(".left"), right = find(".right");
  const MOST = 16;
  let cards = [], place = 0, views = [], shown = [0, 0], split = false, at = 50;
  let zoom = { scale: 1, x: 0, y: 0 };

  // A picture's name is its panel's title and, where the panel has several, its own.
  const viewsOf = (card) => [...card.querySelectorAll("figure a")].flatMap((link) => {
    const { title, note, classes } = link.dataset;
    const buttons = [...link.parentElement.querySelectorAll("button[data-file]")];
    return buttons.length
      ? buttons.map((each, number) => ({
        title, name: `${title}: ${each.textContent}`, file: each.dataset.file, classes: each.dataset.classes, note: number ? "" : note,
      }))
      : [{ title, name: title, file: link.getAttribute("href"), classes, note }];
  });
  const same = (wanted) => {
    const found = views.findIndex((view) => view.name === wanted.name);
    return found >= 0 ? found : Math.max(0, views.findIndex((view) => view.title === wanted.title));
  };
  // The names and colours of these classes, as the card has them; numbers beside them are of the card.
  const named = (card, classes) => classes.flatMap((number) => {
    const found = card.querySelector(`:scope > .swatches [data-number="${number}"]`);
    if (!found) return [];
    const copy = found.cloneNode(true);
    for (const each of copy.querySelectorAll("b, span")) each.remove();
    return [copy];
  });
  const numbers = (text) => text ? text.split(" ") : [];
  const turn = (value, count) => (value + count) % count;

  const fill = (layer, view) => {
    const picture = layer.querySelector("img");
    picture.src = view.file;
    picture.alt = `${view.name} of ${cards[place].querySelector("h3").textContent}`;
    layer.querySelector("span").textContent = view.note && !split ? `${view.name} · ${view.note}` : view.name;
  };
  const draw = () => {
    fill(split ? over : under, views[shown[0]]);
    if (split) fill(under, views[shown[1]]);
    const classes = (split ? shown : [shown[0]]).flatMap((number) => numbers(views[number].classes));
    legend.replaceChildren(...named(cards[place], [...new Set(classes)]));
    over.hidden = handle.hidden = right.hidden = !split;
    stage.classList.toggle("split", split);
    find("[data-do=slider]").setAttribute("aria-pressed", split);
    [left, right].forEach((row, side) => {
      for (const tab of row.querySelectorAll("button")) tab.setAttribute("aria-pressed", Number(tab.dataset.view) === shown[side]);
    });
  };
  const list = () => {
    [left, right].forEach((row, side) => row.replaceChildren(
      Object.assign(document.createElement("small"), { textContent: side ? "right" : split ? "left" : "" }),
      ...views.map((view, number) => {
        const tab = document.createElement("button");
        tab.type = "button";
        tab.dataset.view = number;
        tab.dataset.side = side;
        tab.textContent = view.name;
        return tab;
      }),
    ));
  };
  const load = () => {
    const card = cards[place];
    views = viewsOf(card);
    heading.textContent = card.querySelector("h3").textContent + " ";
    heading.append(Object.assign(document.createElement("small"), { textContent: `${place + 1} of ${cards.length}` }));
    list();
  };
  const go = (step) => {
    const names = shown.map((number) => views[number]);
    place = turn(place + step, cards.length);
    load();
    shown = names.map(same);
    draw();
  };
  const next = (side, step) => { shown[side] = turn(shown[side] + step, views.length); draw(); };
  // The other side of the divider begins with what comes next in the pipeline.
  const after = (first) => Math.max(0, views.findIndex((view, number) => number > first && view.title !== views[first].title));
  const slider = () => {
    split = !split;
    if (shown[0] === shown[1]) shown[1] = after(shown[0]);
    list();
    draw();
  };
  const divide = (share) => {
    at = Math.min(100, Math.max(0, share));
    stage.style.setProperty("--at", `${at}%`);
    handle.setAttribute("aria-valuenow", Math.round(at));
  };
  const zoomTo = (scale, x, y) => {
    const { clientWidth: width, clientHeight: height } = stage;
    const within = (offset, side) => Math.min(0, Math.max(side - side * scale, offset));
    zoom = { scale, x: within(x, width), y: within(y, height) };
    stage.style.setProperty("--scale", zoom.scale);
    stage.style.setProperty("--x", `${zoom.x}px`);
    stage.style.setProperty("--y", `${zoom.y}px`);
    stage.classList.toggle("zoomed", scale > 1);
  };
  const zoomBy = (factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) => {
    const scale = Math.min(MOST, Math.max(1, zoom.scale * factor));
    zoomTo(scale, x - (x - zoom.x) * scale / zoom.scale, y - (y - zoom.y) * scale / zoom.scale);
  };
  const open = (link) => {
    const card = link.closest("article"), epochs = (each) => each.closest("#epochs");
    // The strips of epochs are no photos of the list, and are always there.
    cards = [...document.querySelectorAll("article:not([hidden])")].filter((each) => epochs(each) === epochs(card));
    place = cards.indexOf(card);
    load();
    const pressed = link.parentElement.querySelector("button[data-file][aria-pressed=true]");
    const first = views.findIndex((view) => view.file === (pressed ? pressed.dataset.file : link.getAttribute("href")));
    shown = [first, after(first)];
    box.showModal();
    zoomTo(1, 0, 0);
    draw();
  };
  const help = () => {
    keys.hidden = !keys.hidden;
    find("[data-do=keys]").setAttribute("aria-pressed", !keys.hidden);
  };
  const actions = {
    previous: () => go(-1), next: () => go(1), slider, keys: help, close: () => box.close(),
    smaller: () => zoomBy(1 / 1.5), larger: () => zoomBy(1.5),
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("figure a");
    if (link && !(event.ctrlKey || event.metaKey || event.shiftKey)) { event.preventDefault(); open(link); return; }
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.do) actions[button.dataset.do]();
    else if (button.dataset.view) { shown[button.dataset.side] = Number(button.dataset.view); draw(); }
    else if (button.dataset.file) {
      const figure = button.closest("figure");
      figure.querySelector("a").href = figure.querySelector("img").src = button.dataset.file;
      figure.querySelector(".swatches")?.replaceChildren(...named(figure.closest("article"), numbers(button.dataset.classes)));
      for (const each of figure.querySelectorAll("button")) each.setAttribute("aria-pressed", each === button);
    }
  });
  box.addEventListener("close", () => {
    const link = cards[place].querySelector("figure a");
    cards[place].scrollIntoView({ block: "nearest" });
    link.focus({ preventScroll: true });
  });
  document.addEventListener("keydown", (event) => {
    if (!box.open || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (step) {
      const across = event.key === "ArrowLeft" || event.key === "ArrowRight";
      if (across && split && (event.shiftKey || document.activeElement === handle)) divide(at + 2 * step);
      else if (across) go(step);
      else next(split && event.shiftKey ? 1 : 0, step);
    } else if (event.key === "s") slider();
    else if (event.key === "+" || event.key === "=") zoomBy(1.5);
    else if (event.key === "-") zoomBy(1 / 1.5);
    else if (event.key === "0") zoomTo(1, 0, 0);
    else if (event.key === "?") help();
    else return;
    event.preventDefault();
  });

  // Pointers: a finger or the mouse moves the divider or the enlarged picture, two fingers zoom.
  const pointers = new Map();
  let drag = null;
  const inside = (event) => {
    const frame = stage.getBoundingClientRect();
    return { x: event.clientX - frame.left, y: event.clientY - frame.top, width: frame.width };
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button || event.target.closest(".keys")) return;
    stage.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, inside(event));
    const onHandle = event.target === handle;
    drag = { moved: pointers.size > 1, divider: split && (onHandle || zoom.scale === 1) };
    if (onHandle) handle.focus();
  });
  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = inside(event);
    if (Math.hypot(now.x - before.x, now.y - before.y) < 4 && !drag.moved) return;
    drag.moved = true;
    const other = [...pointers].find(([id]) => id !== event.pointerId);
    if (other) {
      const { x, y } = other[1];
      const spread = (point) => Math.max(1, Math.hypot(point.x - x, point.y - y));
      zoomBy(spread(now) / spread(before), (now.x + x) / 2, (now.y + y) / 2);
    } else if (drag.divider) divide(100 * now.x / now.width);
    else zoomTo(zoom.scale, zoom.x + now.x - before.x, zoom.y + now.y - before.y);
    pointers.set(event.pointerId, now);
  });
  const lift = (event) => {
    if (!pointers.delete(event.pointerId) || pointers.size || event.type === "pointercancel" || drag.moved) return;
    if (drag.divider) { const now = inside(event); divide(100 * now.x / now.width); }
    else if (!split) next(0, 1);
  };
  stage.addEventListener("pointerup", lift);
  stage.addEventListener("pointercancel", lift);
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { x, y } = inside(event);
    zoomBy(Math.exp(-event.deltaY / 400), x, y);
  }, { passive: false });

  divide(50);
  document.documentElement.classList.add("js");
})();
