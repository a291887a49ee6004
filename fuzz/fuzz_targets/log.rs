//! `FUZZ_REDIS=redis://127.0.0.1:7799 cargo fuzz run log`, on a Redis in which anything may be overwritten.
#![no_main]

#[path = "../log.rs"]
mod log;

use std::cell::RefCell;
use std::env;

thread_local! {
    static BENCH: RefCell<log::Bench> = RefCell::new({
        let url = env::var("FUZZ_REDIS").expect("FUZZ_REDIS is the URL of a Redis");
        log::Bench::over(&url)
    });
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| BENCH.with_borrow_mut(|bench| bench.log(input)));
