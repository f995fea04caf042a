/** Statements written out: scopes, macros, blocks, namespaces. */
import { testRecorded } from './recorded.ts';

testRecorded('render');
