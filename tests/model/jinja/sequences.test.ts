/** Filters on many values. */
import { testRecorded } from './recorded.ts';

testRecorded('sequences');
