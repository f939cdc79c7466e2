// Client of the service, with access to the details of its errors.

import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const definitions = protoLoader.loadSync(
  ["iaifacade/v1/face_recognition_service.proto", "google_rpc.proto"],
  {
    includeDirs: ["../../proto", "."].map((folder) =>
      fileURLToPath(new URL(folder, import.meta.url)),
    ),
    defaults: true,
    longs: Number,
  },
);

/** The client class of the service. */
export const { FaceRecognitionService } = grpc.loadPackageDefinition(definitions).iaifacade.v1;

/**
 * Calls a method and returns a promise of the response.
 *
 * `timeout` is in milliseconds. Without it, the call may take up to the `--max-call-time` of the service.
 */
export function call(client, method, request, { timeout = Infinity, metadata } = {}) {
  return new Promise((resolve, reject) => {
    client[method](
      request,
      metadata ?? new grpc.Metadata(),
      { deadline: Date.now() + timeout },
      (error, response) => (error ? reject(error) : resolve(response)),
    );
  });
}

/** Returns the details of an error, keyed by type name, such as `ErrorInfo`. */
export function detailsOf(error) {
  const [status] = error.metadata.get("grpc-status-details-bin");
  const details = status ? definitions["google.rpc.Status"].deserialize(status).details : [];
  return Object.fromEntries(
    details.flatMap(({ type_url: url, value }) => {
      const name = url.split("/").at(-1);
      const known = definitions[name];
      return known ? [[name.split(".").at(-1), known.deserialize(value)]] : [];
    }),
  );
}
