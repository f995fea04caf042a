/** How Python prints values, and JSON. */
import { testRecorded } from './recorded.ts';

testRecorded('printed');
