// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// A table of any number of rows, of which only those in view are elements.

import { node, setText } from "./format.js";

const rowHeight = 28, spare = 8;

export class Grid {
  // columns are { name, key, text, number, sort, draw }: text returns the text of a row, sort
  // what to sort by (default: the text), draw, if there is one, changes the cell itself.
  constructor(element, columns, { open, sortBy, descending } = {}) {
    this.columns = columns;
    this.open = open;
    this.sortBy = columns.find(c => c.key === sortBy);
    this.descending = Boolean(descending);
    this.rows = [];
    this.head = node("div", "row head");
    this.head.setAttribute("role", "row");
    for (const c of columns) {
      const cell = node("button", c.number ? "n" : "", c.name);
      cell.type = "button";
      cell.setAttribute("role", "columnheader");
      cell.addEventListener("click", () => this.sort(c));
      this.head.append(cell);
      c.head = cell;
    }
    this.body = node("div", "body");
    this.space = node("div", "space");
    this.body.append(this.space);
    element.append(this.head, this.body);
    this.cells = []; // rows that are elements
    // To ask the element for these has the browser lay out the whole page at once.
    this.top = this.height = 0;
    this.body.addEventListener("scroll", () => {
      this.top = this.body.scrollTop;
      this.draw();
    });
    this.body.addEventListener("click", e => {
      const row = e.target.closest(".row");
      if (row && this.open) this.open(this.rows[Number(row.dataset.index)]);
    });
    new ResizeObserver(entries => {
      this.height = entries[entries.length - 1].contentRect.height;
      this.draw();
    }).observe(this.body);
    this.mark();
  }

  sort(c) {
    this.descending = this.sortBy === c ? !this.descending : Boolean(c.number && c.sort);
    this.sortBy = c;
    this.mark();
    this.set(this.rows);
  }

  mark() {
    for (const c of this.columns) c.head.setAttribute("aria-sort", c !== this.sortBy ? "none" : this.descending ? "descending" : "ascending");
  }

  set(rows) {
    const c = this.sortBy, key = c && (c.sort || c.text);
    if (c) {
      rows = rows.map((r, i) => ({ r, i, k: key(r) }));
      rows.sort((a, b) => (a.k < b.k ? -1 : a.k > b.k ? 1 : 0) * (this.descending ? -1 : 1) || a.i - b.i);
      rows = rows.map(x => x.r);
    }
    if (rows.length !== this.rows.length) this.space.style.height = rows.length * rowHeight + "px";
    this.rows = rows;
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.top / rowHeight) - spare);
    const n = Math.max(0, Math.min(this.rows.length - first, Math.ceil(this.height / rowHeight) + 2 * spare));
    while (this.cells.length < n) this.cells.push(this.add());
    while (this.cells.length > n) this.cells.pop().row.remove();
    this.cells.forEach(({ row, cells }, i) => {
      const r = this.rows[first + i];
      if (row.index !== first + i) {
        row.dataset.index = row.index = first + i;
        row.style.transform = `translateY(${(first + i) * rowHeight}px)`;
      }
      this.columns.forEach((c, j) => c.draw ? c.draw(cells[j], r) : setText(cells[j], c.text(r)));
    });
  }

  add() {
    const row = node("div", "row");
    row.setAttribute("role", "row");
    const cells = this.columns.map(c => {
      const cell = node("span", c.number ? "n" : "");
      cell.setAttribute("role", "cell");
      row.append(cell);
      return cell;
    });
    this.space.append(row);
    return { row, cells };
  }
}
