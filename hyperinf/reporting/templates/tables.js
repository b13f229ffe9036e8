// The page is whole without this. With it, tables can be sorted and searched, and what a link leads to is unfolded.
"use strict";
const number = text => { const found = /^[<≤~]?\s*([+−-]?[\d,]*\.?\d+(?:e[+−-]?\d+)?)/.exec(text); return found ? Number(found[1].replace(/,/g, "").replace(/−/g, "-")) : NaN; };
const text = (row, column) => row.cells[column] ? row.cells[column].textContent.trim() : "";
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], head = table.tHead;
  if (!head || body.rows.length < 4) continue;
  [...head.rows[0].cells].forEach((cell, column) => {
    if (!cell.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const up = cell.getAttribute("aria-sort") !== "ascending";
      for (const each of head.rows[0].cells) each.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", up ? "ascending" : "descending");
      const order = (a, b) => {
        const [x, y] = [text(a, column), text(b, column)], [m, n] = [number(x), number(y)];
        if (Number.isNaN(m) !== Number.isNaN(n)) return Number.isNaN(m) ? 1 : -1;
        return (up ? 1 : -1) * (Number.isNaN(m) ? x.localeCompare(y) : m - n);
      };
      body.append(...[...body.rows].sort(order));
    });
  });
  if (body.rows.length < 12) continue;
  const label = document.createElement("label"), field = document.createElement("input");
  label.className = "search";
  field.type = "search";
  label.append("Search the table", field);
  (table.closest(".wide") || table).before(label);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of body.rows) row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
  });
}
// Only what scrolls sideways has to be reached by the keyboard.
const wide = () => { for (const each of document.querySelectorAll(".wide")) if (each.scrollWidth > each.clientWidth) each.tabIndex = 0; else each.removeAttribute("tabindex"); };
wide();
addEventListener("resize", wide);
addEventListener("toggle", wide, true);
const unfold = () => {
  const aim = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!aim) return;
  for (let each = aim; each; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
  aim.scrollIntoView();
};
addEventListener("hashchange", unfold);
unfold();
let folded = [];
addEventListener("beforeprint", () => { folded = [...document.querySelectorAll("details:not([open])")]; for (const each of folded) each.open = true; });
addEventListener("afterprint", () => { for (const each of folded) each.open = false; });
const links = [...document.querySelectorAll("nav a")];
const seen = new IntersectionObserver(entries => {
  for (const entry of entries) if (entry.isIntersecting) for (const link of links)
    if (link.hash === "#" + entry.target.id) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
}, {rootMargin: "0px 0px -70% 0px"});
for (const link of links) { const aim = document.getElementById(link.hash.slice(1)); if (aim) seen.observe(aim); }
