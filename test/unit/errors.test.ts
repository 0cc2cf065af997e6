// Errors as callers tell them apart: by code, by class, by name, and across realms.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createContext, runInContext } from 'node:vm'
import { DetectorMisfit } from '../../lib/detection/misfit.js'
import { GabionError, isGabionError, messageOf, wrongRange, wrongType } from '../../lib/errors.js'
import { abortedError, fromNative } from '../../lib/native.js'
import { checkInteger, checkOneOf, checkOptions, checkSignal, checkString } from '../../lib/options.js'

const thrownBy = (call: () => unknown): unknown => {
  try {
    call()
  } catch (error) {
    return error
  }
  return assert.fail('it should have thrown')
}

describe('a wrong argument', () => {
  const kinds: [string, () => unknown, typeof TypeError | typeof RangeError][] = [
    ['another type', () => checkString('text', 7), TypeError],
    ['a number for an integer that is none', () => checkInteger('topK', '3', 1), TypeError],
    ['an integer out of range', () => checkInteger('topK', 0, 1), RangeError],
    ['a name that does not exist', () => checkOneOf('precision', 'fp8', ['fp32']), RangeError],
    ['an option that does not exist', () => checkOptions('options', { typo: 1 } as { right?: number }, ['right']), TypeError],
    ['a signal that is none', () => checkSignal('signal', {}), TypeError],
    ['a combination', () => assert.fail(wrongType('a and b exclude each other')), TypeError],
    [
      'a value that native code refuses',
      () => assert.fail(fromNative(Object.assign(new Error('no'), { code: 'INVALID_ARGUMENT' }))),
      RangeError,
    ],
  ]
  for (const [what, call, kind] of kinds)
    test(`${what} is a ${kind.name} with gabion's code`, () => {
      const error = thrownBy(call)
      assert.ok(error instanceof kind && error instanceof Error)
      assert.ok(error instanceof GabionError && isGabionError(error))
      assert.deepEqual([error.name, error.code], [kind.name, 'INVALID_ARGUMENT'])
    })
})

describe('GabionError', () => {
  test('is the class of its own errors and of no others', () => {
    assert.ok(new GabionError('INTERNAL', 'a fault') instanceof GabionError)
    assert.ok(!(new TypeError('another') instanceof GabionError))
    for (const value of [null, undefined, 7, 'text', {}, { code: 'INTERNAL' }]) assert.equal(isGabionError(value), false)
  })

  test('keeps its subclasses apart', () => {
    const misfit = new DetectorMisfit('of another model')
    assert.ok(misfit instanceof DetectorMisfit && misfit instanceof GabionError)
    assert.ok(!(new GabionError('ARTIFACT_INVALID', 'damaged') instanceof DetectorMisfit))
    assert.ok(!(wrongRange('too large') instanceof DetectorMisfit))
  })

  test('of an abort is an AbortError whose cause is the reason', () => {
    const { signal } = ((controller) => (controller.abort('enough'), controller))(new AbortController())
    const { name, code, cause } = abortedError(signal)
    assert.deepEqual([name, code, cause], ['AbortError', 'ABORTED', 'enough'])
  })
})

test('what another realm throws keeps its message and its code', () => {
  const foreign: unknown = runInContext("Object.assign(new Error('the model is gone'), { code: 'MODEL_INVALID' })", createContext())
  assert.ok(!(foreign instanceof Error))
  assert.equal(messageOf(foreign), 'the model is gone')
  const { code, message } = fromNative(foreign)
  assert.deepEqual([code, message], ['MODEL_INVALID', 'the model is gone'])
  for (const [value, message] of [
    [null, 'null'],
    [undefined, 'undefined'],
    ['text', 'text'],
  ] as const)
    assert.equal(messageOf(value), message)
})
