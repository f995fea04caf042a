import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { openOutput } from '../../nanoeval/report/output.ts';

/** A stream that fails from its second write on, in the call or by an event. */
class Failing extends EventEmitter {
  readonly texts: string[] = [];
  readonly columns = 40;
  readonly isTTY = true;
  private readonly by: 'throw' | 'event';
  constructor(by: 'throw' | 'event') {
    super();
    this.by = by;
  }
  write(text: string): void {
    this.texts.push(text);
    if (this.texts.length < 2) return;
    const error = new Error('ENOSPC: no space left on device, write');
    if (this.by === 'throw') throw error;
    this.emit('error', error);
  }
}

for (const by of ['throw', 'event'] as const) {
  test(`a stream that fails by ${by} is lost, says why, and is left alone`, () => {
    const stream = new Failing(by);
    const output = openOutput(stream);
    const why = () => output.lost?.message;
    output.write('a');
    assert.equal(why(), undefined);
    output.write('b');
    output.write('c');
    assert.deepEqual(stream.texts, ['a', 'b']);
    assert.equal(why(), 'ENOSPC: no space left on device, write');
    assert.deepEqual([output.isTTY, output.columns], [true, 40]);
  });
}
