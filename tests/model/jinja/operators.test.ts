/** Python's operators. */
import { testRecorded } from './recorded.ts';

testRecorded('operators');
