// Responses and errors as grpc-js receives them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { call } from "../client.js";
import { connect, errorOf, apiError, retryOptions, serve } from "./service.js";

const NO_HINTS = { retryMs: undefined, pushbackMs: undefined, retryAfterS: undefined };

test("a group is described", async (t) => {
  const client = connect(t, await serve(t));

  const { requestId, ...group } = await call(client, "getGroupInfo", { groupId: "aaa" });

  assert.match(requestId, /./);
  assert.deepEqual(group, {
    groupName: "aaa",
    groupId: "aaa",
    groupExDescriptions: ["24"],
    tag: "fdsaf",
    faceModelVersion: "3.0",
    creationTimestamp: { seconds: 1559530931, nanos: 613_000_000 },
  });
});

test("the groups of a person are listed", async (t) => {
  const client = connect(t, await serve(t));

  const response = await call(client, "getPersonGroupInfo", { personId: "1001" });

  assert.equal(response.groupNum, 1);
  assert.equal(response.faceModelVersion, "3.0");
  assert.deepEqual(
    response.personGroupInfos.map(({ groupId }) => groupId),
    ["TencentShenZhenEmployee"],
  );
});

test("unknown groups and persons are NOT_FOUND", async (t) => {
  const client = connect(t, await serve(t));

  const group = await errorOf(call(client, "getGroupInfo", { groupId: "zzz" }));
  const person = await errorOf(call(client, "getPersonGroupInfo", { personId: "unknown" }));

  assert.deepEqual(group, {
    status: "NOT_FOUND",
    reason: "iai.tencentcloudapi.com/INVALID_PARAMETER_VALUE_GROUP_ID_NOT_EXIST",
    ...NO_HINTS,
  });
  assert.deepEqual(person, {
    status: "NOT_FOUND",
    reason: "iaifacade.v1/PERSON_NOT_FOUND",
    ...NO_HINTS,
  });
});

test("a retriable error carries the delay in all three forms", async (t) => {
  const client = connect(t, await serve(t, { fixtures: apiError("RequestLimitExceeded") }));

  const error = await errorOf(call(client, "getGroupInfo", { groupId: "aaa" }, retryOptions()));

  assert.deepEqual(error, {
    status: "RESOURCE_EXHAUSTED",
    reason: "iai.tencentcloudapi.com/REQUEST_LIMIT_EXCEEDED",
    retryMs: 1000,
    pushbackMs: "1000",
    retryAfterS: "1",
  });
});

test("a non-retriable error carries a negative pushback", async (t) => {
  const client = connect(t, await serve(t, { fixtures: apiError("InternalError") }));

  const error = await errorOf(call(client, "getGroupInfo", { groupId: "aaa" }, retryOptions()));

  assert.deepEqual(error, {
    status: "INTERNAL",
    reason: "iai.tencentcloudapi.com/INTERNAL_ERROR",
    ...NO_HINTS,
    pushbackMs: "-1",
  });
});
