/** Text to ids and back: as Python's tokenizers and lm-eval do it, and long texts block by block. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { openPipeline } from '../../nanoeval/model/tokenizer/pipeline.ts';
import { openTokenizer, otherReading, type Tokenizer, tokenizerOf } from '../../nanoeval/model/tokenizer.ts';
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

test("a checkpoint's special_tokens_map.json counts, as texts and as objects, below tokenizer_config.json", () => {
  const specialTokens = {
    bos_token: { content: '<s>' },
    eos_token: '</s>',
    additional_special_tokens: ['<|im_start|>'],
  };
  const files = { tokenizerJson: tokenizerJson(), tokenizerConfig: {}, specialTokens };
  const { bosToken, eosToken } = tokenizerOf(files, 'tokenizer.json');
  assert.deepEqual([bosToken, eosToken], [1, 2]);
  const both = tokenizerOf({ ...files, tokenizerConfig: { bos_token: '</s>' } }, 'tokenizer.json');
  assert.equal(both.bosToken, 2);
  assert.throws(() => tokenizerOf({ ...files, tokenizerJson: { model: { type: 'X' } } }, 'here'), /^UserError: here/);
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

test('the text of a token is what it adds behind another one; a part of a character has U+FFFD', () => {
  const tokenizer = byteLevelTokenizer();
  const text = '<|im_start|>The answer is Paris, 42.';
  const ids = tokenizer.encodePlain(text);
  assert.equal(tokenizer.texts(ids).join(''), text);
  assert.equal(tokenizer.texts(ids)[0], '<|im_start|>');
  const parts = tokenizer.texts(tokenizer.encodePlain('😀'));
  assert.ok(parts.length > 1 && parts.every((part) => part.includes('\ufffd')), parts.join('|'));
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

// ---------------------------------------------------------------- long texts, block by block

const DEMO = new URL('../../nanoeval/demo/checkpoint/', import.meta.url);
const demo = (name: string) => JSON.parse(readFileSync(new URL(name, DEMO), 'utf8'));

const QUESTION =
  'Question: Which of the following is the capital of France?\nA. Paris\nB. London\nC. 42\nD. None of the above\nAnswer: A\n\n';
const SENTENCE =
  "A man is standing on a ladder. He doesn't look down, for it's 1234 feet; the others've left -- and we'll see [title] why (or not)...";
/** Texts of one kind, some of them with a common beginning. */
const TEXTS: Record<string, string[]> = {
  'few-shot headers': Array.from(
    { length: 12 },
    (_, i) =>
      `The following are multiple choice questions (with answers) about world religions.\n\n${QUESTION.repeat(4)}Question ${i}: ${SENTENCE.repeat(2)}\nAnswer:`,
  ),
  sentences: Array.from({ length: 12 }, (_, i) => `${SENTENCE.slice(i)} ${SENTENCE.repeat(3)}`),
  code: Array.from({ length: 4 }, (_, i) =>
    `def count_${i}(items):\n    """Counts 'em all."""\n    for item in items:\n\t\tif item['x'] != ${i}: return item.y\n`.repeat(
      4,
    ),
  ),
  'no blanks': ['x'.repeat(700), 'word'.repeat(200), '9'.repeat(500), '-'.repeat(400)],
  CJK: [
    '\u4e2d\u6587\u95ee\u9898\u3002\u56db\u4e2a\u9009\u9879 \u7b54\u6848 \u662f A b '.repeat(30),
    '\ud55c\uad6d\uc5b4 \uc9c8\ubb38 '.repeat(80),
  ],
  emoji: [
    'so \u{1f600}\u{1f468}\u200d\u{1f469}\u200d\u{1f467} good \u{1f1eb}\u{1f1f7} x'.repeat(30),
    `${'\u{1f600}'.repeat(90)} a b c`,
  ],
  letters: [
    '\u{1d49c}\u{1d4b7} \u{1d4b8} e\u0301 \u0301x na\u00efve a\u0301 \u00df '.repeat(40),
    '\u0663\u0664 \u2167 x\u00b2 \u2028 y \u00a0 z '.repeat(40),
  ],
  blanks: [
    `${'a   b\n\n\n  c \t d '.repeat(40)}   `,
    `${' '.repeat(300)}x y`,
    `x${' '.repeat(400)}`,
    '\n a'.repeat(200),
  ],
  'special tokens': [
    `<|im_start|>user\n${SENTENCE}<|im_end|>\n<|im_start|>assistant `.repeat(5),
    `${SENTENCE}<s> one</s> two <|im_end|> three<|im_start|>${SENTENCE}`,
  ],
};

for (const [name, json] of [
  ['demo', demo('tokenizer.json')],
  ['byte level', tokenizerJson()],
  ['byte level with BOS', tokenizerJson(BOS_TEMPLATE)],
  ['of pieces', tokenizerJson(null, 'tokenizer_piece.json')],
] as const) {
  test(`${name}: a long text's ids are those of the whole text`, () => {
    const plain = openPipeline(json, 'tokenizer.json');
    const known = new Map<string, [number[], number[]]>();
    const whole = (text: string): [number[], number[]] => {
      const ids = plain.encode(text);
      return [ids, plain.frame(ids).ids];
    };
    for (const [kind, texts] of Object.entries(TEXTS)) {
      for (const order of [texts, texts.toReversed()]) {
        // Blocks are remembered, and the first texts of a tokenizer are checked where the later ones are not.
        const tokenizer = openTokenizer(json, CONFIG);
        for (const text of [...Array<string>(8).fill(SENTENCE.repeat(2)), ...order, ...order]) {
          for (const cut of [text, text.slice(1, -1)]) {
            const expected = known.get(cut) ?? whole(cut);
            known.set(cut, expected);
            assert.deepEqual(tokenizer.encodePlain(cut), expected[0], `${kind}: ${JSON.stringify(cut)}`);
            assert.deepEqual(tokenizer.encode(cut), expected[1], `${kind}: ${JSON.stringify(cut)}`);
          }
        }
      }
    }
  });
}

test('a tokenizer whose tokens reach over words is asked for the whole text', () => {
  type Json = {
    pre_tokenizer: unknown;
    added_tokens: object[];
    model: { merges: string[][]; vocab: Record<string, number> };
  };
  const joined = (change: (json: Json) => void) => {
    const json = structuredClone(tokenizerJson()) as Json;
    for (const [a, b] of [
      ['e', '\u0120is'],
      ['\u0120the', '\u0120is'],
    ]) {
      json.model.merges.unshift([a!, b!]);
      json.model.vocab[`${a}${b}`] = 320 + Object.keys(json.model.vocab).length;
    }
    change(json);
    return json;
  };
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const lines = { type: 'Split', pattern: { String: '\n' }, behavior: 'Isolated', invert: false };
  const made: Record<string, object> = {
    'no pattern': joined((json) => {
      json.pre_tokenizer = byteLevel;
    }),
    'a pattern of lines': joined((json) => {
      json.pre_tokenizer = { type: 'Sequence', pretokenizers: [lines, byteLevel] };
    }),
    'an added token of two words': joined((json) => {
      json.added_tokens.push({
        id: 900,
        content: 'e is',
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: false,
      });
    }),
    'an added token that takes the blank behind it': joined((json) => {
      json.added_tokens.push({
        id: 900,
        content: 'the',
        single_word: false,
        lstrip: false,
        rstrip: true,
        normalized: false,
        special: false,
      });
    }),
  };
  for (const [name, json] of Object.entries(made)) {
    const plain = openPipeline(json, 'tokenizer.json');
    const tokenizer = openTokenizer(json, CONFIG);
    // None of the first texts shows it.
    const harmless = Array.from({ length: 20 }, (_, i) => `${'on at an of a Paris '.repeat(20)}${i}`);
    const telling = Array.from({ length: 6 }, (_, i) => `${'x'.repeat(155 + i)} ${'the is '.repeat(100)}`);
    for (const text of [...harmless, ...telling])
      assert.deepEqual(tokenizer.encodePlain(text), plain.encode(text), name);
  }
});

test('where transformers reads the same files otherwise, it is said', () => {
  const byteLevel = { type: 'ByteLevel' };
  const digits = {
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits' }, byteLevel] },
  };
  const prepend = { normalizer: { type: 'Prepend' }, pre_tokenizer: null };
  const of = (json: object, tokenizer_class: string, type = 'llama') => otherReading(json, { tokenizer_class }, type);
  assert.match(
    of(digits, 'GPT2Tokenizer')!,
    /^tokenizer.json is read as it stands; transformers 5 drops its pre-tokenizer/,
  );
  assert.match(of(prepend, 'LlamaTokenizerFast')!, /drops its normalizer for tokenizer_class LlamaTokenizerFast/);
  assert.equal(of(digits, 'PreTrainedTokenizerFast'), null);
  assert.equal(of({ ...digits, pre_tokenizer: byteLevel }, 'GPT2Tokenizer'), null);
  assert.equal(of(prepend, 'LlamaTokenizer', 'mistral'), null);
});
