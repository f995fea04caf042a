/** Values put into a text: % and format, and how floats are rounded. */
import { testRecorded } from './recorded.ts';

testRecorded('printf');
