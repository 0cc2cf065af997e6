export default ({ bundled }) => ({
  mode: 'production',
  target: 'node',
  entry: './embed.mjs',
  externals: bundled ? {} : { gabion: 'module gabion' },
  experiments: { outputModule: true },
  output: { path: import.meta.dirname + (bundled ? '/bundled' : '/external'), filename: 'embed.mjs', module: true },
  optimization: { minimize: false },
})
