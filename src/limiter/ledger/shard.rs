//! A part of the ledger's accounts: found by key, and ended in time or to make room.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashTable;

use crate::algorithm::Timestamp;
use crate::limiter::ledger::account::Account;
use crate::store::GiveBack;
use crate::store::Take;

/// The accounts of some keys, in slots that they keep as long as they are there.
#[derive(Debug)]
pub(super) struct Shard<W> {
    by_key: HashTable<usize>,
    accounts: Vec<Account<W>>,
    n_slots: usize,
    /// The next slot to be looked at for room.
    hand: usize,
    /// When leases end, and in which slots they were.
    ends: BinaryHeap<Reverse<(Timestamp, usize)>>,
}

/// What became of an account that made room for another.
#[derive(Debug)]
pub(super) struct Evicted(pub(super) Option<GiveBack>);

impl<W> Shard<W> {
    pub(super) fn new(n_slots: usize) -> Self {
        Self {
            by_key: HashTable::new(),
            accounts: Vec::new(),
            n_slots,
            hand: 0,
            ends: BinaryHeap::new(),
        }
    }

    /// The account of a key, if there is one, with its slot.
    pub(super) fn find(&mut self, hash: u64, key: &[u8]) -> Option<(usize, &mut Account<W>)> {
        let is_of_key = |slot: &usize| *self.accounts[*slot].key == *key;
        let slot = *self.by_key.find(hash, is_of_key)?;
        Some((slot, &mut self.accounts[slot]))
    }

    /// A new account for the key of a take; none if there is no room for it.
    pub(super) fn open(
        &mut self,
        hash: u64,
        take: &Take,
    ) -> Option<(&mut Account<W>, Option<Evicted>)> {
        let account = Account::new(hash, take);
        let (slot, evicted) = if self.accounts.len() < self.n_slots {
            self.accounts.push(account);
            (self.accounts.len() - 1, None)
        } else {
            let slot = self.vacant()?;
            let mut before = std::mem::replace(&mut self.accounts[slot], account);
            if let Ok(entry) = self.by_key.find_entry(before.hash, |it| *it == slot) {
                entry.remove();
            }
            (slot, Some(Evicted(before.drop_lease())))
        };
        let accounts = &self.accounts;
        self.by_key
            .insert_unique(hash, slot, |slot| accounts[*slot].hash);
        Some((&mut self.accounts[slot], evicted))
    }

    /// Every account.
    pub(super) fn accounts(&mut self) -> impl Iterator<Item = &mut Account<W>> {
        self.accounts.iter_mut()
    }

    /// Has [`Shard::expire`] look at a slot after this moment.
    pub(super) fn expires(&mut self, slot: usize, end: Timestamp) {
        self.ends.push(Reverse((end, slot)));
    }

    /// Ends the leases that are over.
    pub(super) fn expire(&mut self, now: Timestamp, mut give_back: impl FnMut(GiveBack)) {
        while let Some(Reverse((end, slot))) = self.ends.peek()
            && *end <= now
        {
            if let Some(unused) = self.accounts[*slot].expire(now) {
                give_back(unused);
            }
            self.ends.pop();
        }
    }

    /// A slot whose account may go: not used since the hand went by, if one comes soon.
    fn vacant(&mut self) -> Option<usize> {
        let mut second_choice = None;
        for _ in 0..LOOKED_AT.min(self.accounts.len()) {
            let slot = self.hand;
            self.hand = (slot + 1) % self.accounts.len();
            let account = &mut self.accounts[slot];
            if !account.is_idle() {
                continue;
            }
            if !std::mem::take(&mut account.touched) {
                return Some(slot);
            }
            second_choice = second_choice.or(Some(slot));
        }
        second_choice
    }
}

/// How many slots are looked at for room at most.
const LOOKED_AT: usize = 16;
