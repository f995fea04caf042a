/** Python's values: keys, truth, arguments. */
import { testRecorded } from './recorded.ts';

testRecorded('values');
