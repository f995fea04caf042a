import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';

test('the interpreter stands under its global name, where no code can be made of texts', () => {
  const code = readFileSync(new URL('../../nanoeval/page/built/interpreter.js', import.meta.url), 'utf8');
  const context: Record<string, unknown> = { setTimeout, setInterval };
  runInNewContext(code, context, { contextCodeGeneration: { strings: false, wasm: false } });
  assert.deepEqual(Object.keys(context.vegaInterpreter as object).sort(), [
    'encode',
    'event',
    'handler',
    'operator',
    'parameter',
  ]);
});
