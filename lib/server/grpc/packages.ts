// The gRPC packages: other modules import only types from them. scripts/bundle.mjs puts them into one file, because protobufjs, on which
// they rest, has an install script, which package managers warn of or refuse.

export { Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js'
export { loadSync } from '@grpc/proto-loader'
export { ReflectionService } from '@grpc/reflection'
export { HealthImplementation, protoPath as HEALTH_PROTO_FILE } from 'grpc-health-check'
