// Deadlines: the error that a client receives when its own deadline or the service's expires.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";

import { call } from "../client.js";
import { NO_RESPONSE, connect, errorOf, serve } from "./service.js";

test("the service reports DEADLINE_EXCEEDED before the client times out", async (t) => {
  const client = connect(t, await serve(t, { fixtures: NO_RESPONSE }));

  // The service responds at most 100 ms before a deadline of 5 s or more. The calls start one after
  // another, because a burst would measure the speed of the machine.
  const calls = [];
  for (let number = 0; number < 100; number += 1) {
    calls.push(errorOf(call(client, "getGroupInfo", { groupId: "aaa" }, { timeout: 5000 })));
    await setTimeout(20);
  }
  const errors = await Promise.all(calls);

  assert.deepEqual(new Set(errors.map(({ status }) => status)), new Set(["DEADLINE_EXCEEDED"]));
  // Errors that grpc-js creates itself have no details.
  const ours = errors.filter(({ reason }) => reason === "iaifacade.v1/DEADLINE_EXCEEDED");
  t.diagnostic(`${ours.length} of ${errors.length} come from the service`);
  assert.ok(ours.length >= 95, `${ours.length} of ${errors.length}`);
});

test("a call with a 50 ms deadline does not take longer", async (t) => {
  const client = connect(t, await serve(t, { fixtures: NO_RESPONSE }));

  const began = performance.now();
  const error = await errorOf(call(client, "getGroupInfo", { groupId: "aaa" }, { timeout: 50 }));

  assert.equal(error.status, "DEADLINE_EXCEEDED");
  assert.ok(performance.now() - began < 1000);
});

test("a call that exceeds --max-call-time may be retried", async (t) => {
  const flags = ["--max-call-time=300ms"];
  const client = connect(t, await serve(t, { fixtures: NO_RESPONSE, flags }));

  const error = await errorOf(
    call(client, "getGroupInfo", { groupId: "aaa" }, { timeout: 30_000 }),
  );

  assert.deepEqual(error, {
    status: "UNAVAILABLE",
    reason: "iaifacade.v1/UPSTREAM_UNREACHABLE",
    retryMs: 200,
    pushbackMs: "200",
    retryAfterS: "1",
  });
});
