// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// The window of one port: what is attached, its counters, and what can be changed.

import { $, many, node, parseVLANs, rate, seconds, setText, span, untagged, vlans, whole } from "./format.js";
import { call } from "./rpc.js";

export class PortDialog {
  constructor(model, changed) {
    this.model = model;
    this.changed = changed;
    this.dialog = $("port");
    $("port-save").addEventListener("click", () => this.do(() => this.save()));
    $("port-reset").addEventListener("click", () => this.do(() => call("ResetPort", { port: this.number })));
    $("port-mirror-add").addEventListener("click", () => this.do(() => call("Mirror", { src: this.number, dst: integer($("port-mirror"), "port") })));
  }

  get isOpen() { return this.dialog.open; }

  // show opens the window.
  show(number) {
    this.number = number;
    this.fill();
    setText($("port-error"), "");
    if (!this.dialog.open) this.dialog.showModal();
  }

  // do calls the API and shows what came of it.
  async do(change) {
    setText($("port-error"), "");
    $("port-settings").disabled = $("port-mirrors").disabled = true; // what is typed meanwhile would be overwritten
    try {
      await change();
      await this.changed(this.number);
      this.fill();
    } catch (e) {
      setText($("port-error"), e.message);
    } finally {
      this.enable();
    }
  }

  get port() { return this.model.ports.get(this.number) || { number: this.number, config: {} }; }

  enable() { $("port-settings").disabled = $("port-mirrors").disabled = Boolean(this.model.switch.readOnly); }

  // fill shows the settings. What somebody types meanwhile is not overwritten by update.
  fill() {
    const c = this.port.config || {};
    setText($("port-title"), "Port " + this.number);
    $("port-vlan").value = untagged(c);
    $("port-tagged").value = vlans(c.tagged);
    $("port-policy").value = c.policy || "backpressure";
    $("port-storm").value = c.stormLimit || "";
    $("port-macs").value = c.macLimit || "";
    $("port-isolated").checked = Boolean(c.isolated);
    for (const d of directions) {
      const i = (c.impair || {})[d] || {};
      $(`port-${d}-delay`).value = i.delay ? short(1000 * seconds(i.delay)) : "";
      $(`port-${d}-loss`).value = i.loss ? short(100 * i.loss) : "";
      $(`port-${d}-rate`).value = i.rate || "";
    }
    this.enable();
    this.update();
  }

  // update shows endpoints, mirrors and counters.
  update() {
    const p = this.port, t = this.model.traffic.get(this.number), readOnly = Boolean(this.model.switch.readOnly);
    const about = [];
    if ((p.loop || {}).blocked) about.push("blocked: a probe of port " + (p.loop.from || 0) + " came back here");
    if ((p.config || {}).impair) about.push("impaired");
    about.push(many(p.fdbEntries || 0, "FDB entry", "FDB entries"));
    setText($("port-about"), about.join(", "));
    $("port-endpoints").replaceChildren(...(p.endpoints || []).map(e => {
      const text = [e.description || "no description", e.kind + (e.uplink ? " uplink" : "") + (e.down ? ", down" : ""),
        "user " + (e.uid || 0) + (e.pid ? ", process " + e.pid : ""), e.since ? "for " + span((Date.now() - Date.parse(e.since)) / 1000) : ""];
      const line = node("p", "endpoint", text.filter(Boolean).join(", "));
      if (!readOnly) {
        const b = node("button", "", "Disconnect");
        b.type = "button";
        b.addEventListener("click", () => this.do(() => call("Disconnect", { port: this.number, endpoint: e.id })));
        line.append(" ", b);
      }
      return line;
    }));
    $("port-mirror-list").replaceChildren(...this.model.mirrors.filter(m => (m.src || 0) === this.number).map(m => {
      const b = node("button", "", "Stop");
      b.type = "button";
      b.addEventListener("click", () => this.do(() => call("Unmirror", { src: this.number, dst: m.dst || 0 })));
      return node("p", "", "mirrored to port " + (m.dst || 0) + " ", ...readOnly ? [] : [b]);
    }));
    const lines = t ? [
      ["in", rate(t.rateIn.bits, "bit") + ", " + rate(t.rateIn.frames, ""), whole(t.in.frames || 0) + " frames"],
      ["out", rate(t.rateOut.bits, "bit") + ", " + rate(t.rateOut.frames, ""), whole(t.out.frames || 0) + " frames"],
      ["waiting", "", whole(t.out.queued || 0) + " frames"],
      ...["in", "out"].flatMap(d => Object.entries(t[d].dropped).map(([cause, n]) => ["dropped " + d + "/" + cause, "", whole(n) + " frames"])),
    ] : [];
    $("port-counters").replaceChildren(...lines.map(l => node("div", "", node("dt", "", l[0]), node("dd", "", l[1]), node("dd", "n", l[2]))));
  }

  async save() {
    const vlan = $("port-vlan").value.trim();
    await call("SetPort", {
      port: this.number,
      etag: this.port.etag,
      updateMask: "vlan,tagged,policy,stormLimit,macLimit,isolated,impair",
      config: {
        vlan: vlan === "none" || vlan === "" ? 4095 : integer($("port-vlan"), "untagged VLAN"),
        tagged: parseVLANs($("port-tagged").value),
        policy: $("port-policy").value,
        stormLimit: integer($("port-storm"), "flooded frames per second", 0),
        macLimit: integer($("port-macs"), "addresses", 0),
        isolated: $("port-isolated").checked,
        impair: impairments((this.port.config || {}).impair),
      },
    });
  }
}

// directions are those of a port's frames: from its endpoints, and to them.
const directions = ["in", "out"];

// impairments returns old with what the fields say; old may have more than they show.
function impairments(old = {}) {
  const changed = { ...old };
  for (const d of directions) {
    changed[d] = {
      ...old[d],
      delay: (decimal($(`port-${d}-delay`), "delay " + d) / 1000).toFixed(9) + "s",
      loss: decimal($(`port-${d}-loss`), "lost " + d) / 100,
      rate: integer($(`port-${d}-rate`), "bit/s " + d, 0),
    };
  }
  return changed;
}

// short returns a number without the digits that come from computing it.
function short(n) { return String(Number(n.toPrecision(12))); }

// decimal reads the number in a field; empty is 0.
function decimal(field, name) {
  const text = field.value.trim();
  if (!/^(\d+(\.\d+)?)?$/.test(text)) throw new Error(name + ": " + JSON.stringify(text) + " is no number");
  return Number(text);
}

// integer reads the number in a field; empty is what is given for it, or an error.
function integer(field, name, empty) {
  const text = field.value.trim();
  if (text === "" && empty !== undefined) return empty;
  if (!/^-?\d+$/.test(text)) throw new Error(name + ": " + JSON.stringify(text) + " is no whole number");
  return Number(text);
}
