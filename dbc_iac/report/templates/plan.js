"use strict";
// The page is whole without this; it adds filters, search, themes and open details in print.
(() => {
  const root = document.documentElement;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  root.classList.add("scripted");

  const changes = all("details.change").map((node) => ({
    node,
    action: node.dataset.action,
    text: node.dataset.text,
    rows: node.hasAttribute("data-group") ? [...node.querySelectorAll("tr.member")] : [],
  }));
  const timeline = all(".timeline tbody tr");
  const filters = all("[data-filter]");
  const search = byId("search");

  const show = (node, wanted) => { if (node.hidden === wanted) node.hidden = !wanted; return wanted ? 1 : 0; };
  const apply = () => {
    const actions = new Set(filters.filter((f) => f.getAttribute("aria-pressed") === "true").map((f) => f.dataset.filter));
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (text) => words.every((word) => text.includes(word));
    let found = 0, total = 0;
    for (const change of changes) {
      total += change.rows.length || 1;
      const wanted = !actions.size || actions.has(change.action);
      let here = 0;
      if (change.rows.length) {
        if (wanted) for (const row of change.rows) here += show(row, fits(row.dataset.text));
      } else here = wanted && fits(change.text) ? 1 : 0;
      show(change.node, here > 0);
      found += here;
    }
    for (const row of timeline) show(row, fits(row.dataset.text));
    byId("found").textContent = actions.size || words.length ? `${found} of ${total} changes` : "";
  };

  let waiting = 0;
  search.addEventListener("input", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(apply); });
  for (const filter of filters) filter.addEventListener("click", () => {
    filter.setAttribute("aria-pressed", filter.getAttribute("aria-pressed") !== "true");
    apply();
  });
  byId("open").addEventListener("click", () => changes.forEach((c) => { c.node.open = true; }));
  byId("close").addEventListener("click", () => changes.forEach((c) => { c.node.open = false; }));

  const theme = byId("theme");
  const dark = (wanted) => {
    root.dataset.theme = wanted ? "dark" : "light";
    theme.setAttribute("aria-pressed", wanted);
  };
  const preferred = matchMedia("(prefers-color-scheme: dark)");
  dark(preferred.matches);
  preferred.addEventListener("change", (event) => dark(event.matches));
  theme.addEventListener("click", () => dark(root.dataset.theme !== "dark"));

  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== search) { event.preventDefault(); search.focus(); }
    if (event.key === "Escape" && document.activeElement === search) { search.value = ""; apply(); }
  });
  for (const link of all("a[data-search]")) link.addEventListener("click", (event) => {
    if (!link.dataset.search) return;
    event.preventDefault();
    search.value = link.dataset.search;
    apply();
    byId("changes").focus();
    byId("changes").scrollIntoView();
  });
  const reveal = () => {
    const target = location.hash && byId(decodeURIComponent(location.hash.slice(1)));
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();
  addEventListener("beforeprint", () => all("details").forEach((node) => { node.open = true; }));
})();
