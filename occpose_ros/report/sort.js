// A click on a column's name sorts by it: numbers from the largest, names from the first; again turns it round.

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstChild.addEventListener("click", () => {
    const order = head.ariaSort === "descending" ? "ascending" : head.ariaSort === "ascending" ? "descending" : null;
    sortBy(table.tBodies[0], column, order ?? (isNumeric(table, column) ? "descending" : "ascending"), head);
    heads.filter((other) => other !== head).forEach((other) => { other.ariaSort = null; });
  }));
}

function isNumeric(table, column) {
  return table.tBodies[0].rows[0]?.cells[column].className === "number";
}

function sortBy(body, column, order, head) {
  const key = (row) => row.cells[column].textContent;
  const up = order === "ascending" ? 1 : -1;
  const rows = [...body.rows].sort((a, b) => {
    const [x, y] = [Number.parseFloat(key(a)), Number.parseFloat(key(b))];
    if (body.rows[0].cells[column].className !== "number") return up * key(a).localeCompare(key(b), undefined, { numeric: true });
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y); // unknown ones last
    return up * (x - y);
  });
  body.append(...rows);
  head.ariaSort = order;
}
