// The gallery's tools: order of the photos, which of them are shown, which pictures are laid side by side.
(() => {
  "use strict";
  const tools = document.querySelector("#tools"), found = document.querySelector("#found"), main = document.querySelector("main");
  const search = tools.querySelector("input"), select = tools.querySelector("select");
  const legend = document.querySelector("#legend");
  const collator = new Intl.Collator(undefined, { numeric: true });
  const number = (text) => text === "" ? null : Number(text);
  const groups = [...document.querySelectorAll(".cards")].map((element) => ({
    element,
    cards: [...element.children].map((card, place) => ({
      card,
      place,
      classes: new Set(card.dataset.classes.split(" ")),
      rank: place,
      iou: number(card.dataset.iou),
      label: number(card.dataset.label),
      coverage: number(card.dataset.coverage),
      disagreement: number(card.dataset.disagreement),
      confidence: number(card.dataset.confidence),
      name: card.querySelector("h3").title,
      badge: card.querySelector("header > .bar"),
      judged: card.querySelector("header > .bar").cloneNode(true),
    })),
    lead: element.parentElement.querySelector(".lead"),
    left: element.parentElement.querySelector("h2 > .kept"),
    rule: element.parentElement.querySelector(".lead")?.textContent,
  }));

  // Photos without the number come last; ties stay in the order in which the page came.
  const sort = (order) => {
    const [key, sign] = order.split(" ");
    const compare = key === "name"
      ? (a, b) => collator.compare(a.name, b.name) || a.place - b.place
      : (a, b) => (a[key] === null) - (b[key] === null) || sign * ((a[key] ?? 0) - (b[key] ?? 0)) || a.place - b.place;
    for (const { element, cards } of groups) element.append(...[...cards].sort(compare).map((each) => each.card));
  };
  // The badge shows what the photos are sorted by, and the line above them says it.
  const say = ({ value, textContent, dataset }) => {
    const key = value.split(" ")[0], ranked = key === "rank";
    for (const { cards, lead, rule } of groups) {
      for (const each of cards) {
        const { badge, judged } = each, known = each[key] ?? null;
        if (!dataset.badge) {
          badge.replaceChildren(...judged.cloneNode(true).childNodes);
          badge.style.cssText = judged.style.cssText;
          badge.hidden = judged.hidden;
          continue;
        }
        badge.hidden = known === null;
        badge.style.setProperty("--share", known ?? 0);
        badge.replaceChildren(
          Object.assign(document.createElement("small"), { textContent: dataset.badge }), ` ${(100 * (known ?? 0)).toFixed(1)}\u00a0%`,
        );
      }
      lead.textContent = ranked ? rule : `${lead.dataset.count} Those shown are sorted by ${textContent.trim()}.`;
    }
  };
  const order = () => { sort(select.value); say(select.selectedOptions[0]); };
  const pressed = (kind) => [...tools.querySelectorAll(`button[data-${kind}][aria-pressed=true]`)].map((each) => each.dataset[kind]);
  const shown = () => groups.flatMap(({ cards }) => cards.filter(({ card }) => !card.hidden));
  // Nothing found: what was searched, and where the other photos are.
  const none = (part) => {
    const why = ["No photo shown here."];
    const named = [...legend.querySelectorAll("button")].some((each) => each.textContent.toLowerCase().includes(part));
    if (part) why.push(`The search looks at names only${named ? "; classes are under Classes" : ""}.`);
    const left = groups.filter(({ element }) => Number(element.dataset.left))
      .map(({ element }) => `${element.dataset.left} ${element.dataset.split}`);
    if (left.length) why.push(`Photos that are not on this page: ${left.join(", ")} (reports/photos.csv has them).`);
    return why.join(" ");
  };
  const filter = () => {
    const part = search.value.trim().toLowerCase();
    const wanted = pressed("number"), only = pressed("only");
    for (const { cards } of groups) {
      for (const { card, classes, name } of cards) {
        card.hidden = !(name.toLowerCase().includes(part) && wanted.every((each) => classes.has(each)) && only.every((each) => each in card.dataset));
      }
    }
    const count = shown().length, filtered = wanted.length || only.length || part;
    // A reader who comes from the table of classes has the tools out of sight: each split says how many are left, of what.
    const named = [...legend.querySelectorAll("button[aria-pressed=true]")].map((each) => each.textContent.trim()).join(" and ");
    for (const { cards, left } of groups) {
      const many = cards.filter(({ card }) => !card.hidden).length;
      left.textContent = filtered ? `${many} of these ${cards.length}${named ? ` with ${named}` : ""}` : "";
    }
    found.textContent = !filtered ? "" : count ? `${count} photo${count === 1 ? "" : "s"} shown` : none(part);
  };
  // Photos of one class, as the table of classes asks for them.
  const open = (number, by) => {
    for (const each of legend.querySelectorAll("button")) each.setAttribute("aria-pressed", each.dataset.number === number);
    for (const each of tools.querySelectorAll("button[data-only]")) each.setAttribute("aria-pressed", false);
    search.value = "";
    filter();
    select.value = [...select.options].some((each) => each.value === by) ? by : select.options[0].value;
    order();
    shown()[0]?.card.closest("section").scrollIntoView();
  };
  const save = (file) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(shown().map(({ card }) => `${card.querySelector("h3").title}\n`), { type: "text/plain" }));
    link.download = file;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const panels = () => {
    const shown = [...tools.querySelectorAll("button[data-panel]")].filter((each) => {
      const on = each.getAttribute("aria-pressed") === "true";
      main.classList.toggle(`no${each.dataset.panel}`, !on);
      return on;
    });
    main.classList.toggle("odd", shown.length % 2 === 1);
    main.classList.toggle("one", shown.length === 1);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("#tools button, button[data-of]");
    if (!button) return;
    const { number, only, of, by, save: file } = button.dataset;
    if (file) return save(file);
    if (of) return open(of, by);
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
    if (number || only) filter();
    else panels();
  });
  search.addEventListener("input", filter);
  // On a wide screen the choices are always open, and headings stay clear of the bar, unless it is so high that it scrolls.
  const wide = matchMedia("(min-width: 761px)");
  const fold = () => { tools.querySelector("#choices").open = wide.matches; };
  wide.addEventListener("change", fold);
  fold();
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--sticky", getComputedStyle(tools).position === "sticky" ? `${tools.offsetHeight}px` : "0px");
  }).observe(tools);
  // Cards get their height when they are first drawn, and the bar its own: go to the place again when both are known.
  const settle = () => requestAnimationFrame(() => requestAnimationFrame(() => {
    document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }));
  addEventListener("load", settle);
  addEventListener("hashchange", settle);
  select.addEventListener("change", order);
})();
