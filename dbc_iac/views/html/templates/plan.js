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
  const about = all("[data-for]");
  const sections = all("[data-section]");
  const boxes = all(".graph a");
  const filters = all("[data-filter]");
  const search = byId("search");

  const show = (node, wanted) => { if (node.hidden === wanted) node.hidden = !wanted; return wanted ? 1 : 0; };
  const apply = () => {
    const actions = new Set(filters.filter((f) => f.getAttribute("aria-pressed") === "true").map((f) => f.dataset.filter));
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (text) => words.every((word) => text.includes(word));
    const left = new Set(), texts = [];
    let found = 0, total = 0;
    const keep = (id, text) => { left.add(id); texts.push(text); return true; };
    for (const change of changes) {
      total += change.rows.length || 1;
      const wanted = !actions.size || actions.has(change.action);
      let here = 0;
      if (change.rows.length) {
        if (wanted) for (const row of change.rows) here += show(row, fits(row.dataset.text) && keep(row.id, row.dataset.text));
        for (const rest of change.node.querySelectorAll("details.rest")) {
          const any = wanted && !!rest.querySelector("tr.member:not([hidden])");
          show(rest, any);
          if (any && words.length) rest.open = true;
        }
      } else here = wanted && fits(change.text) && keep(change.node.id, change.text) ? 1 : 0;
      show(change.node, here > 0);
      found += here;
    }
    const narrowed = actions.size || words.length;
    for (const node of about) show(node, left.has(node.dataset.for));
    for (const node of sections) show(node, !narrowed || !!node.querySelector("[data-for]:not([hidden]), .change:not([hidden])"));
    for (const box of boxes) {
      const machine = box.dataset.search;
      const here = machine ? texts.some((text) => text.includes(machine)) : left.has(box.getAttribute("href").slice(1));
      box.classList.toggle("faint", !!narrowed && !here);
    }
    show(byId("nothing"), !!narrowed && !found);
    byId("found").textContent = narrowed ? `${found} of ${total} changes` : "";
  };
  const clear = () => {
    search.value = "";
    for (const filter of filters) filter.setAttribute("aria-pressed", "false");
    apply();
  };

  let waiting = 0;
  search.addEventListener("input", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(apply); });
  for (const filter of filters) filter.addEventListener("click", () => {
    filter.setAttribute("aria-pressed", filter.getAttribute("aria-pressed") !== "true");
    apply();
  });
  byId("clear").addEventListener("click", () => { clear(); search.focus(); });
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
    if (target && target.closest("[hidden]")) clear();
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  // The same link once more changes no hash, and may lead to what a filter has hidden since.
  addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest('a[href^="#"]');
    if (link && !link.dataset.search && (link.getAttribute("href") ?? "") === location.hash) reveal();
  });
  reveal();
  addEventListener("beforeprint", () => all("details").forEach((node) => { node.open = true; }));
})();
