// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Numbers and times as people read them, and small helpers for elements.

const prefixes = ["", " k", " M", " G", " T", " P"];

// si returns n with three digits and a prefix, such as "1.23 M".
export function si(n) {
  let i = 0;
  while (n >= 999.5 && i < prefixes.length - 1) {
    n /= 1000;
    i++;
  }
  const digits = n >= 99.95 || (i === 0 && Number.isInteger(n)) ? 0 : n >= 9.995 ? 1 : 2;
  return n.toFixed(digits) + (prefixes[i] || " ");
}

// rate returns n as a number of units per second.
export function rate(n, unit) { return si(n) + unit + "/s"; }

// whole returns all digits of n, in groups.
export function whole(n) { return digits.format(Math.round(n)); }

const digits = new Intl.NumberFormat("en"); // to make one takes far longer than to use it

// many returns n and the word for so many.
export function many(n, one, several) { return whole(n) + " " + (n === 1 ? one : several); }

// seconds reads a duration such as "1.5s".
export function seconds(text) { return text ? parseFloat(text) : 0; }

// span returns a time in seconds as text, such as "3 h 12 min".
export function span(s) {
  s = Math.floor(s);
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + s % 60 + " s";
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min";
  return Math.floor(s / 86400) + " d " + Math.floor(s % 86400 / 3600) + " h";
}

// vlans returns ranges of VLANs as text, such as "10+20-29".
export function vlans(ranges = []) {
  if (ranges.length === 1 && (ranges[0].first || 0) <= 1 && ranges[0].last === 4094) return "all";
  return ranges.map(r => (r.last || 0) > (r.first || 0) ? (r.first || 0) + "-" + r.last : String(r.first || 0)).join("+");
}

// parseVLANs reads what vlans returns.
export function parseVLANs(text) {
  text = text.trim();
  if (text === "") return [];
  if (text === "all") return [{ first: 1, last: 4094 }];
  return text.split("+").map(part => {
    const m = /^\s*(\d+)\s*(?:-\s*(\d+)\s*)?$/.exec(part);
    if (!m) throw new Error("tagged VLANs: " + JSON.stringify(part) + " is no number and no range; write 10+20-29, or all");
    return { first: Number(m[1]), last: Number(m[2] || m[1]) };
  });
}

// untagged returns the untagged VLAN of a port as text.
export function untagged(config = {}) { return config.vlan === 4095 ? "none" : String(config.vlan || 0); }

export const $ = id => document.getElementById(id);

// node returns an element with a class and children, which are elements or text. Text that
// comes from others is never markup.
export function node(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children);
  return e;
}

// svg returns an SVG element with attributes.
export function svg(tag, attributes = {}) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  return e;
}

// setText changes the text of e if it is another one.
export function setText(e, text) {
  const only = e.firstChild;
  if (only && only === e.lastChild && only.nodeType === Node.TEXT_NODE) {
    if (only.data !== text) only.data = text;
  } else if (e.textContent !== text) {
    e.textContent = text;
  }
}
