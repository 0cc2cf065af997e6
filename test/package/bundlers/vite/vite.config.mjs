import { defineConfig } from 'vite'

// Dependencies stay outside a server build unless noExternal takes them in.
export default defineConfig(({ mode }) => ({
  ssr: mode === 'bundled' ? { noExternal: true } : {},
  build: { ssr: 'embed.mjs', outDir: mode, rollupOptions: { output: { entryFileNames: '[name].mjs' } } },
}))
