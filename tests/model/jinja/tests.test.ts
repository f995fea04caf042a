/** Tests of values (x is defined). */
import { testRecorded } from './recorded.ts';

testRecorded('tests');
