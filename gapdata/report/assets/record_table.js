"use strict";

/** A table of records that can be filtered, sorted and paged. Data comes by columns: {title, values[, unit, digits]}. */
class RecordTable {
  static ROWS_PER_PAGE = 50;

  constructor(columns, openCloud) {
    this.columns = columns;
    this.openCloud = openCloud; // key -> function that shows it in 3D, or undefined
    this.count = columns[0].values.length;
    this.sorted = { column: -1, descending: false };
    this.page = 0;
    this.element = document.getElementById("records-table");
    this.filters = ["filter", "split", "view"].map((name) => document.getElementById(`records-${name}`));
    for (const [filter, { values }] of [[this.filters[1], columns[2]], [this.filters[2], columns[3]]]) {
      for (const value of [...new Set(values)].sort()) filter.add(new Option(value));
    }
    this.buildHead();
    for (const filter of this.filters) filter.addEventListener("input", () => this.update());
    document.getElementById("records-previous").addEventListener("click", () => this.turn(-1));
    document.getElementById("records-next").addEventListener("click", () => this.turn(1));
    this.update();
  }

  buildHead() {
    const row = this.element.tHead.insertRow();
    this.columns.forEach((column, place) => {
      const cell = document.createElement("th");
      cell.scope = "col";
      if (column.digits !== undefined) cell.className = "number";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = column.unit ? `${column.title} (${column.unit})` : column.title;
      button.addEventListener("click", () => this.sortBy(place));
      cell.append(button);
      row.append(cell);
    });
  }

  sortBy(place) {
    const again = this.sorted.column === place;
    this.sorted = { column: place, descending: again && !this.sorted.descending };
    [...this.element.tHead.rows[0].cells].forEach((cell, at) => {
      if (at === place) cell.setAttribute("aria-sort", this.sorted.descending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    this.update();
  }

  /** Every word of the filter must occur in the key, the scene, the split or the kind of view. */
  matching() {
    const words = this.filters[0].value.toLowerCase().split(/\s+/).filter(Boolean);
    const [key, scene, split, view] = this.columns.map((column) => column.values);
    const [wantedSplit, wantedView] = [this.filters[1].value, this.filters[2].value];
    const rows = [];
    for (let row = 0; row < this.count; row++) {
      if ((wantedSplit && split[row] !== wantedSplit) || (wantedView && view[row] !== wantedView)) continue;
      const text = `${key[row]} ${scene[row]} ${split[row]} ${view[row]}`.toLowerCase();
      if (words.every((word) => text.includes(word))) rows.push(row);
    }
    return rows;
  }

  /** Unknown values come last in either direction; equal ones keep the build's order. */
  ordered(rows) {
    if (this.sorted.column < 0) return rows;
    const values = this.columns[this.sorted.column].values;
    const sign = this.sorted.descending ? -1 : 1;
    return rows.sort((a, b) => {
      const [x, y] = [values[a], values[b]];
      if (x === y) return a - b;
      if (x === null) return 1;
      if (y === null) return -1;
      return x < y ? -sign : sign;
    });
  }

  update() {
    this.rows = this.ordered(this.matching());
    this.page = 0;
    this.draw();
  }

  turn(pages) {
    this.page += pages;
    this.draw();
  }

  draw() {
    const size = RecordTable.ROWS_PER_PAGE;
    const pages = Math.max(1, Math.ceil(this.rows.length / size));
    const body = document.createElement("tbody");
    for (const row of this.rows.slice(this.page * size, (this.page + 1) * size)) this.drawRow(body.insertRow(), row);
    this.element.tBodies[0].replaceWith(body);
    document.getElementById("records-count").textContent = `${this.rows.length} of ${this.count} records`;
    document.getElementById("records-page").textContent = `page ${this.page + 1} of ${pages}`;
    document.getElementById("records-previous").disabled = this.page === 0;
    document.getElementById("records-next").disabled = this.page + 1 >= pages;
  }

  drawRow(element, row) {
    for (const column of this.columns) {
      const cell = element.insertCell();
      const value = column.values[row];
      if (column.digits === undefined) {
        cell.textContent = value;
      } else {
        cell.className = "number";
        cell.textContent = value === null ? "–" : value.toFixed(column.digits);
      }
    }
    const show = this.openCloud(this.columns[0].values[row]);
    if (show) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "3D";
      button.setAttribute("aria-label", `Show ${this.columns[0].values[row]} in 3D`);
      button.addEventListener("click", show);
      element.cells[0].append(" ", button);
    }
  }
}
