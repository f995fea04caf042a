import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { packBlock, pageHtml } from '../../nanoeval/report/page.ts';
import type { Book } from '../../nanoeval/report/page_shape.ts';

const book = (title: string): Book => ({
  format: 2,
  kind: 'run',
  title,
  written: '2026-03-05T10:00:00.000Z',
  tool: 'nanoeval',
  runs: [],
});

async function html(title: string, live = false): Promise<string> {
  const blocks = async function* () {
    yield await packBlock('r0-list', '{"a":1}');
  };
  let text = '';
  for await (const piece of pageHtml(book(title), blocks(), live)) text += piece;
  return text;
}

test('one file: blocks come back, and nothing but the page is named in it', async () => {
  const text = await html('mmlu');
  const block = /<script type="text\/plain" id="r0-list">([^<]*)<\/script>/.exec(text)![1]!;
  assert.equal(gunzipSync(Buffer.from(block, 'base64')).toString(), '{"a":1}');
  assert.deepEqual(text.match(/<(?:link|img|iframe|object|script src)[^>]*>/g), null);
  const charts = /id="charts">([^<]*)</.exec(text)![1]!;
  assert.match(gunzipSync(Buffer.from(charts, 'base64')).toString(), /vegaLite/);
  assert.match(
    gunzipSync(Buffer.from(/id="licences">([^<]*)</.exec(text)![1]!, 'base64')).toString(),
    /MIT[\s\S]*|Copyright/,
  );
});

test('the policy lets run the two scripts that it knows by their hashes, and loads nothing', async () => {
  const text = await html('mmlu');
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(text)![1]!;
  const hashOf = (code: string) => `'sha256-${createHash('sha256').update(code).digest('base64')}'`;
  const script = /<script>([\s\S]*?)<\/script>/.exec(text)![1]!;
  const charts = gunzipSync(Buffer.from(/id="charts">([^<]*)</.exec(text)![1]!, 'base64')).toString();
  assert.match(policy, /^default-src 'none'; /);
  assert.ok(policy.includes(`script-src ${hashOf(script)} ${hashOf(charts)};`), policy);
  assert.ok(!/unsafe-eval|script-src[^;]*unsafe-inline|connect-src|https?:/.test(policy), policy);
  assert.match(/content="([^"]*)"/.exec(await html('mmlu', true))![1]!, /connect-src 'self'/);
});

test('a title is a text, in the head and in the book', async () => {
  const text = await html('</title></script><script>x</script>\u2028');
  assert.equal(text.split('<script>').length, 2);
  assert.match(text, /<title>&lt;\/title&gt;/);
  const json = /id="book">([^<]*)</.exec(text)![1]!;
  assert.equal((JSON.parse(json) as Book).title, '</title></script><script>x</script>\u2028');
});
