// Graceful close: grpc-js loses no calls when connections or replicas close.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";

import grpc from "@grpc/grpc-js";

import { FaceRecognitionService, call } from "../client.js";
import { serve } from "./service.js";

const OPTIONS = { "grpc.use_local_subchannel_pool": 1, "grpc.lb_policy_name": "round_robin" };

test("no call fails while 1,000 connections close", { timeout: 120_000 }, async (t) => {
  const proxy = await forward(t, await serve(t, { flags: ["--max-connection-age=300ms"] }));
  const clients = 40;

  const completed = await callWhile(() => proxy.opened < 1000 + clients, proxy.address, clients);

  t.diagnostic(`${completed} calls over ${proxy.opened} connections`);
});

test("no call fails while a replica shuts down", { timeout: 60_000 }, async (t) => {
  const flags = ["--unready-delay=500ms"];
  const programs = [];
  const addresses = [];
  for (let replica = 0; replica < 2; replica += 1) {
    addresses.push(await serve(t, { flags, onStart: (program) => programs.push(program) }));
  }
  const [first] = programs;
  let isStopping = false;
  let remaining = 200;

  const completed = await callWhile(
    (completed) => {
      if (completed >= 200 && !isStopping) {
        isStopping = true;
        first.kill("SIGTERM");
      }
      if (first.exitCode !== null) {
        remaining -= 1;
      }
      return remaining > 0;
    },
    `ipv4:${addresses.join(",")}`,
    4,
  );

  assert.equal(first.exitCode, 0);
  t.diagnostic(`${completed} calls`);
});

/** Runs two concurrent calls from each of several clients while `shouldContinue` returns true. */
async function callWhile(shouldContinue, address, clients) {
  let completed = 0;
  const runCalls = async (client) => {
    while (shouldContinue(completed)) {
      await call(client, "getGroupInfo", { groupId: "aaa" }, { timeout: 30_000 });
      completed += 1;
    }
  };
  const insecure = grpc.credentials.createInsecure();
  const opened = Array.from(
    { length: clients },
    () => new FaceRecognitionService(address, insecure, OPTIONS),
  );
  try {
    await Promise.all(opened.flatMap((client) => [runCalls(client), runCalls(client)]));
  } finally {
    opened.forEach((client) => client.close());
  }
  return completed;
}

/** Starts a TCP proxy to an address that counts its connections. */
async function forward(t, address) {
  const [host, port] = address.split(":");
  const proxy = { opened: 0 };
  const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (incoming) => {
    proxy.opened += 1;
    const outgoing = net.connect({ host, port, noDelay: true, allowHalfOpen: true });
    incoming.pipe(outgoing).pipe(incoming);
    incoming.on("error", () => outgoing.destroy());
    outgoing.on("error", () => incoming.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  proxy.address = `127.0.0.1:${server.address().port}`;
  return proxy;
}
