import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTokenizer, type Tokenizer } from '../../nanoeval/model/tokenizer.ts';
import { RowError } from '../../nanoeval/types.ts';
import { BOS_TEMPLATE, byteLevelTokenizer, fixture, tokenizerJson } from './fixtures.ts';

interface Form {
  name: string;
  tokenizer: string;
  post_processor: unknown;
  with_special: number[][];
  library_default: number[][];
  plain: number[][];
  decoded: string[];
  /** null where lm-eval stops with an assertion. */
  pairs: ([number[], number[]] | null)[];
  separate: [number[], number[]][];
}
const { texts, pairs, forms } = fixture<{ texts: string[]; pairs: [string, string][]; forms: Form[] }>(
  'tokenizer_vectors.json',
);
const CONFIG = { bos_token: '<s>', eos_token: '</s>' };
const open = (form: Form) => openTokenizer(tokenizerJson(form.post_processor, form.tokenizer), CONFIG);
const noTokens = (error: unknown) => error instanceof RowError && error.kind === 'tokens';

for (const form of forms) {
  test(`${form.name}: ids with and without special tokens, and texts, equal Python's tokenizers`, () => {
    const tokenizer = open(form);
    texts.forEach((text, i) => {
      assert.deepEqual(tokenizer.encode(text), form.with_special[i], JSON.stringify(text));
      assert.deepEqual(tokenizer.encodePlain(text), form.plain[i], JSON.stringify(text));
      assert.equal(tokenizer.decode(form.library_default[i]!), form.decoded[i], JSON.stringify(text));
    });
  });

  test(`${form.name}: context and continuation are split as by lm-eval`, () => {
    const tokenizer = open(form);
    pairs.forEach(([context, continuation], i) => {
      const expected = form.pairs[i];
      const where = JSON.stringify([context, continuation]);
      if (expected === null) assert.throws(() => tokenizer.encodePair(context, continuation), noTokens, where);
      else {
        const found = tokenizer.encodePair(context, continuation);
        assert.deepEqual([found.context, found.continuation], expected, where);
      }
    });
  });

  test(`${form.name}: separately, each text is tokenised alone and no blank moves`, () => {
    const tokenizer = open(form);
    const both = pairs.filter(([context, continuation]) => context !== '' && continuation !== '');
    both.forEach(([context, continuation], i) => {
      const [head, tail] = form.separate[i]!;
      if (head.length === 0) return;
      const found = tokenizer.encodePair(context, continuation, 'separate');
      assert.deepEqual([found.context, found.continuation], [head, tail], JSON.stringify([context, continuation]));
    });
  });
}

test('the vectors hold the cases they are for', () => {
  const [plain, withBos] = [forms[0]!, forms[1]!];
  const at = (text: string) => texts.indexOf(text);
  assert.deepEqual(withBos.library_default[at('<s>The answer')]!.slice(0, 2), [1, 1], 'the library alone doubles BOS');
  assert.deepEqual(withBos.with_special[at('<s>The answer')]!.filter((id) => id === 1).length, 1);
  const alone = byteLevelTokenizer();
  const merged = pairs.filter(([context, continuation], i) => {
    const joined = alone.encodePlain(context + continuation);
    return plain.pairs[i]?.flat().join() !== joined.join() && context !== '' && plain.pairs[i] !== null;
  });
  assert.ok(merged.length > 0, 'a token reaches over the boundary');
  assert.ok(plain.pairs.includes(null));
});

test('a blank of Python moves from the context to the continuation, a U+FEFF stays', () => {
  const tokenizer = byteLevelTokenizer();
  for (const blank of [' ', '\n', '\t', '\u00a0', '\u2003', '\u001c', '\u0085', '\u3000']) {
    const { context, continuation } = tokenizer.encodePair(`x${blank}`, 'y');
    assert.equal(tokenizer.decode(context), 'x');
    assert.equal(tokenizer.decode(continuation), `${blank}y`);
  }
  for (const char of ['\ufeff', '\u200b', '\u180e']) {
    assert.equal(tokenizer.decode(tokenizer.encodePair(`x${char}`, 'y').context), `x${char}`);
  }
});

test('add_bos_token of tokenizer_config.json changes nothing: the post-processor decides', () => {
  for (const add_bos_token of [true, false]) {
    const bare = openTokenizer(tokenizerJson(), { ...CONFIG, add_bos_token });
    assert.notEqual(bare.encode('The')[0], 1);
    const withBos = openTokenizer(tokenizerJson(BOS_TEMPLATE), { ...CONFIG, add_bos_token });
    assert.deepEqual(withBos.encode('The'), [1, ...bare.encode('The')]);
  }
});

test('special tokens come from tokenizer_config.json, as texts or objects, else from special_tokens_map.json', () => {
  const ids = (tokenizer: Tokenizer) => [tokenizer.bosToken, tokenizer.eosToken, tokenizer.prefixToken];
  assert.deepEqual(ids(openTokenizer(tokenizerJson(), {})), [undefined, undefined, undefined]);
  assert.deepEqual(ids(openTokenizer(tokenizerJson(), { eos_token: '</s>' })), [undefined, 2, 2]);
  assert.deepEqual(ids(openTokenizer(tokenizerJson(), { bos_token: { content: '<s>' }, eos_token: null })), [
    1,
    undefined,
    1,
  ]);
  assert.deepEqual(ids(openTokenizer(tokenizerJson(), {}, { bos_token: '<s>', eos_token: '</s>' })), [1, 2, 1]);
  const both = openTokenizer(tokenizerJson(), { bos_token: '<|im_start|>' }, { bos_token: '<s>' });
  assert.equal(both.special.bos_token, '<|im_start|>');
  assert.deepEqual(ids(openTokenizer(tokenizerJson(), { bos_token: '<none>' })), [undefined, undefined, undefined]);
});

test('an empty context without BOS and EOS is a row error', () => {
  assert.throws(() => byteLevelTokenizer({}).encodePair('', ' A'), noTokens);
});

test('blanks before punctuation survive decoding', () => {
  const tokenizer = byteLevelTokenizer({ ...CONFIG, clean_up_tokenization_spaces: true });
  const text = 'a , b . it \'s do n\'t " x "';
  assert.equal(tokenizer.decode(tokenizer.encodePlain(text)), text);
  assert.equal(tokenizer.decode([]), '');
});

test('special tokens are skipped unless they are to be kept', () => {
  const tokenizer = byteLevelTokenizer();
  const ids = tokenizer.encodePlain('<|im_start|>Paris<|im_end|>');
  assert.equal(tokenizer.decode(ids), 'Paris');
  assert.equal(tokenizer.decode(ids, true), '<|im_start|>Paris<|im_end|>');
});

test('diverging: context and continuation part at the first token in which the siblings differ', () => {
  const tokenizer = byteLevelTokenizer();
  const siblings = [' is Paris.', ' is London.', ' is that.'];
  const all = siblings.map((sibling) => tokenizer.encode(`The answer${sibling}`));
  siblings.forEach((sibling, i) => {
    const { context, continuation } = tokenizer.encodePair('The answer', sibling, 'diverging', siblings);
    assert.deepEqual(context, tokenizer.encode('The answer is'));
    assert.deepEqual([...context, ...continuation], all[i]);
  });
  const one = tokenizer.encodePair('The ca', 'pital', 'diverging', ['pital', 'n']);
  assert.deepEqual([...one.context, ...one.continuation], tokenizer.encode('The capital'), 'a token over the boundary');
  const pair = (continuation: string, among: string[], context = 'The') =>
    tokenizer.encodePair(context, continuation, 'diverging', among);
  assert.throws(() => pair(' is', [' is', ' is']), noTokens, 'nothing differs');
  assert.throws(() => pair(' is', [' is', ' is that']), noTokens, 'the whole of one begins the other');
  assert.throws(() => pair('The', ['The', 'A'], ''), noTokens, 'nothing is shared');
});
