/** Labels as a config says them, and keys that do not fit together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { columnsOf, headLabels, labelFault, labelsOf } from '../../nanoeval/prompt/labels.ts';

const refused = (message: string | RegExp, key = 'dataset.labels') => ({ name: 'UserError', key, message });

test('a list is its own words; a mapping gives each label others', () => {
  assert.deepEqual(labelsOf(['a', 2]), { labels: ['a', '2'], words: ['a', '2'] });
  assert.deepEqual(labelsOf({ good: 'great', bad: 'é 🙂' }), { labels: ['good', 'bad'], words: ['great', 'é 🙂'] });
  assert.throws(() => labelsOf({ good: 'x', bad: 'x' }), refused('it has "x" twice. Labels have to differ.'));
  assert.throws(() => labelsOf([1, '1']), refused('it has "1" twice. Labels have to differ.'));
  assert.throws(() => labelsOf({ one: 'x' }), refused('it has 1. It has to be two labels at least.'));
  assert.equal(labelFault(['a', '']), 'has an empty one. Each has to have a character at least.');
});

test('the classes of a head, under the names that rows have for them', () => {
  const classes = ['LABEL_0', 'LABEL_1', 'LABEL_2'];
  assert.deepEqual(headLabels(undefined, classes), { labels: classes, words: classes });
  const { labels } = headLabels({ bad: 'LABEL_2', good: 'LABEL_0' }, classes);
  assert.deepEqual(labels, ['good', 'LABEL_1', 'bad']);
  assert.throws(() => headLabels(['a', 'b', 'c'], classes), refused(/the head has classes of its own/));
  assert.throws(
    () => headLabels({ bad: 'LABEL_3', good: 'LABEL_0' }, classes),
    refused('"LABEL_3" is no class of the head. It has: LABEL_0, LABEL_1, LABEL_2.'),
  );
  assert.throws(() => headLabels({ LABEL_1: 'LABEL_0', x: 'LABEL_2' }, classes), refused(/it has "LABEL_1" twice/));
});

test('which columns are read', () => {
  const ranked = { strategy: 'rank_ll' };
  const labels = ['a', 'b'];
  const plain = { text: 'text', label: 'label', labels: undefined, pair: undefined };
  assert.deepEqual(columnsOf({ labels, template: '{text}' }, ranked), plain);
  const template = '{text} {text_pair}';
  assert.equal(columnsOf({ labels, template }, ranked).pair, 'text_pair');
  assert.equal(columnsOf({ labels, template, columns: { text_pair: 'b' } }, ranked).pair, 'b');
  assert.equal(columnsOf({ template: '{text}', columns: { text_pair: 'b' } }, { strategy: 'head' }).pair, 'b');
});

test('keys that do not fit together are named', () => {
  const [template, labels] = ['{text}', ['a', 'b']];
  const ranked = { strategy: 'rank_ll' };
  const head = { strategy: 'head' };
  for (const [dataset, scoring, key, message] of [
    [
      { template: 'x', labels },
      ranked,
      'template',
      'it has no slot. It has to have {text} once, {text_pair} once at most.',
    ],
    [{ template: '{text}{text}', labels }, ranked, 'template', /^it has \{text\} and \{text\}\./],
    [{ template: '{text}{other}', labels }, ranked, 'template', /^it has \{text\} and \{other\}\./],
    [{ template }, ranked, 'labels', /^missing\./],
    [{ template, labels, columns: { labels: 'l' } }, ranked, 'columns.labels', /^"l", beside dataset\.labels/],
    [{ template, labels, columns: { text_pair: 'p' } }, ranked, 'columns.text_pair', /has no \{text_pair\}/],
    [{ template: 'A {text}' }, head, 'template', /given texts as they stand/],
    [{ template, delimiter: ' ' }, head, 'delimiter', /given texts as they stand/],
    [{ template, columns: { labels: 'l' } }, head, 'columns.labels', /given texts as they stand/],
  ] as const)
    assert.throws(() => columnsOf(dataset, scoring), refused(message, `dataset.${key}`));
  assert.throws(
    () => columnsOf({ template }, { ...head, calibration: '' }),
    refused('"", but a head is given texts as they stand. Leave it out.', 'scoring.calibration'),
  );
});
