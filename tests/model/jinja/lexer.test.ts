/** The source of a template as tokens: blanks around tags, line ends, literals. */
import { testRecorded } from './recorded.ts';

testRecorded('lexer');
