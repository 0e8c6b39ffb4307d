// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Calls of the switch's API: the Connect protocol with JSON, as in
// https://connectrpc.com/docs/protocol.

const service = "/vde.switch.v1.SwitchService/";

export class RPCError extends Error {
  constructor(code, message) {
    super(message || code);
    this.code = code;
  }
}

let token = "";

// setToken sets the token that goes with each call.
export function setToken(t) { token = t; }

function headers(type) {
  const h = { "Content-Type": type, "Connect-Protocol-Version": "1" };
  if (token) h.Authorization = "Bearer " + token;
  return h;
}

async function failure(response) {
  try {
    const e = await response.json();
    return new RPCError(e.code || "unknown", e.message);
  } catch {
    return new RPCError("unknown", "the server answered " + response.status);
  }
}

// call makes one request and returns the answer.
export async function call(method, request = {}) {
  const response = await fetch(service + method, { method: "POST", headers: headers("application/json"), body: JSON.stringify(request) });
  if (!response.ok) throw await failure(response);
  return response.json();
}

// envelope returns a message of a stream: flags, length, JSON.
function envelope(message) {
  const json = new TextEncoder().encode(JSON.stringify(message));
  const out = new Uint8Array(5 + json.length);
  new DataView(out.buffer).setUint32(1, json.length);
  out.set(json, 5);
  return out;
}

const endOfStream = 2;
const maxMessage = 32 << 20;

// stream makes a request and yields the answers, until the server ends the stream.
export async function* stream(method, request = {}, signal) {
  const response = await fetch(service + method, { method: "POST", headers: headers("application/connect+json"), body: envelope(request), signal });
  if (!response.ok) throw await failure(response);
  const reader = response.body.getReader();
  let rest = new Uint8Array(0);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new RPCError("unavailable", "the connection has ended");
      const all = new Uint8Array(rest.length + value.length);
      all.set(rest);
      all.set(value, rest.length);
      rest = all;
      while (rest.length >= 5) {
        const length = new DataView(rest.buffer, rest.byteOffset).getUint32(1);
        if (length > maxMessage) throw new RPCError("internal", "a message of " + length + " bytes");
        if (rest.length < 5 + length) break;
        const flags = rest[0];
        const message = JSON.parse(new TextDecoder().decode(rest.subarray(5, 5 + length)));
        rest = rest.subarray(5 + length);
        if (flags & endOfStream) {
          if (message.error) throw new RPCError(message.error.code, message.error.message);
          return;
        }
        yield message;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
