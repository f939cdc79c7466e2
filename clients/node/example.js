// Looks up the groups of a person and explains the error if the call fails.
//
// Usage: node example.js ADDRESS PERSON_ID

import grpc from "@grpc/grpc-js";

import { FaceRecognitionService, call, detailsOf } from "./client.js";

async function main(address, personId) {
  const client = new FaceRecognitionService(address, grpc.credentials.createInsecure());
  try {
    const request = { personId, limit: 100 };
    // Without a deadline, a call may take up to the --max-call-time of the service.
    const response = await call(client, "getPersonGroupInfo", request, { timeout: 2000 });
    for (const { groupId, personExDescriptions } of response.personGroupInfos) {
      console.log(`${groupId}: ${personExDescriptions.join(", ")}`);
    }
  } catch (error) {
    console.error(explain(error));
    process.exitCode = 1;
  } finally {
    client.close();
  }
}

/** Formats the status, reason and retry delay of an error. */
function explain(error) {
  const lines = [`${grpc.status[error.code]}: ${error.details}`];
  const { ErrorInfo: info, RetryInfo: retry } = detailsOf(error);
  if (info) {
    lines.push(`reason: ${info.domain}/${info.reason}`);
  }
  if (retry) {
    const { seconds, nanos } = retry.retryDelay;
    lines.push(`try again in ${seconds * 1000 + nanos / 1e6} ms`);
  }
  return lines.join("\n");
}

if (process.argv.length === 4) {
  await main(...process.argv.slice(2));
} else {
  console.error("usage: node example.js ADDRESS PERSON_ID");
  process.exitCode = 64;
}
