# Static, non-root, nothing but the program. `make image` does the same steps without Docker.
FROM rust:1.95.0-slim-bookworm AS build
RUN apt-get update -qq && apt-get install -y -qq musl-tools && rustup target add x86_64-unknown-linux-musl
WORKDIR /src
COPY . .
RUN scripts/build-static /out

FROM scratch
COPY --from=build /out/miax-operator /miax-operator
USER 65532:65532
ENTRYPOINT ["/miax-operator"]
