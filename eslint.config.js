// What no formatter can decide: types used safely, imports in one direction, comments that leave nothing undone.

import eslint from '@eslint/js'
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript'
import importX from 'eslint-plugin-import-x'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

/** The rooms of lib/, from those nearest the user to those nearest the machine. A room may import from its own row and from rows below. */
const rows = [
  ['cli', 'server', 'report', 'ai-sdk', 'testing'],
  ['monitor', 'migration', 'alerts'],
  ['detection', 'projection', 'embedding'],
  ['models', 'convert'],
  ['native.ts'],
]

const zones = rows.slice(1).flatMap((row, above) =>
  row.map((room) => ({
    target: `./lib/${room}`,
    from: [...rows.slice(0, above + 1).flat(), 'index.ts'].map((upper) => `./lib/${upper}`),
    message: `lib/${room} may not know the rooms above it (see ARCHITECTURE.md).`,
  })),
)

const outside = ['./test', './scripts', './bench', './examples', './lab']
zones.push({ target: './lib', from: outside, message: 'The library may not import its tests, scripts, examples and laboratory.' })
zones.push({
  target: ['./lib/index.ts', ...['ai-sdk', 'server', 'report', 'monitor', 'migration'].map((room) => `./lib/${room}`)],
  from: './lib/detection/training',
  // The page on a measured detector takes the form of its figures.
  except: ['./evaluate.ts'],
  message: 'Training is loaded by the commands that train, and by nothing else.',
})
zones.push({
  target: ['./lib/detection/!(training)/**/*', './lib/detection/*.ts'],
  from: './lib/detection/training',
  message: 'What judges may not import how detectors are trained: what both need is in detection/fitting.',
})
zones.push({
  target: ['./lib/abort.ts', './lib/errors.ts', './lib/options.ts', './lib/statistics'],
  from: rows.flat().map((room) => `./lib/${room}`),
  message: 'abort.ts, errors.ts, options.ts and statistics are known by everybody and know no room.',
})

const nodeGlobals =
  'AbortController AbortSignal Buffer Event EventTarget TextDecoder TextEncoder URL clearInterval clearTimeout console fetch performance process queueMicrotask setImmediate setInterval setTimeout structuredClone'
const readonlyGlobals = Object.fromEntries(nodeGlobals.split(' ').map((name) => [name, 'readonly']))

export default defineConfig(
  globalIgnores([
    'build/',
    'dist/',
    'docs/api/',
    'models/',
    'native/',
    'prebuilds/',
    'bench/node_modules/',
    'data/',
    'test/package/usage/',
    // JSX, and the browser's globals.
    'test/package/bundlers/next/app/',
  ]),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  eslint.configs.recommended,
  {
    plugins: { 'import-x': importX },
    settings: { 'import-x/resolver-next': [createTypeScriptImportResolver({ project: 'tsconfig.json' })] },
    rules: {
      'import-x/no-restricted-paths': ['error', { zones }],
      'import-x/no-cycle': 'error',
      'import-x/no-duplicates': 'error',
      'no-warning-comments': ['error', { terms: ['todo', 'fixme', 'xxx', 'hack'], location: 'anywhere' }],
      eqeqeq: 'error',
      'no-console': 'off',
      'object-shorthand': ['error', 'properties'],
      'prefer-const': 'error',
    },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/prefer-nullish-coalescing': ['error', { ignorePrimitives: { string: true, boolean: true } }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', destructuredArrayIgnorePattern: '^_' },
      ],
      // Indexing inside a length that was just checked is right, and both `!` and `as number` say so.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
    },
  },
  {
    files: ['lib/**/*.ts'],
    rules: {
      'no-console': 'error',
      'no-restricted-properties': [
        'error',
        {
          object: 'process',
          property: 'exit',
          message: 'What waits in stdout and stderr would be lost: lib/cli/exit.ts ends the process.',
        },
      ],
    },
  },
  {
    files: ['lib/cli/exit.ts'],
    rules: { 'no-restricted-properties': 'off' },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-floating-promises': [
        'error',
        { allowForKnownSafeCalls: [{ from: 'package', package: 'node:test', name: ['test', 'describe', 'it', 'suite'] }] },
      ],
    },
  },
  {
    files: ['**/*.{js,mjs,cjs}'],
    languageOptions: { globals: readonlyGlobals },
  },
)
