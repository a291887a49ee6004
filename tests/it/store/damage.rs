//! What every store in Redis does with what others did to its keys and scripts.

use slidegate::store::StoreError;

use crate::store::bench::Bench;
use crate::store::takes::at;
use crate::store::takes::sliding;

/// Sees that a store in Redis does all of it.
#[track_caller]
pub(super) fn all(bench: &Bench) {
    names_what_cannot_be_counted(bench);
    makes_its_script_known_again(bench);
    has_every_key_expire(bench);
}

fn names_what_cannot_be_counted(bench: &Bench) {
    let (bad, good) = (sliding("bad", 5), sliding("good", 5));
    let key = bad.0.key.as_slice();
    let of_another_version = [9_u8; 28];
    let mut set = redis::cmd("SET");
    set.arg(key).arg(&of_another_version);
    let mut empty = redis::cmd("SET");
    empty.arg(key).arg("");
    let mut push = redis::cmd("LPUSH");
    push.arg(key).arg("x");
    let mut delete = redis::cmd("DEL");
    delete.arg(key);
    for damage in [set, empty, push] {
        bench.poke::<redis::Value>(&damage);
        for takes in [vec![bad.ask(1)], vec![good.ask(1), bad.ask(1)]] {
            let error = bench.attempt(&[], &takes, at(0)).unwrap_err();
            assert!(matches!(error, StoreError::Uncountable(_)), "{error:?}");
        }
        assert_eq!(bench.fits(&[good.ask(0)], 0), [(true, 5)], "it was spared");
        bench.poke::<u64>(&delete);
    }
    assert_eq!(
        bench.fits(&[good.ask(1), bad.ask(1)], 0),
        [(true, 4), (true, 4)]
    );
}

fn makes_its_script_known_again(bench: &Bench) {
    let limits: Vec<_> = (0..8)
        .map(|n| sliding(&format!("flushed-{n}"), 3))
        .collect();
    for remaining in [2, 1] {
        for master in bench.masters() {
            master.command::<()>("SCRIPT FLUSH");
        }
        for limit in &limits {
            assert_eq!(bench.fits(&[limit.ask(1)], 0), [(true, remaining)]);
        }
    }
}

fn has_every_key_expire(bench: &Bench) {
    let limit = sliding("expires", 5);
    for take in [limit.ask(1), limit.report(9), limit.with_burst(3).ask(0)] {
        bench.take(&[take], 0);
        let mut ttl = redis::cmd("PTTL");
        let ttl: i64 = bench.poke(ttl.arg(limit.0.key.as_slice()));
        assert!((1..=60_001).contains(&ttl), "{ttl} ms");
    }
}
