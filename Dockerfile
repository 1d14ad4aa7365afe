# syntax=docker/dockerfile:1
# Sportello in one image: pages, binary, runtime. Build from the repository's root:
#   docker build -t sportello .
#   docker run --stop-timeout 75 -p 8080:8080 -p 8081:8081 -v sportello:/var/lib/sportello sportello
# docs/operations.md says what else production needs.

FROM node:22-bookworm-slim AS web
WORKDIR /build/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web/ ./
RUN npm run build

# The C compiler of this image builds SQLite, zstd and aws-lc, the cryptography under TLS: CMake is not needed.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
# The dependencies alone: this layer is kept until Cargo.lock changes.
RUN mkdir src benches && touch src/lib.rs benches/throughput.rs && echo 'fn main() {}' > src/main.rs \
 && cargo build --release --locked && rm -r src benches
COPY . .
COPY --from=web /build/web/dist web/dist
RUN touch src/lib.rs src/main.rs && cargo build --release --locked

FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --home-dir /var/lib/sportello --shell /usr/sbin/nologin sportello \
 && install --directory --mode 0700 --owner sportello --group sportello /var/lib/sportello
COPY --from=build /build/target/release/sportello /usr/local/bin/sportello
COPY LICENSE /usr/share/doc/sportello/LICENSE
USER 10001:10001
WORKDIR /var/lib/sportello
VOLUME /var/lib/sportello
# A container is reached through its published ports only, so its listeners are open inside it. The environment is stronger than a settings
# file, so the file's `listen` does not count here: to switch mail's or metrics' off say so when the container is started, with an empty value:
#   docker run -e SPORTELLO__EMAIL__SMTP__LISTEN= …
ENV SPORTELLO__DATA__FOLDER=/var/lib/sportello \
    SPORTELLO__DESK__LISTEN=0.0.0.0:8080 \
    SPORTELLO__PUBLIC__LISTEN=0.0.0.0:8081 \
    SPORTELLO__METRICS__LISTEN=0.0.0.0:9464 \
    SPORTELLO__EMAIL__SMTP__LISTEN=0.0.0.0:2525
EXPOSE 8080 8081 9464 2525
# Asks /readyz where metrics.listen says. A start that migrates a large database takes longer than the start period: run `migrate` before it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["sportello", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["sportello"]
CMD ["serve"]
