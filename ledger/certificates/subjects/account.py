"""An account: which organization vouches for it, and its balance. A balance of zero is shown by absence."""

from __future__ import annotations

from ledger.certificates.reading import Records, find, need
from ledger.certificates.subjects.subject import SubjectBase, fields
from ledger.certificates.verified import Verified, Where
from ledger.modules.credits.records import BALANCES
from ledger.modules.organizations.records import ACCOUNTS
from primitives.finality import Bytes32
from primitives.identifiers import account_to_text


class VerifiedAccount(Verified, frozen=True, kw_only=True):
    account: str
    organization: str
    name: str
    balance: int
    """Minor units, without what waits in escrows."""

    def lines(self) -> list[str]:
        return [
            f"account {self.account} {self.name!r} of {self.organization}",
            f"balance {self.balance} units",
        ]


class AccountSubject(SubjectBase, frozen=True, tag="account"):
    account: Bytes32

    def read(self, records: Records, where: Where) -> VerifiedAccount:
        account = need(records, f"account {account_to_text(self.account)}", ACCOUNTS, self.account)
        balance = find(records, BALANCES, self.account)
        return VerifiedAccount(
            proves="account",
            **fields(where),
            account=account_to_text(self.account),
            organization=account.organization,
            name=account.name,
            balance=0 if balance is None else balance.amount,
        )
