/** `combination:*`, `startend:*`, `change_case:*` and `language:*`: what the whole of a text has to be. */
import { isLower, isUpper, strip } from '../../text/python_text.ts';
import { excerpt } from '../reading.ts';
import { compared, count, equal, type Instruction, instruction, relation, text } from './instruction.ts';
import { languageOf } from './language.ts';
import { piecesOf } from './length.ts';
import { wordTokens } from './word_tokens.ts';

/** In a language, or in one that nobody can tell: letters are missing, and the original lets that pass. */
function languageFailure(said: string, wanted: string): string | null {
  const found = languageOf(said);
  return found === null || found === wanted ? null : `the language is ${found}, not ${wanted}`;
}

export const WHOLE: Record<string, Instruction> = {
  'combination:repeat_prompt': instruction({ prompt_to_repeat: text }, (said, { prompt_to_repeat }) =>
    strip(said).toLowerCase().startsWith(strip(prompt_to_repeat).toLowerCase())
      ? null
      : `it begins with ${excerpt(strip(said))}, not with the request`,
  ),
  'combination:two_responses': instruction({}, (said) => {
    const pieces = piecesOf(said.split('******'));
    if (pieces === null) return 'a response between ****** is blank';
    const [first = '', second = ''] = pieces.map(strip);
    return equal(pieces.length, 2, 'responses') ?? (first === second ? 'both responses are the same' : null);
  }),
  'startend:end_checker': instruction({ end_phrase: text }, (said, { end_phrase }) =>
    strip(said)
      .replace(/^"+|"+$/g, '')
      .toLowerCase()
      .endsWith(strip(end_phrase).toLowerCase())
      ? null
      : `it does not end with ${excerpt(end_phrase)}`,
  ),
  'startend:quotation': instruction({}, (said) => (/^".*"$/s.test(strip(said)) ? null : 'it is not wrapped in "')),
  'change_case:capital_word_frequency': instruction(
    { capital_frequency: count, capital_relation: relation },
    (said, { capital_frequency, capital_relation }) =>
      compared(wordTokens(said).filter(isUpper).length, capital_relation, capital_frequency, 'words in capitals'),
  ),
  'change_case:english_capital': instruction({}, (said) =>
    isUpper(said) ? languageFailure(said, 'en') : 'it is not all in capital letters',
  ),
  'change_case:english_lowercase': instruction({}, (said) =>
    isLower(said) ? languageFailure(said, 'en') : 'it is not all in small letters',
  ),
  'language:response_language': instruction({ language: text }, (said, { language }) =>
    languageFailure(said, language),
  ),
};
