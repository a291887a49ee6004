//! Two stores: one for limits per second, which see many hits and forget them soon, one for the rest.

use std::sync::Arc;

use crate::rule::limit::Window;
use crate::store::Answer;
use crate::store::BoxFuture;
use crate::store::GiveBack;
use crate::store::Now;
use crate::store::Presence;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Take;
use crate::store::parts;
use crate::store::parts::Places;

/// Counts windows of one second apart from all others.
#[derive(Debug)]
pub struct SplitStore {
    per_second: Arc<dyn Store>,
    others: Arc<dyn Store>,
}

impl SplitStore {
    /// A store over these two.
    pub fn new(per_second: Arc<dyn Store>, others: Arc<dyn Store>) -> Self {
        Self { per_second, others }
    }

    fn store(&self, is_per_second: bool) -> &dyn Store {
        if is_per_second {
            return &*self.per_second;
        }
        &*self.others
    }

    async fn decide(
        &self,
        unused: &[GiveBack],
        takes: &[Take],
        now: Now,
    ) -> Result<Vec<Answer>, StoreError> {
        let is_second = |window: Window| window.seconds() == 1;
        let parts = parts::parts(
            unused,
            takes,
            |unused| is_second(unused.window),
            |take| is_second(take.window),
        );
        let Some(parts) = parts else {
            let windows = unused.iter().map(|it| it.window);
            let window = windows.chain(takes.iter().map(|it| it.window)).next();
            return self
                .store(window.is_some_and(is_second))
                .take(unused, takes, now)
                .await;
        };
        parts::decide(self, &parts, takes, now).await
    }
}

impl Places<bool> for SplitStore {
    fn ask<'a>(
        &'a self,
        is_per_second: bool,
        unused: &'a [GiveBack],
        takes: &'a [Take],
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Answer>, StoreError>> {
        self.store(is_per_second).take(unused, takes, now)
    }
}

impl Store for SplitStore {
    fn take<'a>(
        &'a self,
        unused: &'a [GiveBack],
        takes: &'a [Take],
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Answer>, StoreError>> {
        Box::pin(self.decide(unused, takes, now))
    }

    fn reset<'a>(
        &'a self,
        key: &'a [u8],
        window: Window,
        now: Now,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.store(window.seconds() == 1).reset(key, window, now)
    }

    fn is_one_place(&self) -> bool {
        false
    }

    fn attend<'a>(
        &'a self,
        key: &'a [u8],
        replica: &'a str,
        presence: Presence,
    ) -> BoxFuture<'a, Result<u32, StoreError>> {
        self.others.attend(key, replica, presence)
    }
}
