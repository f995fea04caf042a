/** What a turn of a loop knows of itself. */
import { testRecorded } from './recorded.ts';

testRecorded('loop');
