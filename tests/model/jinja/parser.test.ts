/** Tags as they are read. */
import { testRecorded } from './recorded.ts';

testRecorded('parser');
