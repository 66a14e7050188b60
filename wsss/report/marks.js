// Marks of photos that are to be corrected: a key and a button set them, this browser keeps them, a bar has the command.
(() => {
  "use strict";
  const bar = document.querySelector("#correct"), box = document.querySelector("dialog"), heading = box.querySelector("h2");
  const count = bar.querySelector("b"), code = bar.querySelector("code");
  const cards = new Map([...document.querySelectorAll("article")].map((card) => [card.querySelector("h3").title, card]));
  const place = `wsss to correct ${location.pathname}`;
  let kept = true, marked = new Set(), here = null;

  // What another window has marked since counts, too.
  const read = () => {
    try { marked = new Set(JSON.parse(localStorage.getItem(place) ?? "[]")); } catch { kept = false; }
  };
  const write = () => {
    try { localStorage.setItem(place, JSON.stringify([...marked])); } catch { kept = false; }
  };
  const names = () => [...cards.keys()].filter((name) => marked.has(name));
  const quoted = (name) => /^[\w@%+=:,./-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
  // The page lies in the folder of the predictions; where it is served from one, only the reader knows its path.
  const [, path] = decodeURIComponent(location.pathname).match(/^(?:\/(?=[A-Za-z]:))?(.*)\/[^/]*$/);
  const folder = location.protocol === "file:" ? quoted(path || "/") : "FOLDER";
  const command = () => {
    const list = `${folder}/to_correct.txt`;
    return `printf '%s\\n' ${names().map(quoted).join(" ")} > ${list} && wsss export --to cvat --force --only ${list} ${folder} to_correct.zip`;
  };

  const large = Object.assign(document.createElement("button"), { type: "button", className: "mark", textContent: "To correct" });
  const enlarged = () => cards.get(heading.firstChild?.data?.slice(0, -1));
  const draw = () => {
    const found = names();
    for (const [name, card] of cards) {
      if (card.hasAttribute("data-marked") === marked.has(name)) continue;
      card.toggleAttribute("data-marked", marked.has(name));
      card.querySelector(".mark").setAttribute("aria-pressed", marked.has(name));
    }
    large.setAttribute("aria-pressed", enlarged()?.hasAttribute("data-marked") ?? false);
    bar.hidden = !found.length;
    count.textContent = `${found.length} to correct${kept ? "" : " (forgotten when this page is closed)"}`;
    code.textContent = code.title = found.length ? command() : "";
  };
  const toggle = (card) => {
    const name = card.querySelector("h3").title;
    if (kept) read();
    if (!marked.delete(name)) marked.add(name);
    write();
    draw();
  };
  const copy = async (button) => {
    try {
      await navigator.clipboard.writeText(command());
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = document.execCommand("copy") ? "Copied" : "Selected: press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy the command"; }, 2000);
  };
  const save = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(names().map((name) => `${name}\n`), { type: "text/plain" }));
    link.download = "to_correct.txt";
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const clear = () => {
    if (!confirm(`Unmark ${names().length} photos?`)) return;
    marked.clear();
    write();
    draw();
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".mark, [data-mark]");
    if (!button) return;
    if (button.dataset.mark) ({ copy, save, clear })[button.dataset.mark](button);
    else toggle(button === large ? enlarged() : button.closest("article"));
  });
  for (const kind of ["pointerover", "focusin"]) {
    document.addEventListener(kind, (event) => { here = event.target.closest("article"); });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "x" || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
    const card = box.open ? enlarged() : here;
    if (card) toggle(card);
  });
  box.querySelector("[data-do=keys]").before(large);
  box.querySelector(".keys").append(
    Object.assign(document.createElement("dt"), { textContent: "x" }),
    Object.assign(document.createElement("dd"), { textContent: "mark the photo as one to correct" }),
  );
  new MutationObserver(draw).observe(heading, { childList: true });
  addEventListener("storage", () => { read(); draw(); });
  read();
  draw();
})();
