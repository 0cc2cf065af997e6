// Starts the service from the installed package and asks it over gRPC for its health and its services: the definitions of both are files
// of the package. Requests are written by hand, since the app has no gRPC package.
import { readFileSync } from 'node:fs'
import { connect } from 'node:http2'
import { Embedder } from 'gabion'
import { serve } from 'gabion/server'

const embedder = await Embedder.load()
const service = await serve({ embedder, monitor: null, port: 0, grpcPort: 0 })
const client = connect(`http://127.0.0.1:${service.grpcPort}`)

/** Sends one message and returns the first part of the answer. */
function call(path, message) {
  const stream = client.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' })
  const length = Buffer.alloc(5)
  length.writeUInt32BE(message.length, 1)
  stream.end(Buffer.concat([length, message]))
  return new Promise((resolve, reject) => {
    stream.once('data', resolve)
    stream.once('error', reject)
    stream.once('end', () => reject(new Error(`${path} answered nothing`)))
  })
}

// HealthCheckResponse { status: SERVING }.
const health = await call('/grpc.health.v1.Health/Check', Buffer.alloc(0))
if (!health.subarray(5).equals(Buffer.from([8, 1]))) throw new Error(`not healthy: ${health.toString('hex')}`)
// ServerReflectionRequest { list_services: "*" }.
const listed = await call('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', Buffer.from([0x3a, 1, 0x2a]))
if (!listed.includes('gabion.v1.EmbeddingService')) throw new Error(`reflection lists ${listed.toString('latin1')}`)

const vector = await embedder.embed('The kettle is on.')
if (embedder.info.runtimeVersion === '') throw new Error('ONNX Runtime has no version')
const libraries = [...new Set(readFileSync('/proc/self/maps', 'utf8').match(/\/.*gabion(\.node|_onnx).*/g))]
console.log(JSON.stringify({ node: process.version, dimensions: vector.length, length: Math.hypot(...vector), libraries }))
client.close()
await service.stop(0)
embedder.dispose()
