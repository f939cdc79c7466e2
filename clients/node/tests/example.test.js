// The example client, run from the command line.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { apiError, serve } from "./service.js";

const EXAMPLE = fileURLToPath(new URL("../example.js", import.meta.url));

function run(...args) {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [EXAMPLE, ...args], (_, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    );
  });
}

test("the example prints the groups of a person", async (t) => {
  const address = await serve(t);

  assert.deepEqual(await run(address, "2001"), {
    code: 0,
    stdout:
      "ZhuYuanDormitoryNo1: " +
      "School of Computer Science, Software Engineering, Class of 2015, 3150108080\n",
    stderr: "",
  });
});

test("the example explains why a call failed", async (t) => {
  const address = await serve(t);

  assert.deepEqual(await run(address, "unknown"), {
    code: 1,
    stdout: "",
    stderr: "NOT_FOUND: the person does not exist\nreason: iaifacade.v1/PERSON_NOT_FOUND\n",
  });
});

test("the example prints the retry delay", async (t) => {
  const address = await serve(t, { fixtures: apiError("RequestLimitExceeded") });

  const { code, stderr } = await run(address, "2001");

  assert.equal(code, 1);
  assert.deepEqual(stderr.trimEnd().split("\n").slice(1), [
    "reason: iai.tencentcloudapi.com/REQUEST_LIMIT_EXCEEDED",
    "try again in 1000 ms",
  ]);
});

test("the example prints its usage", async () => {
  assert.deepEqual(await run(), {
    code: 64,
    stdout: "",
    stderr: "usage: node example.js ADDRESS PERSON_ID\n",
  });
});
