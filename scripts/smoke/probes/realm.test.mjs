// Run by Jest and by Vitest with its vm pool: gabion's vectors are of the test's realm, and it takes them back.
/* global expect, test */
import { Embedder, Projection } from 'gabion'

test('gabion takes its own vectors', async () => {
  const embedder = await Embedder.load()
  const projection = Projection.fitPca(await embedder.embedBatch(['a', 'b', 'c', 'd']), { components: 2 })
  const vector = await embedder.embed('hello')
  expect(vector).toBeInstanceOf(Float32Array)
  expect(embedder.embedSync('hello')).toEqual(vector)
  expect(projection.apply(vector)).toHaveLength(2)
  await expect(embedder.embed(7)).rejects.toBeInstanceOf(TypeError)
  await expect(embedder.embed('x', { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError', code: 'ABORTED' })
  embedder.dispose()
})
