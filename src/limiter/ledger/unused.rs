//! Hits that nobody will use, until they are sent back.

use std::collections::HashMap;

use foldhash::fast::SeedableRandomState;

use crate::store::GiveBack;

/// What is to be given back, by key. More than [`MAX_UNUSED`] are not kept: they stay counted until
/// they leave the window.
#[derive(Debug)]
pub(super) struct Unused {
    by_key: HashMap<Vec<u8>, Vec<GiveBack>, SeedableRandomState>,
    n: usize,
}

impl Unused {
    pub(super) fn new(hasher: SeedableRandomState) -> Self {
        Self {
            by_key: HashMap::with_hasher(hasher),
            n: 0,
        }
    }

    pub(super) fn push(&mut self, unused: GiveBack) {
        if self.n == MAX_UNUSED {
            return;
        }
        self.n += 1;
        match self.by_key.get_mut(&unused.key) {
            Some(others) => others.push(unused),
            None => {
                self.by_key.insert(unused.key.clone(), vec![unused]);
            }
        }
    }

    /// Takes out what is of a key.
    pub(super) fn of(&mut self, key: &[u8]) -> Vec<GiveBack> {
        let own = self.by_key.remove(key).unwrap_or_default();
        self.n -= own.len();
        own
    }

    /// Takes out everything.
    pub(super) fn all(&mut self) -> Vec<GiveBack> {
        let nothing = Self::new(self.by_key.hasher().clone());
        let all = std::mem::replace(self, nothing);
        all.by_key.into_values().flatten().collect()
    }
}

const MAX_UNUSED: usize = 1 << 16;
