/** What crosses between the program and its worker processes besides numbers: the environment, and errors. */
import { OutsideError, RowError, UserError } from '../../types.ts';

/** An error as plain data. */
export interface PlainError {
  name: string;
  message: string;
  detail?: string | undefined;
}

/** The classes that mean something to a user cross as their names; anything else is a bug, with its stack. */
export function plainError(error: unknown): PlainError {
  if (error instanceof UserError) return { name: 'UserError', message: error.message, detail: error.key };
  if (error instanceof RowError) return { name: 'RowError', message: error.message, detail: error.kind };
  if (error instanceof OutsideError) return { name: 'OutsideError', message: error.message };
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { name: 'Error', message, detail: stack };
}

/** The error that `plainError` was given. */
export function errorOf({ name, message, detail }: PlainError): Error {
  if (name === 'UserError') return new UserError(message, detail === undefined ? {} : { key: detail });
  if (name === 'RowError') return new RowError(detail ?? 'engine', message);
  if (name === 'OutsideError') return new OutsideError(message);
  const error = new Error(message);
  if (detail !== undefined) error.stack = detail;
  return error;
}

/**
 * The environment without what is secret: a worker opens files and computes, nothing else. glibc is told to keep the
 * memory that it has: caches of some MB come and go with every pass, and fresh pages cost more than what is done with
 * them.
 */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const secret = /TOKEN|KEY|SECRET|PASSWORD|CREDENTIAL/i;
  const kept = Object.entries(process.env).filter(([name]) => !secret.test(name));
  return {
    MALLOC_MMAP_THRESHOLD_: '33554432',
    MALLOC_TRIM_THRESHOLD_: '2000000000',
    ...Object.fromEntries(kept),
  };
}
