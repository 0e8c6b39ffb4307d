// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// What is known about the switch: ports, counters, rates and their history.

import { seconds } from "./format.js";

export const historyLength = 300; // samples of the totals, one per second
const portHistory = 60; // samples of each port

const counts = { frames: 0, bytes: 0, forwarded: 0, flooded: 0, copies: 0, offered: 0, mirrored: 0, probes: 0, gsoFrames: 0, segments: 0, duplicated: 0 };

function sum(dropped = {}) {
  let n = 0;
  for (const v of Object.values(dropped)) n += Number(v);
  return n;
}

// add adds the counters in from, which are text in JSON, to those in to.
function add(to, from = {}) {
  for (const k in counts) if (from[k]) to[k] = (to[k] || 0) + Number(from[k]);
  for (const [cause, n] of Object.entries(from.dropped || {})) to.dropped[cause] = (to.dropped[cause] || 0) + Number(n);
  to.queued = Number(from.queued || 0);
}

function counters() { return { in: { dropped: {} }, out: { dropped: {} } }; }

// direction returns the rates of one direction.
function rates(d = {}, elapsed) {
  return { frames: Number(d.frames || 0) / elapsed, bits: Number(d.bytes || 0) * 8 / elapsed, drops: sum(d.dropped) / elapsed };
}

const idle = { frames: 0, bits: 0, drops: 0 };

export class Model {
  constructor() {
    this.switch = {};
    this.ports = new Map(); // what ListPorts says, by number
    this.traffic = new Map(); // counters, rates and history by number
    this.mirrors = [];
    this.reset();
  }

  // reset forgets the counters: a stream begins with all of them.
  reset() {
    this.traffic.clear();
    this.totals = counters();
    this.rates = { in: idle, out: idle, causes: {} };
    this.fdb = {};
    this.samples = []; // { time, in, out }
  }

  // setPorts takes the whole list.
  setPorts(list) {
    this.ports.clear();
    for (const p of list) this.ports.set(p.number || 0, p);
  }

  setPort(p) { this.ports.set(p.number || 0, p); }

  trafficOf(number) {
    let t = this.traffic.get(number);
    if (!t) {
      t = { ...counters(), rateIn: idle, rateOut: idle, history: new Float32Array(portHistory), at: 0 };
      this.traffic.set(number, t);
    }
    return t;
  }

  // sample takes one message of WatchStats.
  sample(message) {
    const s = message.stats || {}, elapsed = seconds(message.elapsed);
    for (const p of s.ports || []) {
      const t = this.trafficOf(p.port || 0);
      add(t.in, p.in);
      add(t.out, p.out);
      if (elapsed) [t.rateIn, t.rateOut, t.fresh] = [rates(p.in, elapsed), rates(p.out, elapsed), true];
    }
    add(this.totals.in, s.in);
    add(this.totals.out, s.out);
    this.fdb = s.fdb || {};
    if (!elapsed) return;
    for (const t of this.traffic.values()) {
      if (!t.fresh) t.rateIn = t.rateOut = idle;
      t.fresh = false;
      t.history[t.at++ % portHistory] = t.rateIn.bits + t.rateOut.bits;
    }
    this.rates = { in: rates(s.in, elapsed), out: rates(s.out, elapsed), causes: {} };
    for (const d of ["in", "out"]) {
      for (const [cause, n] of Object.entries((s[d] || {}).dropped || {})) this.rates.causes[d + "/" + cause] = Number(n) / elapsed;
    }
    this.samples.push({ time: Date.now(), in: this.rates.in, out: this.rates.out });
    if (this.samples.length > historyLength) this.samples.shift();
  }

  // causes lists the frames dropped by cause, the most frequent first.
  causes() {
    const list = [];
    for (const d of ["in", "out"]) {
      for (const [cause, all] of Object.entries(this.totals[d].dropped)) list.push({ cause: d + "/" + cause, all, rate: this.rates.causes[d + "/" + cause] || 0 });
    }
    return list.sort((a, b) => b.rate - a.rate || b.all - a.all);
  }

  // activePorts lists the ports with endpoints, by number.
  activePorts() {
    return [...this.ports.values()].filter(p => (p.endpoints || []).length > 0).sort((a, b) => (a.number || 0) - (b.number || 0));
  }
}

// dropsOf returns how many frames a port has dropped in both directions.
export function dropsOf(t) { return sum(t.in.dropped) + sum(t.out.dropped); }
