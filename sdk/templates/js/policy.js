// Approves transfers on listed chains to listed addresses, up to an amount. Everything else is refused.
//
// Every call may run in a new instance: keep nothing in variables between calls. `evaluate` returns a verdict; whatever
// it throws refuses the task.

import { document } from 'countersign:policy/config@0.1.0';
import { log } from 'countersign:policy/logging@0.1.0';

const DECIMAL = /^[0-9]+$/;
const KEYS = ['chains', 'addresses', 'max_amount', 'min_threshold'];

const approve = { tag: 'approve' };
const reject = (code, reason) => ({ tag: 'reject', val: { code, reason } });

export const plugin = told({
  describe() {
    return {
      name: '__NAME__',
      version: '0.1.0',
      description: 'Transfers on listed chains to listed addresses, up to an amount.',
      configSchema: undefined,
    };
  },

  check() {
    readConfig();
  },

  evaluate(task) {
    const config = readConfig();
    switch (task.operation.tag) {
      case 'keygen': return judgeKeygen(config, task.operation.val);
      case 'sign': return judgeSigning(config, task.operation.val);
      default: throw { tag: 'unsupported', val: `no rule for ${task.operation.tag}` };
    }
  },
});

// An error in the code refuses the task and reports its place. Without this wrapper it would be a mere trap.
function told(functions) {
  const wrapped = {};
  for (const [name, run] of Object.entries(functions)) {
    wrapped[name] = (...parameters) => {
      try {
        return run(...parameters);
      } catch (error) {
        if (error && error.tag) throw error;
        const frames = String(error && error.stack || '').split('\n').map((line) => line.trim());
        const where = frames.find((line) => line.startsWith('at ')) || '';
        throw { tag: 'internal', val: `${name}: ${error} ${where}`.trim() };
      }
    };
  }
  return wrapped;
}

function readConfig() {
  let config;
  try {
    config = JSON.parse(document());
  } catch (error) {
    throw misconfigured(`not JSON: ${error.message}`);
  }
  // A misspelt rule must not be silently ignored.
  for (const key of Object.keys(config)) {
    if (!KEYS.includes(key)) throw misconfigured(`unknown key ${key}`);
  }
  for (const key of KEYS) {
    if (!(key in config)) throw misconfigured(`${key} is missing`);
  }
  if (typeof config.max_amount !== 'string' || !DECIMAL.test(config.max_amount)) {
    throw misconfigured('max_amount is a decimal in quotes');
  }
  return config;
}

const misconfigured = (text) => ({ tag: 'misconfigured', val: text });

function judgeKeygen(config, keygen) {
  if (keygen.threshold < config.min_threshold) {
    return reject('threshold-too-low', `${keygen.threshold} of ${keygen.members.length} nodes`);
  }
  return approve;
}

function judgeSigning(config, signing) {
  if (signing.intent.tag !== 'transaction') {
    return reject('not-a-transaction', 'only transactions are allowed');
  }
  const transaction = signing.intent.val;
  if (!config.chains.includes(transaction.chain)) {
    return reject('chain-not-allowed', `${transaction.chain} is not listed`);
  }
  if (transaction.calls.length > 0 || transaction.grants.length > 0) {
    return reject('call-not-allowed', 'only plain transfers are allowed');
  }
  let total = 0n;
  for (const destination of transaction.destinations.filter((to) => !to.change)) {
    if (!config.addresses.includes(destination.address)) {
      return reject('address-not-allowed', `${destination.address} is not listed`);
    }
    if (destination.asset !== '') {
      return reject('asset-not-allowed', `${destination.asset} is not the native asset`);
    }
    if (!DECIMAL.test(destination.amount)) {
      return reject('amount-malformed', `${destination.amount} is not a decimal`);
    }
    // Amounts do not fit a double: BigInt.
    total += BigInt(destination.amount);
  }
  if (total > BigInt(config.max_amount)) {
    return reject('amount-too-high', `${total} exceeds ${config.max_amount}`);
  }
  log('info', 'within the limit', [['amount', total.toString()]]);
  return approve;
}
