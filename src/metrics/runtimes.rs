//! How many tasks there are, on all runtimes of the process.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;

/// The runtimes whose tasks are counted; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Runtimes(Arc<Mutex<Vec<Handle>>>);

impl Runtimes {
    /// Counts the tasks of another runtime as well.
    pub fn add(&self, runtime: Handle) {
        self.0.lock().push(runtime);
    }

    /// How many tasks have begun and not ended.
    pub(super) fn tasks(&self) -> usize {
        let runtimes = self.0.lock();
        let tasks = runtimes.iter().map(|it| it.metrics().num_alive_tasks());
        tasks.sum()
    }
}
