// Moves a balance with a tool of Ethereum, used as its documentation shows, and has it check signatures of its own making.
//
// Arguments: the folder of its packages, and the tool: `ethers` or `viem`. Standard input has {url, from, to, value}; standard
// output gets what happened.

const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");

const [folder, tool] = process.argv.slice(2);
const load = createRequire(folder + "/");
const { url, from, to, value } = JSON.parse(readFileSync(0));
const text = "hello from outside";
const domain = { name: "Outsiders", version: "1", chainId: 31337 };
const types = { Greeting: [{ name: "count", type: "uint256" }, { name: "text", type: "string" }] };
const message = { count: 2n ** 200n, text };

async function ethers() {
  const { JsonRpcProvider, verifyMessage, verifyTypedData } = load("ethers");
  const provider = new JsonRpcProvider(url, undefined, { pollingInterval: 100 });
  const signer = await provider.getSigner();
  const sent = await signer.sendTransaction({ to, value: BigInt(value) });
  const receipt = await sent.wait();
  const signers = [
    verifyMessage(text, await signer.signMessage(text)),
    verifyTypedData(domain, types, message, await signer.signTypedData(domain, types, message)),
  ];
  provider.destroy();
  return { account: await signer.getAddress(), status: receipt.status, signers };
}

async function viem() {
  const { createWalletClient, http, publicActions, recoverMessageAddress, recoverTypedDataAddress } = load("viem");
  const { foundry } = load("viem/chains");
  const client = createWalletClient({ chain: foundry, transport: http(url), pollingInterval: 100 }).extend(publicActions);
  const [account] = await client.requestAddresses();
  const hash = await client.sendTransaction({ account, to, value: BigInt(value) });
  const receipt = await client.waitForTransactionReceipt({ hash });
  const typed = { domain, types, primaryType: "Greeting", message };
  const signers = [
    await recoverMessageAddress({ message: text, signature: await client.signMessage({ account, message: text }) }),
    await recoverTypedDataAddress({ ...typed, signature: await client.signTypedData({ account, ...typed }) }),
  ];
  return { account, status: receipt.status === "success" ? 1 : 0, signers };
}

({ ethers, viem })[tool]().then((told) => console.log(JSON.stringify(told)));
