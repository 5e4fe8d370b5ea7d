"""What the sample rules allow. Run: python3 -m unittest"""

import copy
import json
import pathlib
import unittest

import approval_server as server

RULES = json.loads((pathlib.Path(__file__).parent / "rules.example.json").read_text())
LISTED = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
TOKEN = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
PAYMENT = {
    "chain": "eip155:1",
    "sources": ["0xsource"],
    "destinations": [{"address": LISTED, "asset": "", "amount": "999999999999979000", "memo": None, "change": False}],
    "calls": [],
    "grants": [],
    "fee": "21000",
    "unsigned": "0x02",
}


def request(intent, kind=server.KEY_SIGN):
    extra = {"countersign": {"blind": intent is None, "intent": intent}}
    return {
        "request_type": kind,
        "request_detail": json.dumps({"group_id": "key-1"}),
        "extra_info": json.dumps(extra),
    }


class Rules(unittest.TestCase):
    def judge(self, change=lambda payment: None, rules=RULES):
        payment = copy.deepcopy(PAYMENT)
        change(payment)
        server.judge(rules, request({"transaction": payment}))

    def assert_rejected(self, words, change):
        with self.assertRaisesRegex(server.Objection, words):
            self.judge(change)

    def test_a_listed_payment_within_the_limit_is_allowed(self):
        self.judge()

    def test_a_payment_over_the_limit_is_not(self):
        self.assert_rejected("exceeds", lambda p: p["destinations"][0].update(amount="999999999999979001"))

    def test_the_fee_counts(self):
        self.judge(lambda p: p["destinations"][0].update(amount="1"))
        self.assert_rejected("exceeds", lambda p: p.update(fee="21001"))
        self.assert_rejected("fee", lambda p: p.update(fee=None))

        def costly(payment):
            payment["destinations"][0].update(amount="1")
            payment["fee"] = "500000000000000000000"

        self.assert_rejected("exceeds", costly)

    def test_what_a_listed_contract_is_sent_counts(self):
        rules = copy.deepcopy(RULES)
        rules["key_sign"]["transaction"]["contracts"].append(TOKEN)

        def call(amount):
            def change(payment):
                payment["destinations"] = []
                payment["calls"] = [{"contract": TOKEN, "selector": "0x", "method": None, "amount": amount, "data": "0x"}]

            return change

        self.judge(call("999999999999979000"), rules)
        with self.assertRaisesRegex(server.Objection, "exceeds"):
            self.judge(call("999999999999979001"), rules)

    def test_what_may_be_the_number_of_a_token_is_no_amount(self):
        token = {"asset": "eip155:1/token:" + TOKEN, "amount": None, "number": "7"}
        self.assert_rejected("how much", lambda p: p["destinations"][0].update(token))

    def test_parts_of_a_payment_add_up(self):
        self.assert_rejected("exceeds", lambda p: p["destinations"].append(p["destinations"][0]))

    def test_change_does_not_count(self):
        self.judge(lambda p: p["destinations"].append(
            {"address": "0xself", "asset": "", "amount": "9" * 20, "memo": None, "change": True}))

    def test_other_addresses_chains_and_tokens_are_not(self):
        self.assert_rejected("address", lambda p: p["destinations"][0].update(address="0xother"))
        self.assert_rejected("chain", lambda p: p.update(chain="eip155:2"))
        self.assert_rejected("exceeds", lambda p: p["destinations"][0].update(asset="eip155:1/erc20:" + TOKEN))

    def test_grants_and_unknown_calls_are_not(self):
        grant = {"spender": "0xthief", "asset": "", "amount": None}
        self.assert_rejected("spend", lambda p: p["grants"].append(grant))
        call = {"contract": TOKEN, "selector": "0x12345678", "method": None, "amount": "0", "data": "0x12345678"}
        self.assert_rejected("contract", lambda p: p["calls"].append(call))

    def test_a_limited_tokens_transfer_is_allowed(self):
        rules = copy.deepcopy(RULES)
        rules["key_sign"]["transaction"]["max_amount"]["eip155:1/erc20:" + TOKEN] = "5"
        call = {"contract": TOKEN, "selector": "0xa9059cbb", "method": "transfer(address,uint256)", "amount": "0", "data": "0x"}

        def pay(amount):
            def change(payment):
                payment["calls"] = [call]
                payment["destinations"][0].update(asset="eip155:1/erc20:" + TOKEN, amount=amount)

            return change

        self.judge(pay("5"), rules)
        with self.assertRaisesRegex(server.Objection, "exceeds"):
            self.judge(pay("6"), rules)

    def test_what_the_rules_do_not_allow_is_rejected(self):
        for intent in [None, {"message": "0x00"}, {"typed_data": {}}]:
            with self.assertRaises(server.Objection):
                server.judge(RULES, request(intent))
        server.judge(RULES, request(None, server.KEY_GEN))
        for kind in [server.KEY_RESHARE, 4, 6]:
            with self.assertRaises(server.Objection):
                server.judge(RULES, request(None, kind))
        with self.assertRaises(server.Objection):
            server.judge({}, request({"transaction": PAYMENT}))


if __name__ == "__main__":
    unittest.main()
