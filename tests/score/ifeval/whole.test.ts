/** What the whole of a text has to be. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareRecorded, failureOf } from './recorded.ts';

test('beginnings, ends, case and language: the verdicts of lm-evaluation-harness', () => {
  compareRecorded('combination', 'startend', 'change_case', 'language');
});

test('a failure says what is there instead', () => {
  assert.equal(
    failureOf('combination:repeat_prompt', { prompt_to_repeat: 'Say' }, 'Sure'),
    'it begins with "Sure", not with the request',
  );
  assert.equal(failureOf('combination:two_responses', {}, 'a******a'), 'both responses are the same');
  assert.equal(failureOf('combination:two_responses', {}, 'a******b******c'), '3 responses, not 2');
  assert.equal(failureOf('startend:end_checker', { end_phrase: 'Bye.' }, 'a'), 'it does not end with "Bye."');
  assert.equal(failureOf('change_case:english_capital', {}, 'a'), 'it is not all in capital letters');
  const german = 'das wetter in den bergen war kalt und die leute blieben zu hause';
  assert.equal(failureOf('change_case:english_lowercase', {}, german), 'the language is de, not en');
});
