// The gallery's tools: order of the photos, which classes they show, which pictures are laid side by side.
(() => {
  "use strict";
  const tools = document.querySelector("#tools"), found = document.querySelector("#found"), main = document.querySelector("main");
  const search = tools.querySelector("input");
  const collator = new Intl.Collator(undefined, { numeric: true });
  const number = (text) => text === "" ? null : Number(text);
  const groups = [...document.querySelectorAll(".cards")].map((element) => ({
    element,
    cards: [...element.children].map((card, place) => ({
      card,
      place,
      classes: new Set(card.dataset.classes.split(" ")),
      iou: number(card.dataset.iou),
      coverage: number(card.dataset.coverage),
      disagreement: number(card.dataset.disagreement),
      confidence: number(card.dataset.confidence),
      name: card.querySelector("h3").title,
    })),
  }));

  // Photos without the number come last; ties stay in the order in which the page came.
  const sort = (order) => {
    const [key, sign] = order.split(" ");
    const compare = key === "name"
      ? (a, b) => collator.compare(a.name, b.name) || a.place - b.place
      : (a, b) => (a[key] === null) - (b[key] === null) || sign * ((a[key] ?? 0) - (b[key] ?? 0)) || a.place - b.place;
    for (const { element, cards } of groups) element.append(...[...cards].sort(compare).map((each) => each.card));
  };
  const filter = () => {
    const part = search.value.trim().toLowerCase();
    const wanted = [...document.querySelectorAll("#legend button[aria-pressed=true]")].map((each) => each.dataset.number);
    let count = 0;
    for (const { cards } of groups) {
      for (const { card, classes, name } of cards) {
        card.hidden = !(name.toLowerCase().includes(part) && wanted.every((each) => classes.has(each)));
        count += !card.hidden;
      }
    }
    found.textContent = wanted.length || part ? `${count} photos shown` : "";
  };
  const panels = () => {
    const shown = [...tools.querySelectorAll("button[data-panel]")].filter((each) => {
      const on = each.getAttribute("aria-pressed") === "true";
      main.classList.toggle(`no${each.dataset.panel}`, !on);
      return on;
    });
    main.classList.toggle("odd", shown.length % 2 === 1);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-number], button[data-panel]");
    if (!button) return;
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
    if (button.dataset.number) filter();
    else panels();
  });
  search.addEventListener("input", filter);
  // On a wide screen the choices are always open, and headings stay clear of the bar that they stick in.
  const wide = matchMedia("(min-width: 761px)");
  const fold = () => { tools.querySelector("#choices").open = wide.matches; };
  wide.addEventListener("change", fold);
  fold();
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--sticky", wide.matches ? `${tools.offsetHeight}px` : "0px");
  }).observe(tools);
  // Cards get their height when they are first drawn, and the bar its own: go to the place again when both are known.
  const settle = () => requestAnimationFrame(() => requestAnimationFrame(() => {
    document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }));
  addEventListener("load", settle);
  addEventListener("hashchange", settle);
  tools.querySelector("select").addEventListener("change", (event) => sort(event.target.value));
})();
