/** The hub's environment variables, with Python's precedence. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readHubEnv } from '../../nanoeval/data/hub_env.ts';
import { UserError } from '../../nanoeval/types.ts';
import { temporaryFolder } from './hub_server.ts';

test('where the cache is', () => {
  const cache = (env: NodeJS.ProcessEnv) => readHubEnv({ HOME: '/home/me', ...env }).cacheDir;
  assert.equal(cache({}), '/home/me/.cache/huggingface/hub');
  assert.equal(cache({ XDG_CACHE_HOME: '/x' }), '/x/huggingface/hub');
  assert.equal(cache({ XDG_CACHE_HOME: '/x', HF_HOME: '~/h' }), '/home/me/h/hub');
  assert.equal(cache({ HF_HOME: '/h', HUGGINGFACE_HUB_CACHE: '/old' }), '/old');
  assert.equal(
    cache({ HF_HOME: '/h', HUGGINGFACE_HUB_CACHE: '/old', HF_HUB_CACHE: '$HOME/new/$NONE' }),
    '/home/me/new/$NONE',
  );
});

test('endpoint, switches, time limits', () => {
  const env = readHubEnv({
    HF_ENDPOINT: 'http://hub.local:80/x//',
    HF_HUB_OFFLINE: 'yes',
    HF_HUB_DOWNLOAD_TIMEOUT: '3',
    HF_HUB_ETAG_TIMEOUT: '0',
  });
  assert.deepEqual(
    [env.endpoint, env.offline, env.downloadTimeoutS, env.etagTimeoutS],
    ['http://hub.local:80/x', true, 3, null],
  );
  assert.deepEqual(
    [readHubEnv({}).endpoint, readHubEnv({ HF_HUB_OFFLINE: '0' }).offline],
    ['https://huggingface.co', false],
  );
  for (const bad of [
    { HF_ENDPOINT: 'hub.local' },
    { HF_ENDPOINT: 'ftp://x' },
    { HF_ENDPOINT: 'http://' },
    { HF_HUB_ETAG_TIMEOUT: 'soon' },
  ]) {
    assert.throws(() => readHubEnv(bad), UserError, JSON.stringify(bad));
  }
});

test('an endpoint with a password in it is refused, and the password is not shown', () => {
  assert.throws(
    () => readHubEnv({ HF_ENDPOINT: 'http://user:sEcReT@127.0.0.1:9' }),
    (error) =>
      error instanceof UserError && /^HF_ENDPOINT: /.test(error.message) && !/sEcReT|user:/.test(error.message),
  );
});

test('the token, and that no message shows it', (t) => {
  const folder = temporaryFolder(t);
  const token = (env: NodeJS.ProcessEnv) => readHubEnv({ HF_HOME: folder, ...env }).token;
  assert.equal(token({}), null);
  writeFileSync(join(folder, 'token'), 'hf_file\n');
  writeFileSync(join(folder, 'other'), 'hf_other');
  assert.equal(token({}), 'hf_file');
  assert.equal(readHubEnv({ HF_HOME: folder }).tokenSource, join(folder, 'token'));
  assert.equal(token({ HF_TOKEN_PATH: join(folder, 'other') }), 'hf_other');
  assert.equal(token({ HF_TOKEN: ' a\r\n', HUGGING_FACE_HUB_TOKEN: 'b' }), 'a');
  assert.equal(token({ HF_TOKEN: '', HUGGING_FACE_HUB_TOKEN: 'b' }), 'b');
  assert.equal(token({ HF_TOKEN: 'a', HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' }), null);
  assert.throws(
    () => token({ HF_TOKEN: 'secret\u00e9' }),
    (error) => error instanceof UserError && !error.message.includes('secret'),
  );
});
