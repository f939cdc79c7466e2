// Whose deadline a call misses, and what it is then told.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";

import { call } from "../client.js";
import { SILENCE, connect, errorOf, serve } from "./service.js";

test("nearly all of a hundred callers learn from the service that time is up", async (t) => {
  const client = connect(t, await serve(t, { fixtures: SILENCE }));

  // The service answers at most 100 ms early, which it does of 5 s and more. One call after
  // another, since a burst that begins and ends in one moment would measure the machine.
  const calls = [];
  for (let number = 0; number < 100; number += 1) {
    calls.push(errorOf(call(client, "getGroupInfo", { groupId: "aaa" }, { timeout: 5000 })));
    await setTimeout(20);
  }
  const errors = await Promise.all(calls);

  assert.deepEqual(new Set(errors.map(({ status }) => status)), new Set(["DEADLINE_EXCEEDED"]));
  // An error that grpc-js makes by itself has no details.
  const ours = errors.filter(({ reason }) => reason === "iaifacade.v1/DEADLINE_EXCEEDED");
  t.diagnostic(`${ours.length} of ${errors.length} come from the service`);
  assert.ok(ours.length >= 95, `${ours.length} of ${errors.length}`);
});

test("a caller with 50 ms does not wait for longer", async (t) => {
  const client = connect(t, await serve(t, { fixtures: SILENCE }));

  const began = performance.now();
  const error = await errorOf(call(client, "getGroupInfo", { groupId: "aaa" }, { timeout: 50 }));

  assert.equal(error.status, "DEADLINE_EXCEEDED");
  assert.ok(performance.now() - began < 1000);
});

test("a call that the service gives up may be tried again", async (t) => {
  const flags = ["--max-call-time=300ms"];
  const client = connect(t, await serve(t, { fixtures: SILENCE, flags }));

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
