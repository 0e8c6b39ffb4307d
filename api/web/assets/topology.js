// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// The picture of the switch: ports around it, with the rates of this moment on the lines.

import { rate, setText, svg } from "./format.js";

const width = 900, height = 520, center = { x: width / 2, y: height / 2 };
const mostNodes = 1000; // ports with a place of their own
const mostLabels = 24; // ports with a name and a rate, the busiest

// place returns where port i of n is: on one ellipse, or on several inside each other.
function place(i, n) {
  const rings = Math.min(6, Math.ceil(n / 48));
  const ring = i % rings, within = Math.floor(i / rings), ofRing = Math.ceil((n - ring) / rings);
  const scale = rings === 1 ? 1 : 0.55 + 0.45 * ring / (rings - 1);
  const angle = -Math.PI / 2 + 2 * Math.PI * (within + ring / rings) / ofRing;
  return { x: center.x + Math.cos(angle) * (width / 2 - 110) * scale, y: center.y + Math.sin(angle) * (height / 2 - 55) * scale, radius: n <= 48 ? 9 : n <= 200 ? 6 : 4 };
}

// called returns what a port with endpoints is called, without the user, process and so on
// that programs on libvdeplug add to their names.
function called(p) { return (p.endpoints[0].description || "").split(" user=")[0] || p.endpoints[0].kind; }

export class Topology {
  constructor(element, note, select) {
    this.element = element;
    this.note = note;
    this.select = select;
    this.lines = svg("g");
    this.nodes = svg("g");
    this.labels = svg("g");
    this.shape = svg("g", { class: "switch" });
    this.shape.append(svg("rect", { x: center.x - 60, y: center.y - 26, width: 120, height: 52, rx: 8 }));
    this.name = svg("text", { x: center.x, y: center.y + 5, "text-anchor": "middle" });
    this.shape.append(this.name);
    element.append(this.lines, this.shape, this.nodes, this.labels);
    this.drawn = new Map(); // by port
    element.addEventListener("click", e => this.chosen(e));
    element.addEventListener("pointerover", e => this.explain(e));
    element.addEventListener("focusin", e => this.explain(e));
    element.addEventListener("keydown", e => { if (e.key === "Enter") this.chosen(e); });
  }

  chosen(e) {
    const g = e.target.closest("[data-port]");
    if (g) this.select(Number(g.dataset.port));
  }

  // explain sets what is shown of the port that the pointer is at.
  explain(e) {
    const g = e.target.closest("[data-port]"), d = g && this.drawn.get(Number(g.dataset.port));
    if (d) setText(d.title, "port " + g.dataset.port + ", " + called(d.port) + ": " + rate(d.bits, "bit"));
  }

  // layout draws the ports anew: there are others than before.
  layout(model) {
    const all = model.activePorts(), ports = all.slice(0, mostNodes);
    setText(this.name, model.switch.name || "switch");
    this.lines.replaceChildren();
    this.nodes.replaceChildren();
    this.labels.replaceChildren();
    this.drawn.clear();
    ports.forEach((p, i) => {
      const at = place(i, ports.length), number = p.number || 0;
      const line = svg("line", { x1: center.x, y1: center.y, x2: at.x, y2: at.y });
      const group = svg("g", { "data-port": number, tabindex: 0, role: "button" });
      const uplink = p.endpoints.some(e => e.uplink);
      group.append(uplink
        ? svg("rect", { x: at.x - at.radius, y: at.y - at.radius, width: 2 * at.radius, height: 2 * at.radius, rx: 2 })
        : svg("circle", { cx: at.x, cy: at.y, r: at.radius }));
      const title = svg("title");
      group.append(title);
      this.lines.append(line);
      this.nodes.append(group);
      this.drawn.set(number, { port: p, at, line, group, title, bits: 0 });
    });
    setText(this.note, all.length === 0 ? "Nothing is attached." : all.length > ports.length
      ? "The first " + ports.length + " of " + all.length + " ports; the table has all."
      : "Circles are ports, squares are ports with an uplink. Rates are those of the last second.");
    this.update(model);
  }

  // update shows the rates.
  update(model) {
    const busiest = [];
    for (const [number, d] of this.drawn) {
      const t = model.traffic.get(number), bits = t ? t.rateIn.bits + t.rateOut.bits : 0, drops = t ? t.rateIn.drops + t.rateOut.drops : 0;
      const p = d.port, blocked = (p.loop || {}).blocked, down = p.endpoints.every(e => e.down);
      const thickness = (bits > 0 ? Math.min(9, 1 + Math.log10(1 + bits / 1e4)) : 0.75).toFixed(1);
      if (d.thickness !== thickness) d.line.setAttribute("stroke-width", d.thickness = thickness);
      d.bits = bits;
      const state = blocked ? "blocked" : down ? "down" : drops > 0 ? "drops" : bits > 0 ? "busy" : "idle";
      if (d.state !== state) {
        d.line.setAttribute("class", state);
        d.group.setAttribute("class", state);
        d.state = state;
      }
      busiest.push({ number, bits, drops, d });
    }
    busiest.sort((a, b) => b.bits - a.bits || a.number - b.number);
    this.labels.replaceChildren();
    for (const { number, bits, drops, d } of busiest.slice(0, mostLabels)) {
      const what = called(d.port);
      const left = d.at.x < center.x - 20, right = d.at.x > center.x + 20;
      const text = svg("text", {
        x: d.at.x + (left ? -14 : right ? 14 : 0), y: d.at.y + (left || right ? 4 : d.at.y < center.y ? -16 : 24),
        "text-anchor": left ? "end" : right ? "start" : "middle",
      });
      text.textContent = number + " " + (what.length > 14 ? what.slice(0, 13) + "…" : what);
      const middle = svg("text", { x: center.x + (d.at.x - center.x) * 0.62, y: center.y + (d.at.y - center.y) * 0.62 - 4, "text-anchor": "middle", class: drops > 0 ? "rate drops" : "rate", "data-rate": number });
      middle.textContent = bits > 0 || drops > 0 ? rate(bits, "bit") + (drops > 0 ? ", " + rate(drops, "") + " dropped" : "") : "";
      this.labels.append(text, middle);
    }
  }
}
