# gabion's service in a container: build in one stage, what runs in another. No CUDA.
#
#   docker build -t gabion .
#   docker run -p 8080:8080 -p 50051:50051 -e GABION_API_KEYS=… gabion
#
# BASE_IMAGE is any slim Debian (12 or newer) or Ubuntu (22.04 or newer). Where it has no Node, NODE_PACKAGE takes it from npm's registry
# as a package of the builder's. The prebuilt addon is used where the build context has one (npm run prebuild), else it is built.
ARG BASE_IMAGE=debian:bookworm-slim
ARG BUILD_IMAGE=${BASE_IMAGE}

FROM ${BUILD_IMAGE} AS build
ARG NODE_VERSION=22
WORKDIR /src
COPY . .
RUN sh scripts/container/build.sh "${NODE_VERSION}" /app

FROM ${BASE_IMAGE}
COPY --from=build /app /app
# libstdc++ is what ONNX Runtime links to; certificates are for TLS to Redis and to services behind the proxy.
RUN sh /app/install-runtime.sh && rm /app/install-runtime.sh
ENV PATH=/app/bin:$PATH NODE_ENV=production
USER 65532:65532
WORKDIR /app
EXPOSE 8080 50051
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["node", "/app/health.mjs"]
ENTRYPOINT ["node", "/app/node_modules/gabion/dist/cli/main.js"]
CMD ["serve", "--host", "0.0.0.0"]
