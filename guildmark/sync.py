"""The synchronous client: the asynchronous one, run on an event loop in a thread of its own.

No method is written twice. `blocking` turns a method of the asynchronous class into one that waits for it, with the
same parameters, types and documentation; a test holds the two surfaces equal.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from guildmark.accounts import AsyncAccounts, AsyncCredits
from guildmark.accreditations import AsyncAccreditations
from guildmark.artifact_transfer import AsyncArtifacts
from guildmark.assets import AsyncAssets
from guildmark.attestations import AsyncAttestations
from guildmark.certificates import AsyncCertificates
from guildmark.charters import AsyncCharters
from guildmark.client import AsyncClient, OnSlow
from guildmark.contributions import AsyncContributions
from guildmark.decisions import AsyncDecisions
from guildmark.disputes import AsyncDisputes
from guildmark.errors import Interrupted
from guildmark.governance import AsyncGovernance
from guildmark.identity import Account
from guildmark.licenses import AsyncLicenses
from guildmark.light import AsyncLightClient, Liar
from guildmark.market import AsyncMarket
from guildmark.observers import AsyncObservers
from guildmark.organizations import AsyncOrganizations
from guildmark.reputation import AsyncReputation
from guildmark.transfers import AsyncTransfers
from guildmark.transport import RETRY_TIMEOUT_S

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _LoopThread:
    """An event loop in a daemon thread. `under_way` tells the ids of the transactions that are on their way."""

    def __init__(self, under_way: Callable[[], tuple[str, ...]] = tuple) -> None:
        self._under_way = under_way
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="guildmark-client", daemon=True)
        self._thread.start()

    def run(self, job: Coroutine[Any, Any, R]) -> R:
        """Wait for `job`; it is cancelled when the wait is interrupted (Ctrl-C).

        Raises:
            Interrupted: instead of KeyboardInterrupt, where that leaves transactions on their way.
        """
        if threading.current_thread() is self._thread:
            job.close()
            raise RuntimeError("the synchronous client cannot be used from its own event loop")
        future = asyncio.run_coroutine_threadsafe(job, self._loop)
        try:
            return future.result()
        except BaseException as error:
            sent = self._under_way()  # before the cancellation, which forgets them
            future.cancel()
            if sent and isinstance(error, KeyboardInterrupt):
                raise Interrupted(sent) from error
            raise

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()


class _Facade(Generic[T]):
    """Something asynchronous, and the thread that runs it."""

    def __init__(self, target: T, thread: _LoopThread) -> None:
        self._target = target
        self._thread = thread


class blocking(Generic[T, P, R]):
    """A method of a facade that waits for the method of the same signature of its target."""

    def __init__(self, method: Callable[Concatenate[T, P], Coroutine[Any, Any, R]]) -> None:
        self.method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, facade: None, owner: type[Any]) -> blocking[T, P, R]: ...
    @overload
    def __get__(self, facade: _Facade[T], owner: type[Any]) -> Callable[P, R]: ...
    def __get__(self, facade: _Facade[T] | None, owner: type[Any]) -> blocking[T, P, R] | Callable[P, R]:
        if facade is None:
            return self
        target, thread = facade._target, facade._thread

        @functools.wraps(self.method)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return thread.run(self.method(target, *args, **kwargs))

        return call


class Accounts(_Facade[AsyncAccounts]):
    get = blocking(AsyncAccounts.get)
    open = blocking(AsyncAccounts.open)
    add_key = blocking(AsyncAccounts.add_key)
    revoke_key = blocking(AsyncAccounts.revoke_key)
    rotate_key = blocking(AsyncAccounts.rotate_key)
    request_recovery = blocking(AsyncAccounts.request_recovery)
    complete_recovery = blocking(AsyncAccounts.complete_recovery)
    veto_recovery = blocking(AsyncAccounts.veto_recovery)


class Credits(_Facade[AsyncCredits]):
    balance = blocking(AsyncCredits.balance)
    transfer = blocking(AsyncCredits.transfer)


class Artifacts(_Facade[AsyncArtifacts]):
    whereabouts = blocking(AsyncArtifacts.whereabouts)
    wait_held = blocking(AsyncArtifacts.wait_held)
    upload = blocking(AsyncArtifacts.upload)
    download = blocking(AsyncArtifacts.download)
    fetch_block = blocking(AsyncArtifacts.fetch_block)


class Assets(_Facade[AsyncAssets]):
    commit = blocking(AsyncAssets.commit)
    register = blocking(AsyncAssets.register)
    add_version = blocking(AsyncAssets.add_version)
    get = blocking(AsyncAssets.get)
    find = blocking(AsyncAssets.find)
    search = blocking(AsyncAssets.search)
    lineage = blocking(AsyncAssets.lineage)
    versions = blocking(AsyncAssets.versions)
    version = blocking(AsyncAssets.version)
    download = blocking(AsyncAssets.download)
    set_alias = blocking(AsyncAssets.set_alias)
    set_manager = blocking(AsyncAssets.set_manager)
    update_metadata = blocking(AsyncAssets.update_metadata)
    retire = blocking(AsyncAssets.retire)
    consent = blocking(AsyncAssets.consent)
    withdraw_consent = blocking(AsyncAssets.withdraw_consent)


class Licenses(_Facade[AsyncLicenses]):
    offer = blocking(AsyncLicenses.offer)
    withdraw_offer = blocking(AsyncLicenses.withdraw_offer)
    buy = blocking(AsyncLicenses.buy)
    renew = blocking(AsyncLicenses.renew)
    revoke = blocking(AsyncLicenses.revoke)
    set_seats = blocking(AsyncLicenses.set_seats)
    seats = blocking(AsyncLicenses.seats)
    token = blocking(AsyncLicenses.token)
    sign_voucher = blocking(AsyncLicenses.sign_voucher)
    verify_voucher = blocking(AsyncLicenses.verify_voucher)
    report_usage = blocking(AsyncLicenses.report_usage)
    check = blocking(AsyncLicenses.check)
    get_offer = blocking(AsyncLicenses.get_offer)
    offers = blocking(AsyncLicenses.offers)
    get_grant = blocking(AsyncLicenses.get_grant)
    grants = blocking(AsyncLicenses.grants)
    export_odrl = blocking(AsyncLicenses.export_odrl)
    approve_derivatives = blocking(AsyncLicenses.approve_derivatives)
    claim = blocking(AsyncLicenses.claim)
    royalties_owed = blocking(AsyncLicenses.royalties_owed)
    royalty_pool = blocking(AsyncLicenses.royalty_pool)
    royalty_stack = blocking(AsyncLicenses.royalty_stack)
    quote = blocking(AsyncLicenses.quote)
    withdraw_royalties = blocking(AsyncLicenses.withdraw_royalties)


class Market(_Facade[AsyncMarket]):
    listing = blocking(AsyncMarket.listing)
    english_auction = blocking(AsyncMarket.english_auction)
    dutch_auction = blocking(AsyncMarket.dutch_auction)
    put_up = blocking(AsyncMarket.put_up)
    sell = blocking(AsyncMarket.sell)
    withdraw_listing = blocking(AsyncMarket.withdraw_listing)
    cancel_auction = blocking(AsyncMarket.cancel_auction)
    settle = blocking(AsyncMarket.settle)
    buy = blocking(AsyncMarket.buy)
    take = blocking(AsyncMarket.take)
    bid = blocking(AsyncMarket.bid)
    make_offer = blocking(AsyncMarket.make_offer)
    condition = blocking(AsyncMarket.condition)
    acceptance = blocking(AsyncMarket.acceptance)
    accept_offer = blocking(AsyncMarket.accept_offer)
    withdraw_offer = blocking(AsyncMarket.withdraw_offer)
    get_listing = blocking(AsyncMarket.get_listing)
    get_offer = blocking(AsyncMarket.get_offer)
    get_auction = blocking(AsyncMarket.get_auction)
    listings = blocking(AsyncMarket.listings)
    auctions = blocking(AsyncMarket.auctions)
    offers = blocking(AsyncMarket.offers)
    prices = blocking(AsyncMarket.prices)


class Certificates(_Facade[AsyncCertificates]):
    export = blocking(AsyncCertificates.export)
    export_version = blocking(AsyncCertificates.export_version)
    export_license = blocking(AsyncCertificates.export_license)
    export_grant = blocking(AsyncCertificates.export_grant)
    export_account = blocking(AsyncCertificates.export_account)
    export_absence = blocking(AsyncCertificates.export_absence)


class Decisions(_Facade[AsyncDecisions]):
    propose_parameters = blocking(AsyncDecisions.propose_parameters)
    propose_minting = blocking(AsyncDecisions.propose_minting)
    propose_burning = blocking(AsyncDecisions.propose_burning)
    propose_payment = blocking(AsyncDecisions.propose_payment)
    object = blocking(AsyncDecisions.object)
    parameters = blocking(AsyncDecisions.parameters)


class Governance(_Facade[AsyncGovernance]):
    propose_add = blocking(AsyncGovernance.propose_add)
    propose_remove = blocking(AsyncGovernance.propose_remove)
    propose_rekey = blocking(AsyncGovernance.propose_rekey)
    propose_admission = blocking(AsyncGovernance.propose_admission)
    propose_suspension = blocking(AsyncGovernance.propose_suspension)
    propose_reinstatement = blocking(AsyncGovernance.propose_reinstatement)
    propose_expulsion = blocking(AsyncGovernance.propose_expulsion)
    propose_quota = blocking(AsyncGovernance.propose_quota)
    propose_recovery = blocking(AsyncGovernance.propose_recovery)
    propose_takedown = blocking(AsyncGovernance.propose_takedown)
    propose_restoration = blocking(AsyncGovernance.propose_restoration)
    takedowns = blocking(AsyncGovernance.takedowns)
    vote = blocking(AsyncGovernance.vote)
    proposal = blocking(AsyncGovernance.proposal)
    proposals = blocking(AsyncGovernance.proposals)
    validators = blocking(AsyncGovernance.validators)
    pending = blocking(AsyncGovernance.pending)
    epoch = blocking(AsyncGovernance.epoch)


class Transfers(_Facade[AsyncTransfers]):
    operation = blocking(AsyncTransfers.operation)
    send = blocking(AsyncTransfers.send)
    offer = blocking(AsyncTransfers.offer)
    accept = blocking(AsyncTransfers.accept)
    withdraw = blocking(AsyncTransfers.withdraw)
    get = blocking(AsyncTransfers.get)
    pending = blocking(AsyncTransfers.pending)


class Disputes(_Facade[AsyncDisputes]):
    file = blocking(AsyncDisputes.file)
    answer = blocking(AsyncDisputes.answer)
    vote = blocking(AsyncDisputes.vote)
    appeal = blocking(AsyncDisputes.appeal)
    lift = blocking(AsyncDisputes.lift)
    collect = blocking(AsyncDisputes.collect)
    get = blocking(AsyncDisputes.get)
    find = blocking(AsyncDisputes.find)
    debts = blocking(AsyncDisputes.debts)


class Reputation(_Facade[AsyncReputation]):
    score = blocking(AsyncReputation.score)
    evidence = blocking(AsyncReputation.evidence)
    ranking = blocking(AsyncReputation.ranking)


class Contributions(_Facade[AsyncContributions]):
    propose = blocking(AsyncContributions.propose)
    withdraw = blocking(AsyncContributions.withdraw)
    comment = blocking(AsyncContributions.comment)
    download = blocking(AsyncContributions.download)
    acceptance = blocking(AsyncContributions.acceptance)
    accept_for_all = blocking(AsyncContributions.accept_for_all)
    accept = blocking(AsyncContributions.accept)
    refuse = blocking(AsyncContributions.refuse)
    open_bounty = blocking(AsyncContributions.open_bounty)
    claim_bounty = blocking(AsyncContributions.claim_bounty)
    award_bounty = blocking(AsyncContributions.award_bounty)
    cancel_bounty = blocking(AsyncContributions.cancel_bounty)
    get = blocking(AsyncContributions.get)
    find = blocking(AsyncContributions.find)
    bounty = blocking(AsyncContributions.bounty)
    bounties = blocking(AsyncContributions.bounties)


class Charters(_Facade[AsyncCharters]):
    get = blocking(AsyncCharters.get)
    proposal = blocking(AsyncCharters.proposal)
    proposals = blocking(AsyncCharters.proposals)
    propose_terms = blocking(AsyncCharters.propose_terms)
    propose_withdrawal = blocking(AsyncCharters.propose_withdrawal)
    propose_alias = blocking(AsyncCharters.propose_alias)
    propose_manager = blocking(AsyncCharters.propose_manager)
    propose_payment = blocking(AsyncCharters.propose_payment)
    propose_sale = blocking(AsyncCharters.propose_sale)
    propose_listing = blocking(AsyncCharters.propose_listing)
    propose_contribution = blocking(AsyncCharters.propose_contribution)
    propose_change = blocking(AsyncCharters.propose_change)
    propose_dissolution = blocking(AsyncCharters.propose_dissolution)
    vote = blocking(AsyncCharters.vote)
    withdraw = blocking(AsyncCharters.withdraw)


class Attestations(_Facade[AsyncAttestations]):
    evaluate = blocking(AsyncAttestations.evaluate)
    audit = blocking(AsyncAttestations.audit)
    review = blocking(AsyncAttestations.review)
    answer = blocking(AsyncAttestations.answer)
    get = blocking(AsyncAttestations.get)
    find = blocking(AsyncAttestations.find)


class Accreditations(_Facade[AsyncAccreditations]):
    propose = blocking(AsyncAccreditations.propose)
    propose_suspension = blocking(AsyncAccreditations.propose_suspension)
    propose_reinstatement = blocking(AsyncAccreditations.propose_reinstatement)
    propose_end = blocking(AsyncAccreditations.propose_end)
    get = blocking(AsyncAccreditations.get)
    all = blocking(AsyncAccreditations.all)
    post_bond = blocking(AsyncAccreditations.post_bond)
    resign = blocking(AsyncAccreditations.resign)


class Organizations(_Facade[AsyncOrganizations]):
    get = blocking(AsyncOrganizations.get)
    all = blocking(AsyncOrganizations.all)
    accounts = blocking(AsyncOrganizations.accounts)


class Observers(_Facade[AsyncObservers]):
    register = blocking(AsyncObservers.register)
    withdraw = blocking(AsyncObservers.withdraw)
    all = blocking(AsyncObservers.all)


class Client(_Facade[AsyncClient]):
    """One account (or none, for reading) on one network, through any of its nodes. Usable from any thread."""

    def __init__(
        self,
        urls: str | Sequence[str],
        account: Account | None = None,
        *,
        network_id: bytes | None = None,
        retry_timeout_s: float = RETRY_TIMEOUT_S,
        on_slow: OnSlow | None = None,
    ) -> None:
        target = AsyncClient(urls, account, network_id=network_id, retry_timeout_s=retry_timeout_s, on_slow=on_slow)
        self._bind(target, _LoopThread(target.under_way), owner=True)

    def _bind(self, target: AsyncClient, thread: _LoopThread, *, owner: bool) -> None:
        super().__init__(target, thread)
        self._owner = owner
        self.accreditations = Accreditations(target.accreditations, thread)
        self.accounts = Accounts(target.accounts, thread)
        self.artifacts = Artifacts(target.artifacts, thread)
        self.assets = Assets(target.assets, thread)
        self.attestations = Attestations(target.attestations, thread)
        self.certificates = Certificates(target.certificates, thread)
        self.charters = Charters(target.charters, thread)
        self.credits = Credits(target.credits, thread)
        self.contributions = Contributions(target.contributions, thread)
        self.disputes = Disputes(target.disputes, thread)
        self.decisions = Decisions(target.decisions, thread)
        self.governance = Governance(target.governance, thread)
        self.licenses = Licenses(target.licenses, thread)
        self.market = Market(target.market, thread)
        self.observers = Observers(target.observers, thread)
        self.reputation = Reputation(target.reputation, thread)
        self.transfers = Transfers(target.transfers, thread)
        self.organizations = Organizations(target.organizations, thread)

    @property
    def account(self) -> Account | None:
        return self._target.account

    @property
    def urls(self) -> list[str]:
        return list(self._target.transport.urls)

    def signer(self) -> Account:
        """The client's account. Raises Denied when it has none."""
        return self._target.signer()

    def acting_as(self, account: Account | None) -> Client:
        """Return a client for another account over the same connections; only the first one need be closed."""
        other = object.__new__(Client)
        other._bind(self._target.acting_as(account), self._thread, owner=False)
        return other

    def close(self) -> None:
        """Close the connections and end the thread; a client made by `acting_as` leaves that to its first one."""
        if self._owner:
            self._owner = False
            try:
                self._thread.run(self._target.close())
            finally:
                self._thread.stop()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    status = blocking(AsyncClient.status)
    consensus = blocking(AsyncClient.consensus)
    genesis = blocking(AsyncClient.genesis)
    parameters = blocking(AsyncClient.parameters)
    network_id = blocking(AsyncClient.network_id)
    block = blocking(AsyncClient.block)
    query = blocking(AsyncClient.query)
    query_at = blocking(AsyncClient.query_at)
    prepare = blocking(AsyncClient.prepare)
    submit = blocking(AsyncClient.submit)
    wait = blocking(AsyncClient.wait)
    transaction = blocking(AsyncClient.transaction)
    submit_and_wait = blocking(AsyncClient.submit_and_wait)
    deliver = blocking(AsyncClient.deliver)
    network_time_ms = blocking(AsyncClient.network_time_ms)
    advance_clock = blocking(AsyncClient.advance_clock)
    wait_until = blocking(AsyncClient.wait_until)
    wait_for_height = blocking(AsyncClient.wait_for_height)


class LightClient(_Facade[AsyncLightClient]):
    """As `AsyncLightClient`, for programs without an event loop. Usable from any thread."""

    def __init__(
        self,
        genesis_hash: bytes | str,
        urls: str | Sequence[str],
        *,
        state: bytes | None = None,
        trust_period_ms: int | None = None,
    ) -> None:
        target = AsyncLightClient(genesis_hash, urls, state=state, trust_period_ms=trust_period_ms)
        super().__init__(target, _LoopThread())

    update = blocking(AsyncLightClient.update)
    pin = blocking(AsyncLightClient.pin)
    certified = blocking(AsyncLightClient.certified)

    @property
    def liars(self) -> dict[str, Liar]:
        """Every node that has lied, and how."""
        return dict(self._target.liars)

    def dump(self) -> bytes | None:
        """Return what is trusted as bytes, to go on from later; None before the first update."""
        return self._target.dump()

    def close(self) -> None:
        """Close the connections and end the thread."""
        self._thread.run(self._target.close())
        self._thread.stop()

    def __enter__(self) -> LightClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
