/** Lists in messages. What each refusal of the hub becomes is checked against the server in hub.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openHttp } from '../../nanoeval/data/http.ts';
import { Refused } from '../../nanoeval/data/http_errors.ts';
import { readHubEnv } from '../../nanoeval/data/hub_env.ts';
import { explainRefusal, missingFile, someOf } from '../../nanoeval/data/hub_errors.ts';

test('long lists are cut', () => {
  assert.equal(someOf(['a', 'b', 'c'], 2), 'a, b and 1 more');
  assert.equal(someOf([]), '');
});

test('a missing file: the ones with its ending first', () => {
  const paths = ['config.json', 'onnx/model.onnx', 'onnx/model_q4.onnx'];
  assert.equal(
    missingFile('onnx/model_q3.onnx', 'a/b@1234567', paths).message,
    'onnx/model_q3.onnx is not in a/b@1234567. It has: onnx/model.onnx, onnx/model_q4.onnx.',
  );
  assert.match(missingFile('x.bin', 'a/b', paths).message, /It has: config.json, /);
  assert.match(missingFile('x.bin', 'a/b', []).message, /It has: no files\./);
});

test('every refusal is one line and names what to set', async () => {
  const log = { info() {}, progress() {} };
  for (const token of [undefined, 'hf_secret']) {
    const env = readHubEnv({ HF_ENDPOINT: 'http://127.0.0.1:2', HOME: '/nowhere', HF_TOKEN: token });
    const http = openHttp({ endpoint: env.endpoint, token: env.token, log, limits: { tries: 1 } });
    for (const [status, code] of [
      [401, 'GatedRepo'],
      [403, 'GatedRepo'],
      [401, 'RepoNotFound'],
      [404, 'RevisionNotFound'],
      [404, 'EntryNotFound'],
      [401, null],
      [403, null],
      [404, null],
      [400, null],
    ] as const) {
      for (const kind of ['model', 'dataset'] as const) {
        const asked = { kind, id: 'a/b', revision: 'v1' };
        const { message } = await explainRefusal(
          new Refused(status, code, 'http://127.0.0.1:2/x?y=1'),
          asked,
          env,
          http,
        );
        assert.ok(!/\n|secret|y=1/.test(message), message);
        assert.ok(/HF_TOKEN|HF_ENDPOINT|revision|file/.test(message), message);
      }
    }
  }
});
