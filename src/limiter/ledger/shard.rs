//! A part of the ledger's accounts: found by key, and ended in time or to make room.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;

use hashbrown::HashTable;

use crate::algorithm::Timestamp;
use crate::limiter::ledger::account::Account;
use crate::store::GiveBack;
use crate::store::Take;

/// The accounts of some keys, in slots that they keep as long as they are there.
#[derive(Debug)]
pub(super) struct Shard<W> {
    by_key: HashTable<u16>,
    accounts: Vec<Account<W>>,
    n_slots: usize,
    /// The next slot to be looked at for room.
    hand: usize,
    /// When leases end, and in which slots they were.
    ends: BinaryHeap<Reverse<(Timestamp, u16)>>,
}

/// Where a new account is, and what another had leased that made room for it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) slot: u16,
    pub(super) evicted: Option<Option<GiveBack>>,
}

impl<W> Shard<W> {
    /// A shard with so many slots.
    pub(super) fn new(n_slots: u16) -> Self {
        let n_slots = usize::from(n_slots);
        Self {
            by_key: HashTable::new(),
            accounts: Vec::new(),
            n_slots,
            hand: 0,
            ends: BinaryHeap::new(),
        }
    }

    /// The account of a key, if there is one, with its slot.
    pub(super) fn find(&mut self, hash: u64, key: &[u8]) -> Option<(u16, &mut Account<W>)> {
        let is_of_key = |slot: &u16| *self.accounts[usize::from(*slot)].key == *key;
        let slot = *self.by_key.find(hash, is_of_key)?;
        Some((slot, &mut self.accounts[usize::from(slot)]))
    }

    /// Makes an account for the key of a take; none if there is no room for it. Another may have made
    /// room.
    pub(super) fn open(&mut self, take: &Take, hasher: &impl BuildHasher) -> Option<Opened> {
        let account = Account::new(take);
        let hash = |account: &Account<W>| hasher.hash_one(&*account.key);
        let (slot, evicted) = if self.accounts.len() < self.n_slots {
            // All at once, as growing takes up to half as much again. What is not used stays with
            // the system.
            self.accounts
                .reserve_exact(self.n_slots - self.accounts.len());
            self.accounts.push(account);
            (self.accounts.len() - 1, None)
        } else {
            let slot = self.vacant()?;
            let mut before = std::mem::replace(&mut self.accounts[slot], account);
            let is_slot = |it: &u16| usize::from(*it) == slot;
            if let Ok(entry) = self.by_key.find_entry(hash(&before), is_slot) {
                entry.remove();
            }
            (slot, Some(before.drop_lease()))
        };
        let slot = u16::try_from(slot).expect("there are as many slots as 16 bits tell apart");
        let accounts = &self.accounts;
        let hash_of_slot = |slot: &u16| hash(&accounts[usize::from(*slot)]);
        self.by_key
            .insert_unique(hash_of_slot(&slot), slot, hash_of_slot);
        Some(Opened { slot, evicted })
    }

    /// The account in a slot.
    pub(super) fn account(&mut self, slot: u16) -> &mut Account<W> {
        &mut self.accounts[usize::from(slot)]
    }

    /// How many bytes accounts take beside their keys, and what they have under way.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.by_key.allocation_size() + self.accounts.capacity() * size_of::<Account<W>>()
    }

    /// Every account.
    pub(super) fn accounts(&mut self) -> impl Iterator<Item = &mut Account<W>> {
        self.accounts.iter_mut()
    }

    /// Has [`Shard::expire`] look at a slot after this moment.
    pub(super) fn expires(&mut self, slot: u16, end: Timestamp) {
        self.ends.push(Reverse((end, slot)));
    }

    /// Ends the leases that are over.
    pub(super) fn expire(&mut self, now: Timestamp, mut give_back: impl FnMut(GiveBack)) {
        while let Some(Reverse((end, slot))) = self.ends.peek()
            && *end <= now
        {
            if let Some(unused) = self.accounts[usize::from(*slot)].expire(now) {
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
