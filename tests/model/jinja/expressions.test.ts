/** Expressions as they are read: precedences, literals, subscripts, arguments. */
import { testRecorded } from './recorded.ts';

testRecorded('expressions');
