import { readFileSync } from 'node:fs'
import { Embedder } from 'gabion'

export const dynamic = 'force-dynamic'

export async function GET() {
  try {
    const embedder = await Embedder.load()
    const vector = await embedder.embed('The kettle is on.')
    if (embedder.info.runtimeVersion === '') throw new Error('ONNX Runtime has no version')
    const libraries = [...new Set(readFileSync('/proc/self/maps', 'utf8').match(/\/.*gabion(\.node|_onnx).*/g))]
    embedder.dispose()
    return Response.json({ node: process.version, dimensions: vector.length, length: Math.hypot(...vector), libraries })
  } catch (error) {
    return new Response(String(error), { status: 500 })
  }
}
