# One binary in an image with nothing else: broker, node, command line or provisioner, whichever is named at the start.
#   docker build -t muster . && docker run -p 4222:4222 -v ./broker.conf:/etc/muster/broker.conf:ro muster
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The sources of a commit come without their history: name it, or buildinfo says unknown.
ARG SOURCE_DATE_EPOCH
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --package muster-cli --bin muster --features kafka \
    && strip -o /muster target/dist/muster

FROM debian:bookworm-slim
RUN groupadd --system --gid 2048 muster \
    && useradd --system --uid 2048 --gid muster --home-dir /var/lib/muster --shell /usr/sbin/nologin muster \
    && install -d -o muster -g muster /var/lib/muster
COPY --from=build /muster /usr/bin/muster
COPY packaging/etc/ /etc/muster/
# As packaged the broker listens on the loopback interface, where nobody outside of the container would reach it.
RUN sed -i 's/^plugin.choria.network.listen_address = .*/plugin.choria.network.listen_address = ::/' /etc/muster/broker.conf \
    && chmod 0644 /etc/muster/*
USER muster
WORKDIR /var/lib/muster
# Clients, other brokers, monitoring.
EXPOSE 4222 5222 8222
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/muster"]
CMD ["broker", "--config", "/etc/muster/broker.conf"]
