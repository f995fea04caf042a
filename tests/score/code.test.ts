/** Answers made into programs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answered, completed } from '../../nanoeval/score/code.ts';

const PROMPT = 'import math\n\ndef f(x):\n    """Doubles."""\n';
const WHOLE = 'def f(x):\n    return 2 * x\n';

test('a completion stands behind the prompt as it is', () => {
  assert.equal(completed(PROMPT, '    return 2 * x'), `${PROMPT}    return 2 * x`);
  assert.equal(completed(PROMPT, ''), PROMPT);
});

test('of an answer in words the first block that defines the function counts, behind the prompt', () => {
  const asked = (answer: string) => answered(PROMPT, answer, 'f');
  const program = `${PROMPT}\n${WHOLE}`;
  assert.equal(asked(`Here it is:\n\`\`\`python\n${WHOLE}\`\`\`\nIt doubles.`), program);
  assert.equal(asked(`\`\`\`\n${WHOLE}\`\`\``), program);
  assert.equal(asked(`\`\`\`Python3 \r\n${WHOLE}\`\`\``), program);
  assert.equal(asked(`Use:\n\`\`\`py\nf(2)\n\`\`\`\nand\n\`\`\`python\n${WHOLE}\`\`\``), program);
  assert.equal(asked(`\`\`\`sh\npip install x\n\`\`\`\n\`\`\`python\n${WHOLE}\`\`\``), program);
  // An answer that was cut within its block.
  assert.equal(asked(`\`\`\`python\n${WHOLE}`), program);
  assert.equal(asked(WHOLE), program);
});

test('code without the function goes on where the prompt ends; words alone do too, and are no Python', () => {
  assert.equal(answered(PROMPT, '```python\n    return 2 * x\n```', 'f'), `${PROMPT}    return 2 * x\n`);
  assert.equal(answered(PROMPT, 'I cannot do that.', 'f'), `${PROMPT}I cannot do that.`);
  // Another function whose name begins alike is another one.
  assert.equal(answered(PROMPT, '```python\ndef f2(x):\n    pass\n```', 'f'), `${PROMPT}def f2(x):\n    pass\n`);
});
