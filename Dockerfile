# The controller's image: one static binary and the trusted certificate authorities on an empty file system.
#
#   docker build --build-arg COMMIT="$(git rev-parse --short=12 HEAD)" --tag envelope-secrets:0.1.0 .
#
# Without a Docker engine, `cargo xtask image` builds the image: it compiles with cargo and passes the last stage of this file
# to buildah. Releases are built that way, on a host of each architecture (.github/workflows/release.yml).

# Rust as in rust-toolchain.toml; a test compares them. musl-tools compiles the C part of the TLS library.
FROM rust:1.95.0-slim-bookworm AS build
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates musl-tools \
    && rm -rf /var/lib/apt/lists/* \
    && rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /src
COPY . .
# The source has no Git history here: the commit that `envelope --version` prints.
ARG COMMIT=""
# The binary contains no path of this stage, as in xtask/src/release/binary.rs.
RUN target="$(uname -m)-unknown-linux-musl" \
    && export RUSTFLAGS="--remap-path-prefix=$CARGO_HOME=/cargo --remap-path-prefix=/src/target=/target" \
    && export "CFLAGS_$(echo "$target" | tr - _)=-ffile-prefix-map=$CARGO_HOME=/cargo -ffile-prefix-map=/src/target=/target" \
    && ENVELOPE_COMMIT="$COMMIT" cargo build --release --locked --bin envelope --target "$target" \
    && install -D -m 0755 "target/$target/release/envelope" /rootfs/envelope \
    && install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /rootfs/etc/ssl/certs/ca-certificates.crt

FROM scratch
ARG VERSION="0.1.0"
ARG COMMIT=""
LABEL org.opencontainers.image.title="envelope-secrets" \
      org.opencontainers.image.description="Sealed Kubernetes Secrets for GitOps, whose keys live in a cloud KMS" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT"
COPY --from=build /rootfs/ /
# No user database exists in the image, so the user is numeric; Kubernetes can only check `runAsNonRoot` for numeric users.
USER 65532:65532
ENTRYPOINT ["/envelope"]
