/** Expressions in a scope: names, calls, filters and tests. */
import { testRecorded } from './recorded.ts';

testRecorded('evaluate');
