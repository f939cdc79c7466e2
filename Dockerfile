# Both defaults are Debian 13, so that the program is linked against the glibc that it meets. Tags
# move, and those of distroless carry no version: for an image that can be built again, give each as
# NAME:TAG@sha256:…, with the digest that `docker buildx imagetools inspect NAME:TAG` prints.
ARG BUILDER_IMAGE=docker.io/library/rust:1.95.0-slim-trixie
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian13:nonroot

# The dependencies alone, built again only when the manifests change. Our own packages must leave no
# trace: cargo goes by times, and would take the sources, older than this layer, for what it has
# already built.
FROM ${BUILDER_IMAGE} AS dependencies
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY crates/emulator/Cargo.toml crates/emulator/
COPY crates/signature/Cargo.toml crates/signature/
RUN mkdir src crates/emulator/src crates/signature/src \
    && echo '//! Nothing yet.' > src/lib.rs \
    && cp src/lib.rs crates/emulator/src \
    && cp src/lib.rs crates/signature/src \
    && printf '//! Nothing yet.\nfn main() {}\n' > src/main.rs \
    && cp src/main.rs build.rs \
    && cargo build --release --locked \
    && cargo clean --release --workspace \
    && rm -r build.rs src crates

FROM dependencies AS builder
COPY . .
# The commit that is built; /metrics shows it.
ARG REVISION=
RUN IAI_FACADE_REVISION="${REVISION}" cargo build --release --locked

# Distroless `cc` has what the program is linked to, glibc and libgcc, and no shell.
FROM ${RUNTIME_IMAGE}

ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="iai-facade" \
      org.opencontainers.image.description="A gRPC service in front of Tencent Cloud Face Recognition (IAI)" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.version="${VERSION}"

# Whether there is a bundle is not left to the base: without one, no call to Tencent Cloud is made.
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=builder /build/target/release/iai-facade /iai-facade

# By number, or Kubernetes cannot tell for `runAsNonRoot` that it is not root.
USER 65532:65532

# All addresses: the loopback interface of a container is not reachable from outside.
ENV IAI_FACADE_LISTEN=0.0.0.0:50051 \
    IAI_FACADE_ADMIN_LISTEN=0.0.0.0:9464 \
    IAI_FACADE_EMULATOR_LISTEN=0.0.0.0:9080 \
    IAI_FACADE_LOG_FORMAT=json
EXPOSE 50051 9464
STOPSIGNAL SIGTERM

# A probe ends within two seconds by itself. It asks the server of the same variables, over TLS if that
# has a certificate; IAI_FACADE_ADDRESS tells it of a server that is set up by flags.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["/iai-facade", "probe"]

ENTRYPOINT ["/iai-facade"]
CMD ["serve"]
