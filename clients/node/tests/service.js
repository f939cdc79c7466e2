// Runs the service before an emulator.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";

import grpc from "@grpc/grpc-js";

import { FaceRecognitionService, detailsOf } from "../client.js";

/** A fault: upstream answers no call. */
export const SILENCE = "[[faults]]\nhold = true\ntimes = 1000\n";

/** The options of a call that is marked as a repetition, for which one attempt upstream is made. */
export function repeated() {
  const metadata = new grpc.Metadata();
  metadata.set("x-envoy-attempt-count", "2");
  return { metadata, timeout: 30_000 };
}

/** Returns a fault: the next calls are refused with a code. */
export function refusal(code) {
  return `[[faults]]\nrefuse = { code = "${code}", message = "Upstream said so." }\ntimes = 9\n`;
}

/**
 * Starts the service before an emulator, with the given fixtures if there are any, and returns
 * where it listens. Its process is handed to `onStart`. It is stopped at the end of the test, and must end well.
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
  const ended = once(program, "exit");
  t.after(async () => {
    program.kill("SIGTERM");
    assert.deepEqual(await ended, [0, null]);
  });

  return new Promise((resolve, reject) => {
    const log = [];
    // Reads on to the end, so that the program never waits for room in the pipe.
    createInterface({ input: program.stderr })
      .on("line", (line) => {
        log.push(line);
        const { message, "grpc.address": address } = line.startsWith("{") ? JSON.parse(line) : {};
        if (message === "listening") {
          resolve(address);
        }
      })
      .on("close", () => reject(new Error(`the program has ended:\n${log.join("\n")}`)));
  });
}

/** Returns a client of the service at an address, which is closed at the end of the test. */
export function connect(t, address) {
  const client = new FaceRecognitionService(address, grpc.credentials.createInsecure());
  t.after(() => client.close());
  return client;
}

/** Returns the error of a call that is expected to fail, in plain values. */
export async function errorOf(calling) {
  const error = await calling.then(
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
