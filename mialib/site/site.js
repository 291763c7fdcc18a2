// What pages do beyond showing themselves; without scripts everything is there, unsorted and unfiltered.
(() => {
"use strict";

// Light and dark: as the system says, until the reader says otherwise. The choice is kept where a browser lets pages read from disk keep one.
const theme = {
  dark: matchMedia("(prefers-color-scheme: dark)"),
  kept() {
    try { return localStorage.getItem("theme"); } catch { return null; }
  },
  now() {
    return document.documentElement.dataset.theme || (this.dark.matches ? "dark" : "light");
  },
  choose(name) {
    document.documentElement.dataset.theme = name;
    try { localStorage.setItem("theme", name); } catch { /* not kept */ }
    this.tell();
  },
  tell() { // charts listen
    document.dispatchEvent(new CustomEvent("themechange", { detail: this.now() }));
  },
};
if (["light", "dark"].includes(theme.kept())) document.documentElement.dataset.theme = theme.kept();

function switchTheme(button) {
  const label = () => {
    const other = theme.now() === "dark" ? "Light" : "Dark";
    button.textContent = other;
    button.setAttribute("aria-label", `${other} colours`);
  };
  button.hidden = false;
  button.addEventListener("click", () => theme.choose(theme.now() === "dark" ? "light" : "dark"));
  document.addEventListener("themechange", label);
  theme.dark.addEventListener("change", () => theme.tell());
  label();
}

// Columns sort by click or key: numbers as numbers, largest first, what is missing last.
function sortable(table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, i) => {
    const cell = row.cells[i];
    return "v" in cell.dataset ? (cell.dataset.v === "" ? NaN : Number(cell.dataset.v)) : cell.textContent.trim();
  };
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const rows = [...body.rows];
      const before = head.getAttribute("aria-sort");
      const numbers = rows.some((row) => "v" in row.cells[i].dataset);
      const down = before === "none" ? numbers : before === "ascending";
      const known = rows.filter((row) => !Number.isNaN(key(row, i)));
      const rest = rows.filter((row) => Number.isNaN(key(row, i)));
      known.sort((a, b) => {
        const [x, y] = [key(a, i), key(b, i)];
        const order = typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true });
        return down ? -order : order;
      });
      body.append(...known, ...rest);
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });
}

// A form that hides the rows that it does not name, and has the tally count those that are left. The address keeps what was chosen.
function filters(form) { // a field may be called dataset, so the form's own is not asked
  const rows = [...document.getElementById(form.getAttribute("data-rows")).tBodies[0].rows];
  const counted = document.querySelectorAll(`#${form.getAttribute("data-tally")} td[data-given]`);
  const found = document.querySelector(".found");
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const selects = [...form.querySelectorAll("select")];
  const words = form.querySelector("input[type=search]");

  const apply = () => {
    const chosen = selects.filter((select) => select.value).map((select) => [select.name, select.value]);
    const asked = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      row.hidden = !(chosen.every(([name, value]) => row.dataset[name] === value)
        && asked.every((word) => texts.get(row).includes(word)));
    }
    const left = rows.filter((row) => !row.hidden);
    for (const cell of counted) {
      const asks = Object.entries(cell.dataset);
      const number = left.filter((row) => asks.every(([name, value]) => row.dataset[name] === value)).length;
      cell.textContent = number;
      cell.classList.toggle("none", number === 0);
    }
    found.innerHTML = `<strong>${left.length}</strong> of ${rows.length} values`;
    const given = new URLSearchParams(words.value ? [...chosen, ["words", words.value]] : chosen);
    try {
      history.replaceState(null, "", `${location.pathname}${given.size ? `?${given}` : ""}${location.hash}`);
    } catch { /* a browser that keeps addresses of files as they are */ }
  };
  for (const [name, value] of new URLSearchParams(location.search)) {
    const field = form.elements[name];
    if (field && (field === words || [...field.options].some((option) => option.value === value))) field.value = value;
  }
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  apply();
}

// All code of a notebook, opened and folded at once.
function allCode(button) {
  const parts = document.querySelectorAll("details.code");
  button.hidden = parts.length === 0;
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-pressed") !== "true";
    for (const part of parts) part.open = open;
    button.setAttribute("aria-pressed", open);
    button.textContent = open ? "Fold all code" : "Show all code";
  });
}

// Printed, all that is folded stands open, except code, which the style sheet leaves out.
const opened = [];
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details:not([open]):not(.code)")) {
    part.open = true;
    opened.push(part);
  }
});
addEventListener("afterprint", () => {
  for (const part of opened.splice(0)) part.open = false;
});

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("button.theme").forEach(switchTheme);
  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll("form.filters").forEach(filters);
  document.querySelectorAll("button.all-code").forEach(allCode);
});
})();
