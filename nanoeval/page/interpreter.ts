/** Vega's expressions without `eval`, under a global name as the libraries beside it. */
import { expressionInterpreter } from 'vega-interpreter';

(globalThis as { vegaInterpreter?: unknown }).vegaInterpreter = expressionInterpreter;
