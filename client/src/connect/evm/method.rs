//! What happens to a method: answered here, signed, passed on, or refused. Refused unless listed.

use super::error::{METHOD_NOT_FOUND, RpcError, UNSUPPORTED};

/// Methods that only read, or that hand on what somebody else has signed. None of them can use an
/// account or change the node behind it.
const PASSED_ON: [&str; 45] = [
    "eth_baseFee",
    "eth_blobBaseFee",
    "eth_blockNumber",
    "eth_call",
    "eth_config",
    "eth_createAccessList",
    "eth_estimateGas",
    "eth_feeHistory",
    "eth_gasPrice",
    "eth_getAccount",
    "eth_getBalance",
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getBlockReceipts",
    "eth_getBlockTransactionCountByHash",
    "eth_getBlockTransactionCountByNumber",
    "eth_getCode",
    "eth_getFilterChanges",
    "eth_getFilterLogs",
    "eth_getHeaderByHash",
    "eth_getHeaderByNumber",
    "eth_getLogs",
    "eth_getProof",
    "eth_getRawTransactionByHash",
    "eth_getStorageAt",
    "eth_getTransactionByBlockHashAndIndex",
    "eth_getTransactionByBlockNumberAndIndex",
    "eth_getTransactionByHash",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_getUncleByBlockHashAndIndex",
    "eth_getUncleByBlockNumberAndIndex",
    "eth_getUncleCountByBlockHash",
    "eth_getUncleCountByBlockNumber",
    "eth_maxPriorityFeePerGas",
    "eth_newBlockFilter",
    "eth_newFilter",
    "eth_newPendingTransactionFilter",
    "eth_sendRawTransaction",
    "eth_simulateV1",
    "eth_syncing",
    "eth_uninstallFilter",
    "net_listening",
    "web3_clientVersion",
    "web3_sha3",
];
/// Namespaces whose other methods sign, administer a node or watch by a socket. Tools are told that
/// the wallet does not do that, and not that it never heard of it.
const NOT_HERE: [&str; 14] = [
    "eth_sign",
    "eth_subscribe",
    "eth_unsubscribe",
    "wallet_",
    "personal_",
    "account_",
    "admin_",
    "clique_",
    "debug_",
    "engine_",
    "miner_",
    "anvil_",
    "evm_",
    "hardhat_",
];

/// The way of a method through the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `eth_accounts`, `eth_requestAccounts`.
    Accounts,
    /// `eth_chainId`.
    ChainId,
    /// `net_version`: the chain id in decimal.
    NetVersion,
    /// `wallet_switchEthereumChain`, `wallet_addEthereumChain`.
    SwitchChain,
    /// Becomes an order.
    Signing(Signing),
    /// Goes to the upstream RPC as it is.
    PassedOn,
}

/// Methods that sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// `eth_sendTransaction`.
    Send,
    /// `eth_signTransaction`.
    Transaction,
    /// `personal_sign(data, account)`: EIP-191.
    Personal,
    /// `eth_sign(account, data)`: the same signature as `personal_sign`, as Ethereum's nodes make
    /// it, and never one of a bare hash.
    EthSign,
    /// `eth_signTypedData_v4`, and `eth_signTypedData` as EIP-712 names it.
    TypedData,
}

impl Method {
    /// Looks a name up.
    pub fn named(name: &str) -> Result<Self, RpcError> {
        Ok(match name {
            "eth_accounts" | "eth_requestAccounts" => Self::Accounts,
            "eth_chainId" => Self::ChainId,
            "net_version" => Self::NetVersion,
            "wallet_switchEthereumChain" | "wallet_addEthereumChain" => Self::SwitchChain,
            "eth_sendTransaction" => Self::Signing(Signing::Send),
            "eth_signTransaction" => Self::Signing(Signing::Transaction),
            "personal_sign" => Self::Signing(Signing::Personal),
            "eth_sign" => Self::Signing(Signing::EthSign),
            "eth_signTypedData" | "eth_signTypedData_v4" => Self::Signing(Signing::TypedData),
            name if PASSED_ON.contains(&name) => Self::PassedOn,
            name => return Err(refused(name)),
        })
    }
}

fn refused(name: &str) -> RpcError {
    let shown: String = name
        .chars()
        .filter(char::is_ascii_graphic)
        .take(64)
        .collect();
    if NOT_HERE.iter().any(|prefix| name.starts_with(prefix)) {
        let message = format!(
            "this wallet does not support {shown}; docs/connect.md lists what it signs, and what it passes on to read"
        );
        RpcError::new(UNSUPPORTED, message)
    } else {
        let message = format!(
            "{shown} is no method that is known to sign nothing and change nothing, so it is not passed on; send it to the \
             upstream RPC itself"
        );
        RpcError::new(METHOD_NOT_FOUND, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_refused() {
        for (name, code) in [
            ("eth_signTypedData_v1", UNSUPPORTED),
            ("eth_signTypedData_v3", UNSUPPORTED),
            ("eth_signUserOperation", UNSUPPORTED),
            ("wallet_sendCalls", UNSUPPORTED),
            ("wallet_signAuthorization", UNSUPPORTED),
            ("personal_unlockAccount", UNSUPPORTED),
            ("personal_sendTransaction", UNSUPPORTED),
            ("personal_importRawKey", UNSUPPORTED),
            ("admin_addPeer", UNSUPPORTED),
            ("debug_setHead", UNSUPPORTED),
            ("miner_start", UNSUPPORTED),
            ("anvil_impersonateAccount", UNSUPPORTED),
            ("evm_mine", UNSUPPORTED),
            ("hardhat_setBalance", UNSUPPORTED),
            ("eth_subscribe", UNSUPPORTED),
            ("eth_submitWork", METHOD_NOT_FOUND),
            ("eth_getWork", METHOD_NOT_FOUND),
            ("ETH_CALL", METHOD_NOT_FOUND),
            ("eth_call ", METHOD_NOT_FOUND),
            ("eth_sendtransaction", METHOD_NOT_FOUND),
            ("", METHOD_NOT_FOUND),
        ] {
            assert_eq!(Method::named(name).unwrap_err().code, code, "{name}");
        }
    }

    #[test]
    fn nothing_that_signs_is_passed_on() {
        for name in PASSED_ON {
            assert_eq!(Method::named(name).unwrap(), Method::PassedOn);
            let acts = [
                "sign",
                "sendTransaction",
                "set",
                "mine",
                "unlock",
                "wallet",
                "personal",
            ];
            assert!(!acts.iter().any(|word| name.contains(word)), "{name}");
        }
        for name in [
            "eth_sendTransaction",
            "eth_signTransaction",
            "personal_sign",
            "eth_sign",
            "eth_signTypedData",
            "eth_signTypedData_v4",
        ] {
            assert!(
                matches!(Method::named(name), Ok(Method::Signing(_))),
                "{name}"
            );
        }
    }
}
