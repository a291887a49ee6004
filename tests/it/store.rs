//! What every store has to do, and what Redis holds after it.

mod alike;
mod bench;
mod limits;
mod memory;
mod redis;
mod suite;
