// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// The page: connects the API to what is shown.

import { Chart } from "./charts.js";
import { $, many, node, rate, seconds, setText, si, span, untagged, vlans, whole } from "./format.js";
import { Grid } from "./grid.js";
import { dropsOf, Model } from "./model.js";
import { PortDialog } from "./port.js";
import { call, RPCError, setToken, stream } from "./rpc.js";
import { Topology } from "./topology.js";

const model = new Model();
const mostEvents = 1000, mostShown = 200; // of each list of events, and in the page
const eventPause = 50; // milliseconds between two messages of events

// --- what is shown

const dialog = new PortDialog(model, async number => {
  await Promise.all([refreshPort(number), refreshMirrors()]);
});
const topology = new Topology($("topology"), $("topology-note"), number => dialog.show(number));
const charts = [
  new Chart($("chart-bits"), [{ name: "in", of: s => s.in.bits }, { name: "out", of: s => s.out.bits }]),
  new Chart($("chart-frames"), [{ name: "in", of: s => s.in.frames }, { name: "out", of: s => s.out.frames }]),
  new Chart($("chart-drops"), [{ name: "drops", of: s => s.in.drops + s.out.drops }]),
];
const traffic = p => model.trafficOf(p.number || 0);
const kinds = p => [...new Set((p.endpoints || []).map(e => e.kind + (e.uplink ? " uplink" : "") + (e.down ? " (down)" : "")))].join(", ");
const descriptions = p => (p.endpoints || []).map(e => e.description || "").join(", ");
const ports = new Grid($("ports"), [
  { key: "number", name: "port", number: true, text: p => String(p.number || 0), sort: p => p.number || 0 },
  { key: "description", name: "description", text: descriptions },
  { key: "kind", name: "kind", text: p => ((p.loop || {}).blocked ? "blocked, " : "") + kinds(p) },
  { key: "vlan", name: "VLAN", text: p => untagged(p.config) + ((p.config || {}).tagged ? " (" + vlans(p.config.tagged) + ")" : "") },
  { key: "in", name: "in", number: true, text: p => rate(traffic(p).rateIn.bits, "bit"), sort: p => traffic(p).rateIn.bits },
  { key: "out", name: "out", number: true, text: p => rate(traffic(p).rateOut.bits, "bit"), sort: p => traffic(p).rateOut.bits },
  { key: "history", name: "last minute", text: () => "", draw: (cell, p) => sparkline(cell, traffic(p)) },
  { key: "frames", name: "frames in", number: true, text: p => whole(traffic(p).in.frames || 0), sort: p => traffic(p).in.frames || 0 },
  { key: "sent", name: "frames out", number: true, text: p => whole(traffic(p).out.frames || 0), sort: p => traffic(p).out.frames || 0 },
  { key: "queued", name: "waiting", number: true, text: p => whole(traffic(p).out.queued || 0), sort: p => traffic(p).out.queued || 0 },
  { key: "drops", name: "dropped", number: true, text: p => whole(dropsOf(traffic(p))), sort: p => dropsOf(traffic(p)) },
], { sortBy: "number", open: p => dialog.show(p.number || 0) });
const fdb = new Grid($("fdb"), [
  { key: "mac", name: "address", text: e => e.mac },
  { key: "vlan", name: "VLAN", number: true, text: e => String(e.vlan || 0), sort: e => e.vlan || 0 },
  { key: "port", name: "port", number: true, text: e => String(e.port || 0), sort: e => e.port || 0 },
  { key: "age", name: "age", number: true, text: e => e.static ? "static" : span(seconds(e.age)), sort: e => seconds(e.age) },
], { open: e => dialog.show(e.port || 0) });

// sparkline draws the last minute of a port into a cell.
function sparkline(cell, t) {
  const n = Math.min(t.at, t.history.length);
  let most = 1, points = "";
  for (let i = 0; i < n; i++) most = Math.max(most, t.history[i]);
  for (let i = 0; i < n; i++) points += 100 - n + i + "," + (18 - 16 * t.history[(t.at - n + i) % t.history.length] / most).toFixed(1) + " ";
  if (!cell.firstChild) {
    const s = document.createElementNS("http://www.w3.org/2000/svg", "svg"), line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    s.setAttribute("viewBox", "40 0 60 20");
    s.setAttribute("preserveAspectRatio", "none");
    s.append(line);
    cell.append(s);
  }
  cell.firstChild.firstChild.setAttribute("points", points);
}

function matches(p, words) {
  return words.every(w => {
    if (w.startsWith("vlan:")) {
      const v = Number(w.slice(5)), c = p.config || {};
      return (c.vlan || 0) === v || (c.tagged || []).some(r => (r.first || 0) <= v && v <= Math.max(r.first || 0, r.last || 0));
    }
    return String(p.number || 0) === w || (descriptions(p) + " " + kinds(p) + ((p.loop || {}).blocked ? " blocked" : "")).toLowerCase().includes(w);
  });
}

function showPorts() {
  const words = $("ports-search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const all = $("ports-active").checked ? model.activePorts() : [...model.ports.values()].sort((a, b) => (a.number || 0) - (b.number || 0));
  const some = all.filter(p => matches(p, words));
  ports.set(some);
  setText($("ports-count"), some.length === all.length ? many(all.length, "port", "ports") : some.length + " of " + many(all.length, "port", "ports"));
}

function showTotals() {
  const r = model.rates;
  setText($("total-in"), rate(r.in.bits, "bit") + ", " + rate(r.in.frames, ""));
  setText($("total-out"), rate(r.out.bits, "bit") + ", " + rate(r.out.frames, ""));
  setText($("total-dropped"), rate(r.in.drops + r.out.drops, "") + ", " + whole(dropsOf(model.totals)) + " in all");
  setText($("total-ports"), whole(model.activePorts().length));
  setText($("total-fdb"), whole(Number(model.fdb.entries || 0)));
}

function showDrops() {
  const causes = model.causes(), most = Math.max(1, ...causes.map(c => c.all));
  $("drops-note").hidden = causes.length > 0;
  $("drops").hidden = causes.length === 0;
  $("drops").tBodies[0].replaceChildren(...causes.map(c => {
    const bar = node("meter", "");
    bar.max = most;
    bar.value = c.all;
    return node("tr", c.rate > 0 ? "now" : "", node("td", "", c.cause), node("td", "n", si(c.rate)), node("td", "n", whole(c.all)), node("td", "", bar));
  }));
}

function showSwitch() {
  const s = model.switch;
  setText($("name"), s.name || "VDE switch");
  document.title = (s.name || "VDE switch") + " – VDE";
  setText($("about"), [(s.dirs || []).join(", "), s.version, s.uptime ? "up " + span(seconds(s.uptime)) : "", s.readOnly ? "read only" : ""].filter(Boolean).join(" · "));
  $("switch-buttons").hidden = Boolean(s.readOnly);
  $("hub").checked = Boolean(s.hub);
}

// showCounters is called for each sample. A page that nobody sees draws nothing.
function showCounters() {
  if (document.hidden) return;
  showTotals();
  showDrops();
  topology.update(model);
  for (const c of charts) c.draw(model.samples);
  showPorts();
  if (dialog.isOpen) dialog.update();
}

// --- events

const groups = {
  fdb: ["learned", "moved", "aged", "forgotten"],
  drops: ["dropped"],
  ports: ["attached", "detached", "port-up", "port-down", "blocked", "unblocked", "link-up", "link-down", "configured", "mirrored", "unmirrored"],
};

// Endpoints can cause some kinds of events at any rate. They push out no others.
const rare = [], frequent = [];
let handled = 0;

function wanted(e) {
  const which = $("events-kind").value;
  if (which === "all" || e.kind === "lost") return true;
  return which === "" ? !groups.fdb.includes(e.kind) : groups[which].includes(e.kind);
}

// sentence says what an event is about.
function sentence(e) {
  const port = e.port === undefined ? "the switch" : "port " + e.port;
  const other = "port " + (e.otherPort || 0), address = e.mac + (e.vlan ? " in VLAN " + e.vlan : "");
  const endpoint = (e.description || "no description") + " (" + e.endpointKind + ")";
  const cause = e.cause ? ": " + e.cause : "";
  switch (e.kind) {
    case "attached": return endpoint + " came to " + port;
    case "detached": return endpoint + " left " + port + cause;
    case "learned": return address + " is behind " + port;
    case "moved": return address + " moved from " + other + " to " + port;
    case "aged": return address + " was not seen for long behind " + port;
    case "forgotten": return address + " is no longer known behind " + port;
    case "blocked": return port + " is blocked: a probe of " + other + " came back there";
    case "mirrored": return port + " is mirrored to " + other;
    case "unmirrored": return port + " is no longer mirrored to " + other;
    case "dropped": return many(Number(e.count), "frame", "frames") + " dropped at " + port + cause;
    case "lost": return many(Number(e.count), "event is", "events are") + " missing";
    default: return port + cause;
  }
}

// lastWanted returns the last events of a list that are wanted, the newest first.
function lastWanted(events) {
  const list = [];
  for (let i = events.length - 1; i >= 0 && list.length < mostShown; i--) if (wanted(events[i])) list.push(events[i]);
  return list;
}

function showEvents() {
  if ($("events-hold").checked || document.hidden) return;
  const list = [...lastWanted(rare), ...lastWanted(frequent)].sort((a, b) => b.order - a.order).slice(0, mostShown);
  $("events").replaceChildren(...list.map(e => node("li", "event " + e.kind,
    node("time", "", new Date(e.time).toLocaleTimeString("en-GB")), node("b", "", e.kind), node("span", "", sentence(e)))));
}

const stale = new Set(); // ports to be asked for again
let refreshing = false;

async function refreshPort(number) {
  model.setPort((await call("GetPort", { port: number })).port);
  topology.layout(model);
  showPorts();
}

async function refreshMirrors() { model.mirrors = (await call("ListMirrors")).mirrors || []; }

async function refreshSwitch() {
  model.switch = (await call("GetSwitch")).switch || {};
  showSwitch();
}

async function refreshPorts() {
  const list = [];
  let pageToken = "";
  do {
    const page = await call("ListPorts", { noStats: true, pageSize: 4096, pageToken });
    list.push(...page.ports || []);
    pageToken = page.nextPageToken || "";
  } while (pageToken);
  model.setPorts(list);
  topology.layout(model);
  showPorts();
}

// refresh asks for what events have made stale.
async function refresh() {
  if (refreshing || stale.size === 0) return;
  refreshing = true;
  const numbers = [...stale];
  stale.clear();
  try {
    if (numbers.includes("switch")) await refreshSwitch();
    if (numbers.includes("mirrors")) await refreshMirrors();
    const some = numbers.filter(n => typeof n === "number");
    if (numbers.includes("ports") || some.length > 16) {
      await refreshPorts();
    } else {
      for (const n of some) await refreshPort(n);
    }
  } catch {
    for (const n of numbers) stale.add(n); // the next event, or a new connection, asks again
  } finally {
    refreshing = false;
  }
}

// keep adds an event to its list.
function keep(e) {
  const events = groups.fdb.includes(e.kind) || groups.drops.includes(e.kind) ? frequent : rare;
  const before = events[events.length - 1];
  e.order = handled++;
  if (e.kind === "lost" && before && before.kind === "lost") { // one line for all of a flood
    e.count = String(Number(before.count) + Number(e.count));
    events.pop();
  }
  events.push(e);
  if (events.length > mostEvents) events.shift();
}

function handle(e) {
  keep(e);
  if (e.kind === "lost") stale.add("ports").add("switch").add("mirrors");
  if (e.kind === "mirrored" || e.kind === "unmirrored") stale.add("mirrors");
  if (e.kind === "configured" && e.port === undefined) stale.add("switch").add("ports");
  if (groups.ports.includes(e.kind) && e.port !== undefined) stale.add(e.port);
}

async function refreshFDB() {
  if (document.hidden) return;
  const request = { pageSize: 500 };
  for (const w of $("fdb-search").value.toLowerCase().split(/\s+/).filter(Boolean)) {
    const [, key, value] = /^(port|vlan):(\d+)$/.exec(w) || [];
    if (key) request[key] = Number(value);
    else request.mac = w;
  }
  const answer = await call("ListFDB", request);
  const list = answer.entries || [];
  fdb.set(list);
  setText($("fdb-count"), (answer.total || 0) > list.length ? "the first " + list.length + " of " + whole(answer.total) : many(list.length, "entry", "entries"));
}

// --- the connection

let attempt = 0, last = 0; // number of the last event

async function watchStats(signal) {
  model.reset();
  for await (const message of stream("WatchStats", { interval: "1s" }, signal)) {
    model.sample(message);
    showCounters();
    setText($("state"), "live");
    $("state").className = "live";
    attempt = 0;
  }
}

// visible returns when somebody sees the page.
async function visible() {
  while (document.hidden) await new Promise(r => document.addEventListener("visibilitychange", r, { once: true }));
}

// watchEvents follows the events while somebody sees the page: a browser has six connections
// to a server for all its tabs. What has happened meanwhile comes then.
async function watchEvents(signal) {
  for (;;) {
    await visible();
    const seen = new AbortController();
    const hide = () => { if (document.hidden) seen.abort(); };
    document.addEventListener("visibilitychange", hide);
    try {
      return await followEvents(AbortSignal.any([signal, seen.signal]));
    } catch (e) {
      if (signal.aborted || !seen.signal.aborted) throw e;
    } finally {
      document.removeEventListener("visibilitychange", hide);
    }
  }
}

async function followEvents(signal) {
  for await (const message of stream("WatchEvents", { after: String(last) }, signal)) {
    for (const e of message.events || []) {
      last = Math.max(last, Number(e.seq));
      handle(e);
    }
    showEvents();
    await refresh();
    await new Promise(r => setTimeout(r, eventPause)); // or a flood of events would leave no time for anything else
  }
}

async function connect() {
  const abort = new AbortController();
  let timer;
  try {
    await refreshSwitch();
    $("login").hidden = true;
    $("main").hidden = false;
    await Promise.all([refreshPorts(), refreshMirrors()]);
    timer = setInterval(() => { refreshFDB().catch(() => {}); refresh(); showUptime(); }, 2000);
    refreshFDB().catch(() => {});
    await Promise.race([watchStats(abort.signal), watchEvents(abort.signal)]);
    throw new RPCError("unavailable", "the switch was closed");
  } catch (e) {
    if (e.code === "unauthenticated") {
      $("login").hidden = false;
      $("main").hidden = true;
      setText($("state"), $("token").value || sessionStorage.getItem("vde-token") ? "this token is not that of the switch" : "");
      return;
    }
    setText($("state"), "no connection: " + e.message);
    $("state").className = "lost";
    setTimeout(connect, Math.min(10000, 500 * 2 ** attempt++));
  } finally {
    clearInterval(timer);
    abort.abort();
  }
}

function showUptime() {
  if (!model.switch.started) return;
  model.switch.uptime = (Date.now() - Date.parse(model.switch.started)) / 1000 + "s";
  showSwitch();
}

// --- the reader's choices

async function change(f) {
  try {
    await f();
  } catch (e) {
    setText($("state"), e.message);
    $("state").className = "lost";
    await refreshSwitch();
  }
}

function start() {
  const given = /(?:^#|&)token=([^&]*)/.exec(location.hash);
  if (given) {
    sessionStorage.setItem("vde-token", decodeURIComponent(given[1]));
    history.replaceState(null, "", location.pathname);
  }
  setToken(sessionStorage.getItem("vde-token") || "");
  const theme = localStorage.getItem("vde-theme");
  if (theme) document.documentElement.dataset.theme = theme;
  $("theme").addEventListener("click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches, now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
    localStorage.setItem("vde-theme", document.documentElement.dataset.theme);
  });
  $("login").addEventListener("submit", e => {
    e.preventDefault();
    sessionStorage.setItem("vde-token", $("token").value.trim());
    setToken($("token").value.trim());
    connect();
  });
  $("ports-search").addEventListener("input", showPorts);
  $("ports-active").addEventListener("change", showPorts);
  $("fdb-search").addEventListener("input", () => refreshFDB().catch(() => {}));
  $("events-kind").addEventListener("change", showEvents);
  $("events-hold").addEventListener("change", showEvents);
  $("hub").addEventListener("change", () => change(() => call("SetHub", { hub: $("hub").checked })));
  $("flush").addEventListener("click", () => change(async () => { await call("FlushFDB"); await refreshFDB(); }));
  document.addEventListener("visibilitychange", () => { showCounters(); showEvents(); });
  connect();
}

start();
