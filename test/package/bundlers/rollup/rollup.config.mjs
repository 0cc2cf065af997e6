import commonjs from '@rollup/plugin-commonjs'
import json from '@rollup/plugin-json'
import resolve from '@rollup/plugin-node-resolve'

export default ({ configBundled }) => ({
  input: 'embed.mjs',
  external: configBundled ? [] : [/^gabion/],
  plugins: [resolve({ preferBuiltins: true }), commonjs(), json()],
  output: { dir: configBundled ? 'bundled' : 'external', format: 'es', entryFileNames: '[name].mjs' },
  onwarn: () => undefined,
})
