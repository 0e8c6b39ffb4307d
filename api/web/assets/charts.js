// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Lines of rates over the last minutes.

import { historyLength } from "./model.js";
import { si, svg } from "./format.js";

const width = 420, height = 110, left = 46, bottom = 16, top = 6;

// ceiling returns a round number from n on.
function ceiling(n) {
  if (n <= 0) return 1;
  const unit = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 5, 10].find(f => f * unit >= n) * unit;
}

export class Chart {
  // series are { name, of }, where of returns the value of a sample.
  constructor(element, series) {
    this.series = series;
    element.setAttribute("viewBox", `0 0 ${width} ${height}`);
    element.setAttribute("role", "img");
    this.element = element;
    this.marks = [0, 0.5, 1].map(part => {
      const y = top + (height - top - bottom) * (1 - part), text = svg("text", { x: left - 4, y: y + 3, "text-anchor": "end" });
      element.append(svg("line", { x1: left, x2: width, y1: y, y2: y, class: "grid-line" }), text);
      return { part, text };
    });
    for (const [minutes, part] of [[5, 0], [4, 0.2], [3, 0.4], [2, 0.6], [1, 0.8]]) {
      const text = svg("text", { x: left + (width - left) * part, y: height - 3, "text-anchor": part ? "middle" : "start" });
      text.textContent = "-" + minutes + " min";
      element.append(text);
    }
    this.paths = series.map(s => {
      const path = svg("path", { class: s.name });
      element.append(path);
      return path;
    });
  }

  draw(samples) {
    let most = 0;
    for (const s of samples) for (const { of } of this.series) most = Math.max(most, of(s));
    const scale = ceiling(most), now = samples.length ? samples[samples.length - 1].time : 0;
    for (const m of this.marks) m.text.textContent = si(scale * m.part);
    this.series.forEach(({ of }, i) => {
      let d = "";
      for (const s of samples) {
        const x = width - (now - s.time) / 1000 / historyLength * (width - left);
        if (x < left) continue;
        d += (d ? "L" : "M") + x.toFixed(1) + " " + (top + (height - top - bottom) * (1 - of(s) / scale)).toFixed(1);
      }
      this.paths[i].setAttribute("d", d);
    });
  }
}
