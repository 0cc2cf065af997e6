const bundled = process.env.BUNDLED === '1'
export default {
  ...(bundled ? {} : { serverExternalPackages: ['gabion'] }),
  output: 'standalone',
  distDir: bundled ? '.bundled' : '.external',
  turbopack: { root: import.meta.dirname },
  outputFileTracingRoot: import.meta.dirname,
}
