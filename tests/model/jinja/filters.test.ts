/** Filters on one value. */
import { testRecorded } from './recorded.ts';

testRecorded('filters');
