/** What servers can do, found out: those that cannot score are told apart, each with its reason. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openExchange } from '../../../nanoeval/model/server/exchange.ts';
import { identifyServer } from '../../../nanoeval/model/server/identity.ts';
import { probeServer } from '../../../nanoeval/model/server/probe.ts';
import { userError } from '../fixtures.ts';
import { ranked } from './asking.ts';
import { answer, type FakeOptions, fakeServer, idsOf, sumOf } from './fake_server.ts';

async function probed(t: TestContext, options: FakeOptions, backend?: 'vllm' | 'llama_cpp' | 'openai') {
  const fake = await fakeServer(t, options);
  const exchange = openExchange(fake.url, { key: null, timeoutMs: 5_000 });
  t.after(() => exchange.close());
  const identity = await identifyServer(exchange.send, 'toy', fake.url);
  const own = { vllm: 'vllm', 'llama.cpp': 'llama_cpp', openai: 'openai' } as const;
  const found = await probeServer(exchange.send, {
    backend: backend ?? own[fake.options.kind],
    identity,
    maxLength: null,
  });
  return { ...found, send: exchange.send, fake };
}

test('servers that can score, each in its way, give the model’s own numbers', async (t) => {
  const ways = { vllm: 'prompt_logprobs', 'llama.cpp': 'forced by grammar', openai: 'echo' } as const;
  for (const [kind, way] of Object.entries(ways) as [keyof typeof ways, string][]) {
    const { findings, score, alone, send } = await probed(t, { kind });
    assert.equal(findings.scoring, way);
    assert.deepEqual([findings.chat, findings.plain, findings.streams, findings.repeatable], [true, true, true, true]);
    assert.equal(alone, kind === 'llama.cpp');
    const reply = await score!(send, ranked('one two', [' three', ' four five']));
    const wanted = [' three', ' four five'].map((text) => sumOf(idsOf('one two'), idsOf(text)));
    for (const [i, { logprob }] of reply.choices.entries()) assert.ok(Math.abs(logprob - wanted[i]!) < 1e-9);
    assert.deepEqual(
      reply.choices.map(({ num_tokens }) => num_tokens),
      [1, 2],
    );
  }
});

const CANNOT: [FakeOptions, RegExp][] = [
  [{ kind: 'openai', scoring: 'ignored' }, /^echo is ignored: the answer has no log-probabilities of the prompt$/],
  [{ kind: 'openai', scoring: 'other tokens' }, /^the log-probabilities are of other tokens: "/],
  [
    { kind: 'openai', scoring: 'likeliest' },
    /^echo gives no log-probability of \d+ of \d+ tokens: of the likeliest alone$/,
  ],
  [{ kind: 'openai', scoring: 'constant' }, /^echo gives the same log-probability, -1.5, for every token$/],
  [
    { kind: 'openai', scoring: 'mixed up' },
    /^it does not rank a known pair right \("The capital of France is": " Paris" -\d/,
  ],
  [{ kind: 'vllm', scoring: 'ignored' }, /^prompt_logprobs is ignored: the answer has none$/],
  [{ kind: 'vllm', scoring: 'other tokens' }, /^prompt_logprobs gives no log-probability of \d+ of \d+ tokens/],
  [{ kind: 'vllm', scoring: 'likeliest' }, /^prompt_logprobs gives no log-probability of \d+ of \d+ tokens/],
  [{ kind: 'vllm', scoring: 'constant' }, /the same log-probability, -1.5,/],
  [{ kind: 'vllm', scoring: 'mixed up' }, /does not rank a known pair right/],
  [{ kind: 'llama.cpp', scoring: 'unforced' }, /^neither a grammar nor logit_bias forces a token$/],
  [{ kind: 'llama.cpp', scoring: 'biased' }, /^a forced token's log-probability is -1e-7: that of what forced it/],
];

for (const [options, reason] of CANNOT) {
  test(`${options.kind}, ${options.scoring}: cannot score, and says why`, async (t) => {
    const { findings, score } = await probed(t, options);
    assert.equal(score, null);
    assert.equal(findings.scoring, null);
    assert.match(findings.cannot_score ?? '', reason);
  });
}

test('llama-server asked as any server: echo is ignored there', async (t) => {
  const { findings } = await probed(t, { kind: 'llama.cpp' }, 'openai');
  assert.match(findings.cannot_score ?? '', /^echo is ignored/);
});

test('a BOS is found, and a template that prints one too', async (t) => {
  const without = await probed(t, { kind: 'vllm' });
  assert.deepEqual([without.findings.bos, without.findings.doubled_bos], [null, undefined]);
  const { findings, bos } = await probed(t, { kind: 'llama.cpp', bos: true });
  assert.deepEqual([findings.bos, findings.doubled_bos, bos], [1, false, 1]);
  const doubled = await probed(t, {
    kind: 'llama.cpp',
    bos: true,
    fault: ({ path }, response) => {
      if (path !== '/apply-template') return undefined;
      answer(response, 200, { prompt: '<s> x' });
      return true;
    },
  });
  assert.equal(doubled.findings.doubled_bos, true);
});

test('answers that change from one time to the next are found, and how many likely tokens are named', async (t) => {
  let count = 0;
  const { findings } = await probed(t, {
    kind: 'openai',
    scoring: 'ignored',
    fault: ({ path, body }, response) => {
      if (path !== '/v1/completions' || body.echo) return undefined;
      count += 1;
      const top_logprobs = [{ a: -1, b: -2, c: -3 }];
      const choice = {
        text: ` ${count}`,
        finish_reason: 'stop',
        ...(body.logprobs ? { logprobs: { top_logprobs } } : {}),
      };
      answer(response, 200, { choices: [choice], usage: { completion_tokens: 1 } });
      return true;
    },
  });
  assert.deepEqual([findings.repeatable, findings.top_logprobs], [false, 3]);
});

test('a server of conversations alone, and one that answers nothing', async (t) => {
  const without =
    (paths: string[]): FakeOptions['fault'] =>
    ({ path }, response) => {
      if (!paths.includes(path)) return undefined;
      answer(response, 404, {});
      return true;
    };
  const { findings } = await probed(t, { kind: 'openai', fault: without(['/v1/completions']) });
  assert.deepEqual([findings.chat, findings.plain, findings.scoring], [true, false, null]);
  await assert.rejects(
    probed(t, { kind: 'openai', fault: without(['/v1/completions', '/v1/chat/completions']) }),
    userError('model.base_url', 'neither'),
  );
});

test('a gateway that lets through what OpenAI has alone: no tokenizer, and scored by echo where that works', async (t) => {
  for (const status of [404, 403, 302, 200]) {
    const { findings, routes } = await probed(t, {
      kind: 'vllm',
      fault: ({ path }, response) => {
        if (path !== '/tokenize') return undefined;
        answer(response, status, '<html>', { location: 'http://127.0.0.1:9' });
        return true;
      },
    });
    assert.deepEqual([findings.tokenizer, routes], [false, null], `${status}`);
    assert.match(
      findings.cannot_score ?? '',
      /^echo is ignored.*, and its own way needs \/tokenize, which is not had$/,
    );
  }
});

test('a gateway that keeps /tokenizer_info to itself: no texts are scored, all else is', async (t) => {
  const { findings, scoreText } = await probed(t, {
    kind: 'vllm',
    fault: ({ path }, response) => {
      if (path !== '/tokenizer_info') return undefined;
      answer(response, 403, {});
      return true;
    },
  });
  assert.deepEqual([findings.scoring, scoreText], ['prompt_logprobs', null]);
});

test('without grammars of token ids a token is forced by its bias', async (t) => {
  const { findings, score, send } = await probed(t, {
    kind: 'llama.cpp',
    fault: ({ body }, response) => {
      if (!body?.grammar) return undefined;
      answer(response, 400, { error: { message: 'failed to parse grammar', type: 'invalid_request_error' } });
      return true;
    },
  });
  assert.equal(findings.scoring, 'forced by bias');
  const reply = await score!(send, ranked('one two', [' four five', ' six']));
  assert.ok(Math.abs(reply.choices[0]!.logprob - sumOf(idsOf('one two'), idsOf(' four five'))) < 1e-9);
});
