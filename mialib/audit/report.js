// Columns sort by click or key: numbers as numbers, largest first, what is missing last. Without this the tables are as written.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
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
      const numbers = rows.some((row) => "v" in row.cells[i].dataset);
      const before = head.getAttribute("aria-sort");
      const down = before === "none" ? numbers : before === "ascending";
      const known = rows.filter((row) => !Number.isNaN(key(row, i)));
      const rest = rows.filter((row) => Number.isNaN(key(row, i)));
      known.sort((a, b) => {
        const [x, y] = [key(a, i), key(b, i)];
        const order = typeof x === "number" ? x - y : x.localeCompare(y, undefined, { numeric: true });
        return down ? -order : order;
      });
      body.append(...known, ...rest);
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });
}
