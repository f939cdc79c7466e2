// Runs the service with an emulator as upstream.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";

import grpc from "@grpc/grpc-js";

import { FaceRecognitionService, detailsOf } from "../client.js";

/** Fixtures: upstream never responds. */
export const NO_RESPONSE = "[[faults]]\nhold = true\ntimes = 1000\n";

/** Returns the options of a call that is marked as a retry. The service makes one upstream attempt for it. */
export function retryOptions() {
  const metadata = new grpc.Metadata();
  metadata.set("x-envoy-attempt-count", "2");
  return { metadata, timeout: 30_000 };
}

/** Returns fixtures: the next 9 upstream requests fail with a Tencent Cloud error code. */
export function apiError(code) {
  return `[[faults]]\napi_error = { code = "${code}", message = "Upstream said so." }\ntimes = 9\n`;
}

/**
 * Starts the service with an emulator as upstream, with optional fixtures, and returns the address of the
 * gRPC listener. `onStart` receives the process. The end of the test stops the service and checks its exit
 * code.
 */
export async function serve(t, { fixtures, flags = [], onStart = () => {} } = {}) {
  const ports = ["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"];
  const all = ["serve", "--emulate", ...ports, ...flags];
  if (fixtures) {
    const folder = await mkdtemp(path.join(tmpdir(), "iai-facade-"));
    t.after(() => rm(folder, { recursive: true }));
    const file = path.join(folder, "fixtures.toml");
    await writeFile(file, fixtures);
    all.push(`--fixtures=${file}`);
  }
  const program = spawn(process.env.IAI_FACADE_BIN, [...all, "--log-format=json"], {
    env: { IAI_FACADE_ADAPTIVE_RATE: "off", IAI_FACADE_UNREADY_DELAY: "0s" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  onStart(program);
  const exited = once(program, "exit");
  t.after(async () => {
    program.kill("SIGTERM");
    assert.deepEqual(await exited, [0, null]);
  });

  return new Promise((resolve, reject) => {
    const log = [];
    // Keeps reading until the end, so that the program never blocks on a full pipe.
    createInterface({ input: program.stderr })
      .on("line", (line) => {
        log.push(line);
        const { message, "grpc.address": address } = line.startsWith("{") ? JSON.parse(line) : {};
        if (message === "listening") {
          resolve(address);
        }
      })
      .on("close", () => reject(new Error(`the program exited:\n${log.join("\n")}`)));
  });
}

/** Returns a client of the service at an address. The end of the test closes it. */
export function connect(t, address) {
  const client = new FaceRecognitionService(address, grpc.credentials.createInsecure());
  t.after(() => client.close());
  return client;
}

/** Returns the error of a call that must fail, as plain values. */
export async function errorOf(promise) {
  const error = await promise.then(
    (response) => assert.fail(`the call succeeded: ${JSON.stringify(response)}`),
    (error) => error,
  );
  const { ErrorInfo: info, RetryInfo: retry } = detailsOf(error);
  const delay = retry?.retryDelay;
  return {
    status: grpc.status[error.code],
    reason: info && `${info.domain}/${info.reason}`,
    retryMs: delay && delay.seconds * 1000 + delay.nanos / 1e6,
    pushbackMs: error.metadata.get("grpc-retry-pushback-ms")[0],
    retryAfterS: error.metadata.get("retry-after")[0],
  };
}
