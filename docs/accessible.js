// What the theme leaves out for keyboards and screen readers, found by axe-core. The theme makes parts of a page late,
// so all of it is done again whenever the page has changed.
(() => {
  const mend = () => {
    document.querySelector(".md-search[role=dialog]")?.setAttribute("aria-label", "Search");
    // A landmark for the button of each block of code, and one for each heading's part of the contents, are too many.
    document.querySelectorAll(".md-code__nav, .md-nav--secondary nav").forEach((each) => {
      each.removeAttribute("aria-label");
      each.setAttribute("role", "none");
    });
    // What scrolls sideways has to be reached by keys.
    document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code").forEach((each) => {
      if (each.scrollWidth > each.clientWidth) each.setAttribute("tabindex", "0");
      else each.removeAttribute("tabindex");
    });
    // The empty corner of a table heads nothing.
    document.querySelectorAll("th:empty").forEach((each) => {
      const cell = document.createElement("td");
      cell.style.cssText = each.style.cssText;
      each.replaceWith(cell);
    });
  };

  let due = 0;
  const soon = () => {
    cancelAnimationFrame(due);
    due = requestAnimationFrame(mend);
  };
  new MutationObserver(soon).observe(document.body, { childList: true, subtree: true });
  addEventListener("resize", soon);
  soon();
})();
