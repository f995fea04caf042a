/** Attributes, items, slices, and the methods of lists and dicts. */
import { testRecorded } from './recorded.ts';

testRecorded('attributes');
