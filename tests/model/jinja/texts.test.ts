/** The methods of Python's str. */
import { testRecorded } from './recorded.ts';

testRecorded('texts');
