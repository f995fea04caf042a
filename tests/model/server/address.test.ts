/** Addresses and keys as a config names them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apiKey, serverAddress, serverAddresses } from '../../../nanoeval/model/server/address.ts';
import { userError } from '../fixtures.ts';

test('an address is taken with and without what documents put behind it', () => {
  for (const given of ['http://h:8000', 'http://h:8000/', 'http://h:8000/v1', 'http://h:8000/v1/'])
    assert.equal(serverAddress(given), 'http://h:8000', given);
  assert.equal(serverAddress('https://h/api/v1'), 'https://h/api');
  assert.equal(serverAddress('http://[::1]:80/v1'), 'http://[::1]');
  assert.deepEqual(serverAddresses(['http://h:1', 'http://h:1/v1', 'http://h:2']), ['http://h:1', 'http://h:2']);
  assert.deepEqual(serverAddresses('http://h:1'), ['http://h:1']);
});

test('what is no address, and one that would carry a secret into run.json, is refused without the secret', () => {
  for (const wrong of ['h:8000', 'localhost', 'ftp://h', ''])
    assert.throws(() => serverAddress(wrong), userError('model.base_url', 'no address such as'));
  for (const wrong of ['http://me:hidden@h', 'http://h/?key=hidden', 'http://h/#hidden'])
    assert.throws(
      () => serverAddress(wrong),
      (error) => {
        assert.doesNotMatch((error as Error).message, /hidden/);
        return userError('model.base_url', 'api_key_env')(error);
      },
    );
});

test('a key comes out of the environment, and one that is not there or is none is named by its variable', () => {
  assert.equal(apiKey(undefined, { KEY: 'x' }), null);
  assert.equal(apiKey('KEY', { KEY: ' sk-1\n' }), 'sk-1');
  for (const env of [{}, { KEY: '' }, { KEY: '  ' }])
    assert.throws(() => apiKey('KEY', env), userError('model.api_key_env', 'KEY is not set'));
  assert.throws(
    () => apiKey('KEY', { KEY: 'sk-1\nX: hidden' }),
    (error) => {
      assert.doesNotMatch((error as Error).message, /sk-1|hidden/);
      return userError('model.api_key_env', 'KEY')(error);
    },
  );
});
