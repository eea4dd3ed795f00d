// A click on a column's name sorts by it: numbers from the largest, names from the first; again turns it round.

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => head.firstChild.addEventListener("click", () => {
    const turned = { ascending: "descending", descending: "ascending" }[head.ariaSort];
    const order = turned ?? (isNumeric(body, column) ? "descending" : "ascending");
    sortBy(body, column, order);
    for (const other of heads) other.ariaSort = other === head ? order : null;
  }));
}

function isNumeric(body, column) {
  return body.rows[0]?.cells[column].className === "number";
}

function sortBy(body, column, order) {
  const text = (row) => row.cells[column].textContent;
  const number = (row) => Number.parseFloat(text(row));
  const up = order === "ascending" ? 1 : -1;
  const byName = (a, b) => up * text(a).localeCompare(text(b), undefined, { numeric: true });
  const byNumber = (a, b) => Number.isNaN(number(a)) - Number.isNaN(number(b)) || up * (number(a) - number(b)); // unknown: last
  body.append(...[...body.rows].sort(isNumeric(body, column) ? byNumber : byName));
}
